//! Teleoperation: converts an operator's input to action chunks.
//!
//! ```text
//! keys, joystick, leader arm, tracked hand ─► InputReading (held? what? how fresh?) ─► TeleopSession (deadman, anchor) ─► ActionChunk
//! ```
//!
//! * [`mapping`]: meaning of keys, buttons and axes, from a file that is refused with its line when it cannot work
//! * [`keyboard`], [`joystick`], [`leader`], [`tracker`]: input devices, each giving a [`input_device::InputReading`]
//! * [`motion`]: limits speed and acceleration of requested motion, and ends each plan at rest
//! * [`session`]: engaging, following, releasing
//!
//! No module in here reads a clock, a terminal or a topic: every function receives the time and the input.

pub mod input_device;
pub mod joystick;
pub mod keyboard;
pub mod leader;
pub mod mapping;
pub mod motion;
pub mod session;
pub mod tracker;
