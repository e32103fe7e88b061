//! What 3DThinkVLA adds to Qwen3-VL, and the network as a whole.
//!
//! * [`network`]: the whole network
//! * [`adapters`], [`action_head`]: adapters, projectors and the action head
//! * [`latent_conditions`], [`fusion`], [`pool`]: latents, and how they condition the action queries
//! * [`prompt`], [`state`], [`actions`]: instruction, state of the robot and actions, as the network takes and gives them

pub mod action_head;
pub mod actions;
pub mod adapters;
pub mod fusion;
pub mod latent_conditions;
pub mod network;
pub mod pool;
pub mod prompt;
pub mod state;
