//! From what a robot does and sees to rows of a dataset.
//!
//! A [`steps::Sample`] is one look at everything. Two that follow each other make a row: what was seen and felt at the
//! first, and what was commanded from the first to the second. A row's action therefore composes exactly as a chunk
//! does: from the pose commanded at its observation, translations added in the base frame, rotation vectors multiplied
//! from the left, the gripper's value held until the next row.

pub mod sampler;
pub mod steps;
