//! Demonstrations for training, from datasets to batches.
//!
//! ```text
//! datasets ─► mixture ─► sampler ─► feed (decode, resize, prompts, normalise) ─► loader's threads ─► VLA batches
//! ```
//!
//! * [`mixture`]: datasets that are mixed, and their statistics
//! * [`sampler`]: row of each sample, from the seed alone
//! * [`feed`]: from rows to batches
//! * [`preflight`]: checks for what would end a run in its middle
//! * [`augment`]: random augmentation of images
//! * [`kept_vision`]: outputs of a frozen vision tower for every row
//! * [`loader`]: batches ahead of time
//! * [`meaning`]: values that are the contract's actions
//! * [`medians`]: best constant chunk, a baseline
//! * [`text`]: questions and answers, in the same way

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
