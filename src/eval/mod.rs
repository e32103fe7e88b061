//! Evaluations, statistics and pictures of runs.

mod captions;
#[cfg(all(feature = "sim", feature = "torch"))]
pub mod closed_loop;
pub mod contact_sheet;
#[cfg(all(feature = "sim", feature = "torch"))]
pub mod diagnosis;
pub mod journal;
pub mod machine;
#[cfg(feature = "torch")]
pub mod open_loop;
pub mod smoothness;
pub mod statistics;
pub mod trial_sheet;
pub mod trials;
#[cfg(feature = "torch")]
pub mod viewer;
