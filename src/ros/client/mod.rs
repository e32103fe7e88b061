//! Clients of the arm node.
//!
//! * [`lease`], [`heartbeat`]: the right to command the arm, and its renewal
//! * [`moves`]: the action `move_named`

pub mod heartbeat;
pub mod lease;
pub mod moves;
