//! Subscriptions that several nodes have.
//!
//! * [`images`]: the newest camera image
//! * [`instruction`]: the instruction, from publishers of any QoS

pub mod images;
pub mod instruction;
pub(in crate::ros) mod unmatched_publishers;
