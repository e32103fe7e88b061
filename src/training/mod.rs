//! Training of 3DThinkVLA: one network, two streams of batches, one update.
//!
//! ```text
//! VLA batch ─► method ─► L1 + 0.5 geometry + 0.5 reasoning ─┐
//! VLM batch ─► method ─► 0.1 cross-entropy ─────────────────┴─► gradients ─► clip ─► AdamW on fp32 masters
//! ```
//!
//! * [`batch`]: what a step is made of
//! * [`settings`]: the constants of the method, the optimiser and the schedule, as a configuration file names them

pub mod batch;
pub mod settings;
