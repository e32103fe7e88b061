//! The active checkpoint, which can be replaced between two chunks.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use super::actor::Actor;
use super::body::Body;
use crate::contract::Contract;
use crate::ros::lock::lock;

/// A loaded checkpoint with what follows from its contract.
pub struct Brain {
    actor: Mutex<Box<dyn Actor>>,
    /// Directory it was loaded from.
    pub path: PathBuf,
    /// Contract of the checkpoint.
    pub contract: Contract,
    /// SHA-256 of its weights.
    pub hash: String,
    /// Definition of its state vector.
    pub body: Body,
}

impl Brain {
    /// Warms up an actor; `replan_steps` is the number of steps of each chunk to be executed.
    ///
    /// # Errors
    /// When the network cannot run, its chunks are shorter than `replan_steps`, or its state is not in the arm's status.
    pub fn awake(mut actor: Box<dyn Actor>, path: &Path, replan_steps: i64) -> Result<Self, String> {
        let contract = actor.contract().clone();
        let steps = contract.model.as_ref().map_or(0, |model| model.chunk_len);
        if usize::try_from(replan_steps).is_ok_and(|replan| replan > steps) {
            return Err(format!(
                "parameter replan_steps: expected at most the checkpoint's {steps} steps a chunk, found {replan_steps}"
            ));
        }
        let body = Body::of(&contract)?;
        actor.warm_up()?;
        Ok(Self {
            path: path.to_owned(),
            hash: actor.checkpoint_hash().to_owned(),
            actor: Mutex::new(actor),
            contract,
            body,
        })
    }

    /// Locks the network, for one forward pass at a time.
    pub fn actor(&self) -> MutexGuard<'_, Box<dyn Actor>> {
        lock(&self.actor)
    }

    /// Name of the weights, from the contract.
    pub fn name(&self) -> &str {
        self.contract.model.as_ref().map_or("", |model| model.weights.as_str())
    }
}

/// Holder of the active checkpoint. A chunk or an answer in progress keeps the checkpoint it began with.
pub struct Seat(Mutex<Arc<Brain>>);

impl Seat {
    /// Creates the holder with a checkpoint.
    pub fn new(brain: Arc<Brain>) -> Self {
        Self(Mutex::new(brain))
    }

    /// The active checkpoint.
    pub fn brain(&self) -> Arc<Brain> {
        Arc::clone(&lock(&self.0))
    }

    /// Replaces the active checkpoint from the next chunk on; returns the one before.
    pub fn give(&self, brain: Arc<Brain>) -> Arc<Brain> {
        std::mem::replace(&mut lock(&self.0), brain)
    }
}
