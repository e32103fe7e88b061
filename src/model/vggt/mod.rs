//! VGGT's aggregator, the frozen geometry teacher of 3DThinkVLA.
//!
//! ```text
//! views ─► DINOv2 ─► patches ┐
//!          camera, registers ┴─► (frame attention ─► global attention) × depth ─► frame ‖ global features
//! ```
//!
//! Only training and `thinkvla parity` load it, never a policy. Modules are named and nested like the keys
//! `aggregator.*` of the published weights. The point, depth, camera and track heads are not needed and not built.

mod aggregator;
mod block;
mod config;
mod dino;
pub mod target;
mod weights;

pub use aggregator::{Aggregator, Features, Layers};
pub use config::VggtConfig;
pub use weights::{hash, load};
