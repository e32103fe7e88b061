//! Recording: converts a robot's state, images and commands to rows of a dataset.
//!
//! A [`steps::StepSample`] is one observation of everything. Two consecutive samples make a row: what was observed at
//! the first, and what was commanded from the first to the second. A row's action therefore composes exactly as a chunk
//! does: from the pose commanded at its observation, translations added in the base frame, rotation vectors multiplied
//! from the left, the gripper's value held until the next row.

pub mod sampler;
pub mod steps;
