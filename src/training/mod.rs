//! Training of 3DThinkVLA: one network, two streams of batches, one update.
//!
//! ```text
//! VLA batch ─► method ─► L1 + 0.5 geometry + 0.5 reasoning ─┐
//! VLM batch ─► method ─► 0.1 cross-entropy ─────────────────┴─► gradients ─► clip ─► AdamW on fp32 masters
//! ```
//!
//! * [`batch`]: batches of a step
//! * [`config`], [`run`]: the configuration file, and the run it describes
//! * [`data`]: demonstrations and answers, from files to batches
//! * [`geometry`]: targets of the geometry teacher
//! * [`checkpoint`], [`metrics`], [`events`], [`curves`]: files that a run writes
//! * [`settings`]: constants of the method, the optimiser and the schedule, as a configuration file names them
//! * [`language`]: stream of answers beside the demonstrations
//! * [`method`], [`losses`]: from batches to losses
//! * [`privileged`]: privileged information, the alternative to the reasoning anchor
//! * [`parameters`]: tensors that are trained, and low-rank differences
//! * [`rescale`]: adapts an action head to the statistics of other data
//! * [`optimiser`], [`schedule`]: from gradients to weights
//! * [`memory`]: memory that a run needs
//! * [`validation`]: errors on held-out episodes
//! * [`ranks`]: processes that train together
//! * [`pss`]: whether the gradients of the two streams have similar directions

pub mod batch;
pub mod checkpoint;
pub mod config;
pub mod curves;
pub mod data;
pub mod error;
pub mod events;
pub mod geometry;
pub mod language;
pub mod losses;
pub mod memory;
pub mod method;
pub mod metrics;
pub mod optimiser;
pub mod parameters;
pub mod privileged;
pub mod pss;
pub mod ranks;
pub mod rescale;
pub mod run;
pub mod run_error;
pub mod schedule;
pub mod settings;
pub mod validation;
