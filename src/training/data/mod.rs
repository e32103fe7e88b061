//! Demonstrations for training, from datasets to batches.
//!
//! ```text
//! datasets ─► mixture ─► sampler ─► vla_batches (decode, resize, prompts, normalise) ─► loader's threads ─► VLA batches
//! ```
//!
//! * [`mixture`]: datasets that are mixed, and their statistics
//! * [`sampler`]: row of each sample, from the seed alone
//! * [`vla_batches`]: from rows to batches
//! * [`preflight`]: checks for what would end a run in its middle
//! * [`augment`]: random augmentation of images
//! * [`crop_window`]: window of a picture, where it is shifted or cropped
//! * [`vision_cache`]: outputs of a frozen vision tower for every row
//! * [`loader`]: batches ahead of time
//! * [`action_columns`]: values that are the contract's actions
//! * [`constant_baseline`]: best constant chunk, a baseline
//! * [`text`]: questions and answers, in the same way

pub mod action_columns;
pub mod augment;
pub mod constant_baseline;
pub mod crop_window;
pub mod loader;
pub mod mixture;
pub mod preflight;
mod ranges;
pub mod sampler;
pub mod text;
pub mod vision_cache;
pub mod vla_batches;
