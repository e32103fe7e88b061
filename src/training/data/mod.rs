//! Demonstrations on their way into training.
//!
//! ```text
//! datasets ─► mixture ─► sampler ─► feed (decode, resize, prompts, normalise) ─► loader's threads ─► VLA batches
//! ```
//!
//! * [`mixture`]: what is mixed, and its statistics
//! * [`sampler`]: which row each sample is, from the seed alone
//! * [`feed`]: from rows to batches
//! * [`preflight`]: what would end a run in its middle
//! * [`augment`]: random changes of what is seen
//! * [`kept_vision`]: what a frozen vision tower makes of every row
//! * [`loader`]: batches ahead of time
//! * [`meaning`]: which values are the contract's actions
//! * [`medians`]: the best chunk that looks at nothing
//! * `ranges`: ranges by which actions and states are normalised
//! * [`text`]: questions and answers, the same way

pub mod augment;
pub mod feed;
pub mod kept_vision;
pub mod loader;
pub mod meaning;
pub mod medians;
pub mod mixture;
pub mod preflight;
mod ranges;
pub mod sampler;
pub mod text;
