//! A person's hand becomes action chunks.
//!
//! ```text
//! keys, joystick, leader arm, tracked hand ─► Hand (held? what? how fresh?) ─► Session (deadman, anchor) ─► ActionChunk
//! ```
//!
//! * [`mapping`]: what a key, button or axis means; a file, refused with its line when it cannot work
//! * [`keyboard`], [`pad`], [`leader`], [`tracker`]: inputs, each giving a [`hand::Hand`]
//! * [`motion`]: speed and acceleration of what is asked for, and how it ends by itself
//! * [`session`]: engaging, following, letting go
//!
//! Nothing in here reads a clock, a terminal or a topic: every function takes the time and what was received.

pub mod hand;
pub mod keyboard;
pub mod leader;
pub mod mapping;
pub mod motion;
pub mod pad;
pub mod session;
pub mod tracker;
