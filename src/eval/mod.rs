//! Figures and pictures of runs.

pub mod machine;
pub mod statistics;
