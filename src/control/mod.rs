//! Chunks in, safe joint commands out.
//!
//! ```text
//! ActionChunk ─► supervisor (lease, heartbeat, modes) ─► executor (anchor, blend, interpolate) ─► kinematics
//!             ─► gate (an arm that wraps an arm) ─► realman (driver commands)
//! ```
//!
//! Nothing in here reads a clock: every function takes the time, so tests run on a virtual one.

pub mod chunk;
pub mod kinematics;
pub mod time;
pub mod types;
