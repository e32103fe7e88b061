//! Figures and pictures of runs.

pub mod contact_sheet;
mod lettering;
pub mod machine;
pub mod statistics;
