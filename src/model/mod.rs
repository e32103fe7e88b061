//! The network and its checkpoint.
//!
//! ```text
//! patches ─► vision ─┬─ tokens, deepstack ─► language ─┬─ queries ───────────────────────► (+) ─► action head
//!                    │         prompt ─► sequence ─────┤                                    ▲
//!                    │                                 └─ anchor ─► reasoning adapter ─► projector
//!                    └─ tap ─► geometry adapter ─► pool ─► projector ───────────────────────┘
//! ```
//!
//! Modules are named and nested like the keys of the safetensors file. Sizes come from `config.json`.

pub mod action_head;
pub mod actions;
pub mod activation_checkpointing;
pub mod adapters;
mod attention;
pub mod backbone;
pub mod checkpoint;
pub mod config;
mod config_check;
pub mod device;
pub mod error;
pub mod generate;
pub mod init;
pub mod inputs;
pub mod integration;
mod json;
pub mod kv_cache;
pub mod layers;
pub mod network;
pub mod parameters;
pub mod policy;
pub mod prefix_cache;
pub mod presets;
pub mod prompt;
pub mod prune_tokenizer;
mod rotary;
pub mod state;
mod sys;
pub mod text_model;
pub mod variant;
pub mod vggt;
pub mod vision;
pub mod vision_plan;
