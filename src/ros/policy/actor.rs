//! What turns frames and an instruction into actions; the network, or a stand-in in tests.

use std::sync::Arc;
use std::time::Duration;

use crate::contract::Contract;
use crate::control::chunk::PhysicalActions;
use crate::ros::images::Arrived;

/// A loaded checkpoint.
pub trait Actor: Send {
    /// What it was trained on and for.
    fn contract(&self) -> &Contract;

    /// SHA-256 of the weights.
    fn checkpoint_hash(&self) -> &str;

    /// Runs once on made-up images, so that the first real chunk does not pay for set-up.
    ///
    /// # Errors
    /// Why the network cannot run.
    fn warm_up(&mut self) -> Result<(), String>;

    /// One chunk for one moment; `frames` in the contract's camera order.
    ///
    /// # Errors
    /// Why there is no chunk for this moment; the next may be fine.
    fn act(&mut self, frames: &[Arc<Arrived>], instruction: &str) -> Result<Acted, ActError>;
}

/// A chunk and where the time went.
#[derive(Debug, Clone, PartialEq)]
pub struct Acted {
    /// The actions, in physical units.
    pub actions: PhysicalActions,
    /// Images to network input.
    pub preprocess: Duration,
    /// Forward pass.
    pub inference: Duration,
}

/// Why there is no chunk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ActError {
    /// A frame cannot be used.
    #[error("camera {camera}: {message}")]
    Frame {
        /// Camera by name.
        camera: String,
        /// Expected, found, what to do.
        message: String,
    },
    /// The network failed.
    #[error("{0}")]
    Network(String),
}
