//! Controller: from action chunks to safe joint commands.
//!
//! ```text
//! ActionChunk ─► supervisor (lease, heartbeat, modes) ─► executor (anchor, blend, interpolate) ─► kinematics
//!             ─► gate (an arm that wraps an arm) ─► realman (driver commands)
//! ```
//!
//! The supervisor is [`crate::supervisor`], the driver's side [`crate::realman`].
//!
//! No function reads a clock: the time is always an argument, so tests run on a virtual one.

pub mod arm;
pub mod chunk;
pub mod composition;
pub mod config;
pub mod event;
pub mod executor;
pub mod gate;
pub mod kinematics;
pub mod lease;
pub mod liveness;
pub mod named_move;
pub mod proprioception;
pub mod tool_rotation;
