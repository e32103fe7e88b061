//! Training of 3DThinkVLA: one network, two streams of batches, one update.
//!
//! ```text
//! VLA batch ─► method ─► L1 + 0.5 geometry + 0.5 reasoning ─┐
//! VLM batch ─► method ─► 0.1 cross-entropy ─────────────────┴─► gradients ─► clip ─► AdamW on fp32 masters
//! ```
//!
//! * [`batch`]: what a step is made of
//! * [`config`], [`run`]: the configuration file, and the run it describes
//! * [`data`]: demonstrations and answers on their way into batches
//! * [`geometry`]: what the geometry teacher sees in them
//! * [`checkpoint`], [`metrics`], [`events`], [`curves`]: what a run leaves on disk
//! * [`settings`]: the constants of the method, the optimiser and the schedule, as a configuration file names them
//! * [`language`]: the stream of answers beside the demonstrations
//! * [`method`], [`losses`]: from batches to losses
//! * [`privileged`]: the rival of the reasoning anchor
//! * [`parameters`]: what learns, and differences of low rank
//! * [`rescale`]: an action head that goes on in the statistics of other data
//! * [`optimiser`], [`schedule`]: from gradients to weights
//! * [`memory`]: how much of it a run needs
//! * [`validation`]: errors on held-out episodes
//! * [`ranks`]: processes that train together
//! * [`pss`]: whether the two streams pull in the same directions

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
