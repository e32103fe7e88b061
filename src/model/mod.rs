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
//!
//! * [`qwen3_vl`]: the backbone
//! * [`thinkvla`]: what 3DThinkVLA adds to it, and the network as a whole
//! * [`vggt`]: the geometry teacher
//! * [`layers`]: layers and parameters that all of them use
//! * [`trainable`]: selection of the tensors that are trained, and low-rank differences
//! * [`config`], [`checkpoint`], [`init`]: sizes, files, and new checkpoints
//! * [`policy`], [`generate`]: actions and text from a loaded checkpoint

pub mod checkpoint;
pub mod config;
pub mod error;
pub mod generate;
pub mod init;
mod json;
pub mod layers;
pub mod policy;
pub mod qwen3_vl;
pub mod thinkvla;
pub mod trainable;
pub mod vggt;
