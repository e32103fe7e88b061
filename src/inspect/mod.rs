//! Inspection of checkpoints and of the network they hold.
//!
//! * [`check`]: refuses a checkpoint whose values, statistics or data do not fit, and estimates its memory
//! * [`parity`]: compares the network with reference outputs
//! * [`speed`]: counts the work of one forward pass and relates it to what the machine can do
//! * [`geometry_picture`]: draws the geometry latents

pub mod check;
pub mod geometry_picture;
pub mod parity;
pub mod speed;
