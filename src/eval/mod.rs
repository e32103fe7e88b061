//! Evaluations of policies, and their reports.

#[cfg(all(feature = "sim", feature = "torch"))]
pub mod closed_loop;
#[cfg(all(feature = "sim", feature = "torch"))]
pub mod diagnosis;
pub mod journal;
pub mod machine;
#[cfg(feature = "torch")]
pub mod open_loop;
pub mod smoothness;
pub mod trial_sheet;
pub mod trials;
#[cfg(feature = "torch")]
pub mod viewer;
