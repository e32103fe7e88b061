//! The policy node: turns camera images and an instruction into action chunks, with a heartbeat.
//!
//! ```text
//! camera feeds ─► newest frames that belong together ─► inference loop (backend) ─► chunk
//!        │                    question ─► ask_queue ─► the same thread, one step at a time (answer_stream) ─► answer
//!        └──────► health monitor ─► heartbeat thread ─► heartbeat
//! ```
//!
//! Another checkpoint is loaded while the one in use continues (checkpoint_swap), and replaces it between two chunks.
//!
//! Chunks and heartbeats are published only while the node is active and holds the lease. A fault that the health monitor
//! finds ends the heartbeat, upon which the arm node brakes.

mod active_checkpoint;
mod answer_stream;
mod ask_queue;
pub mod backend;
mod cameras;
mod checkpoint_list;
mod checkpoint_swap;
mod contract_check;
mod error;
mod frozen_camera;
mod geometry;
mod health;
mod inference_loop;
mod lifecycle;
mod metrics;
#[cfg(feature = "torch")]
pub mod network;
mod node;
mod report;
mod robot_state;
#[cfg(feature = "torch")]
mod self_test;
mod services;
mod settings;

pub use checkpoint_swap::{Checkpoints, SelfTest};
pub use error::PolicyError;
pub use node::PolicyNode;
pub use settings::PolicySettings;

/// Name of the policy in chunks, heartbeats and lease requests.
pub const SOURCE: &str = "policy";
