//! The active checkpoint, which can be replaced between two chunks.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use super::backend::InferenceBackend;
use super::error::PolicyError;
use super::robot_state::RobotState;
use crate::contract::Contract;
use crate::ros::node::lock::lock;

/// A loaded checkpoint with what follows from its contract.
pub struct LoadedCheckpoint {
    backend: Mutex<Box<dyn InferenceBackend>>,
    /// Directory it was loaded from.
    pub path: PathBuf,
    /// Contract of the checkpoint.
    pub contract: Contract,
    /// SHA-256 of its weights.
    pub hash: String,
    /// Definition of its state vector.
    pub robot_state: RobotState,
}

impl LoadedCheckpoint {
    /// Warms up a backend; `replan_steps` is the number of steps of each chunk to be executed.
    ///
    /// # Errors
    /// When the network cannot run, its chunks are shorter than `replan_steps`, or its state is not in the arm's status.
    pub fn warm_up(
        mut backend: Box<dyn InferenceBackend>,
        path: &Path,
        replan_steps: i64,
    ) -> Result<Self, PolicyError> {
        let contract = backend.contract().clone();
        let steps = contract.model.as_ref().map_or(0, |model| model.chunk_len);
        if usize::try_from(replan_steps).is_ok_and(|replan| replan > steps) {
            let found = replan_steps;
            return Err(PolicyError::ReplanSteps { steps, found });
        }
        let robot_state = RobotState::of(&contract)?;
        backend.warm_up()?;
        Ok(Self {
            path: path.to_owned(),
            hash: backend.checkpoint_hash().to_owned(),
            backend: Mutex::new(backend),
            contract,
            robot_state,
        })
    }

    /// Locks the network, for one forward pass at a time.
    pub fn backend(&self) -> MutexGuard<'_, Box<dyn InferenceBackend>> {
        lock(&self.backend)
    }

    /// Name of the weights, from the contract.
    pub fn name(&self) -> &str {
        self.contract.model.as_ref().map_or("", |model| model.weights.as_str())
    }
}

/// Holder of the active checkpoint. A chunk or an answer in progress keeps the checkpoint it began with.
pub struct ActiveCheckpoint(Mutex<Arc<LoadedCheckpoint>>);

impl ActiveCheckpoint {
    /// Creates the holder with a checkpoint.
    pub fn new(checkpoint: Arc<LoadedCheckpoint>) -> Self {
        Self(Mutex::new(checkpoint))
    }

    /// The active checkpoint.
    pub fn get(&self) -> Arc<LoadedCheckpoint> {
        Arc::clone(&lock(&self.0))
    }

    /// Replaces the active checkpoint from the next chunk on; returns the one before.
    pub fn replace(&self, checkpoint: Arc<LoadedCheckpoint>) -> Arc<LoadedCheckpoint> {
        std::mem::replace(&mut lock(&self.0), checkpoint)
    }
}
