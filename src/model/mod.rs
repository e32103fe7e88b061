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

pub mod actions;
mod attention;
pub mod backbone;
pub mod check;
pub mod checkpoint;
pub mod config;
mod config_check;
pub mod device;
pub mod error;
pub mod geometry_picture;
pub mod heads;
pub mod integration;
mod json;
pub mod language;
pub mod layers;
pub mod network;
pub mod parameters;
pub mod parity;
pub mod policy;
pub mod prefix;
pub mod prompt;
pub mod prune;
pub mod recompute;
mod rotary;
pub mod sequence;
mod shim;
pub mod sizes;
pub mod speed;
pub mod state;
pub mod text;
pub mod untrained;
pub mod variant;
pub mod vggt;
pub mod vision;
pub mod vision_plan;
