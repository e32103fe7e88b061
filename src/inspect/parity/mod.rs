//! Compares the network's results with those of a reference.
//!
//! A case is a safetensors file of inputs and expected results; docs/parity.md describes it.

mod backbone;
mod case;
mod report;
mod vggt;

pub use backbone::Subject;
pub use case::Case;
pub use report::{Finding, ParityReport, ParityRow, ParityTolerance};
pub use vggt::compare_vggt;
