//! A checkpoint that can act: what the planner thinks with, and what another can take the place of between two chunks.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use super::actor::Actor;
use super::body::Body;
use crate::contract::Contract;
use crate::ros::lock::lock;

/// A loaded checkpoint with what follows from its contract.
pub struct Brain {
    actor: Mutex<Box<dyn Actor>>,
    /// Where it was loaded from.
    pub path: PathBuf,
    /// What it was trained on and for.
    pub contract: Contract,
    /// SHA-256 of its weights.
    pub hash: String,
    /// Which of the arm's values it reads.
    pub body: Body,
}

impl Brain {
    /// Warms an actor up; `replan_steps` of each of its chunks are to be executed.
    ///
    /// # Errors
    /// When the network cannot run, its chunks are too short, or the arm cannot give it the state it reads.
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

    /// The network; held for one forward pass at a time.
    pub fn actor(&self) -> MutexGuard<'_, Box<dyn Actor>> {
        lock(&self.actor)
    }

    /// What people know the weights by.
    pub fn name(&self) -> &str {
        self.contract.model.as_ref().map_or("", |model| model.weights.as_str())
    }
}

/// The brain in use. Whoever took it keeps it for the chunk or the answer it is making.
pub struct Seat(Mutex<Arc<Brain>>);

impl Seat {
    /// A brain takes the seat.
    pub fn new(brain: Arc<Brain>) -> Self {
        Self(Mutex::new(brain))
    }

    /// Who sits there.
    pub fn brain(&self) -> Arc<Brain> {
        Arc::clone(&lock(&self.0))
    }

    /// Another takes the seat from the next chunk on; returns who sat there.
    pub fn give(&self, brain: Arc<Brain>) -> Arc<Brain> {
        std::mem::replace(&mut lock(&self.0), brain)
    }
}
