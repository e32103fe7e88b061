//! The policy node: turns camera images and an instruction into action chunks, with a heartbeat.
//!
//! ```text
//! camera feeds ─► newest frames that belong together ─► planner thread (actor) ─► chunk
//!        │                    question ─► desk ─► the same thread, one step at a time (speech) ─► answer
//!        └──────► health monitor (pulse) ─► heartbeat thread ─► heartbeat
//! ```
//!
//! Another checkpoint is loaded while the one in use continues (succession), and replaces it between two chunks.
//!
//! Chunks and heartbeats are published only while the node is active and holds the lease. A fault that the health monitor
//! finds ends the heartbeat, upon which the arm node brakes.

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

/// Name of the policy in chunks, heartbeats and lease requests.
pub const SOURCE: &str = "policy";
