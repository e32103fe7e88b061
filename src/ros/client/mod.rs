//! Clients of the arm node.
//!
//! * [`arm_status`]: the newest status
//! * [`lease`], [`heartbeat_publisher`]: the right to command the arm, and its renewal
//! * [`moves`]: the action `move_named`

pub mod arm_status;
pub mod heartbeat_publisher;
pub mod lease;
pub mod moves;
