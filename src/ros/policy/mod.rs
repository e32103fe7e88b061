//! The policy node: cameras and an instruction in, action chunks and signs of life out.
//!
//! ```text
//! camera feeds ─► eyes (newest frames that belong together) ─► planner thread (actor) ─► chunk
//!        │                    question ─► desk ─► the same thread, one step at a time (speech) ─► answer
//!        └──────► pulse (is everything well?) ─► heartbeat thread ─► heartbeat
//! ```
//!
//! Another checkpoint is loaded beside the one in use (succession) and takes its seat between two chunks.
//!
//! Chunks and heartbeats leave only while the node is active and holds the lease. Whatever goes wrong in here ends the
//! heartbeat, and the arm node brakes.

pub mod actor;
mod arm;
mod body;
mod brain;
mod catalogue;
mod desk;
mod eyes;
mod figures;
mod freeze;
mod geometry;
mod live;
mod mind;
#[cfg(feature = "torch")]
pub mod network;
mod node;
mod planner;
mod pulse;
mod report;
mod services;
mod settings;
mod speech;
mod succession;
#[cfg(feature = "torch")]
mod trial;

pub use node::PolicyNode;
pub use settings::Settings;
pub use succession::{Checkpoints, Trial};

/// Name the policy gives itself in chunks, heartbeats and leases.
pub const SOURCE: &str = "policy";
