//! Is what the network makes of a case what the reference made of it?
//!
//! A case is a safetensors file of inputs and of what the reference makes of them; docs/parity.md says what it holds.

mod backbone;
mod case;
mod report;
mod vggt;

pub use backbone::Subject;
pub use case::Case;
pub use report::{Demand, Finding, Report, Row};
pub use vggt::compare_vggt;
