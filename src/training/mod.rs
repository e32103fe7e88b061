//! Training of 3DThinkVLA: one network, two streams of batches, one update.
//!
//! ```text
//! VLA batch ─► objective ─► L1 + 0.5 geometry + 0.5 reasoning ─┐
//! VLM batch ─► objective ─► 0.1 cross-entropy ─────────────────┴─► gradients ─► clip ─► AdamW on fp32 masters
//! ```
//!
//! * [`batch`]: batches of a step
//! * [`config`], [`run`]: the configuration file, and the run it describes
//! * [`data`]: demonstrations and answers, from files to batches
//! * [`geometry`]: targets of the geometry teacher
//! * [`checkpoint`], [`metrics`], [`tensorboard`], [`curves`]: files that a run writes
//! * [`config::settings`]: constants of the method, the optimiser and the schedule, as a configuration file names them
//! * [`vlm_stream`]: stream of answers beside the demonstrations
//! * [`objective`], [`losses`]: from batches to losses
//! * [`privileged_text`]: privileged information, the alternative to the reasoning anchor
//! * [`rescale`]: adapts an action head to the statistics of other data
//! * [`optimiser`], [`schedule`]: from gradients to weights
//! * [`memory`]: memory that a run needs
//! * [`validation`]: errors on held-out episodes
//! * [`distributed`]: processes that train together
//! * [`projection_similarity`]: whether the gradients of the two streams have similar directions

pub mod batch;
pub mod checkpoint;
pub mod config;
pub mod curves;
pub mod data;
pub mod distributed;
pub mod error;
pub mod geometry;
pub mod losses;
pub mod memory;
pub mod metrics;
pub mod objective;
pub mod optimiser;
pub mod privileged_text;
pub mod projection_similarity;
pub mod rescale;
pub mod run;
pub mod schedule;
pub mod tensorboard;
pub mod validation;
pub mod vlm_stream;
