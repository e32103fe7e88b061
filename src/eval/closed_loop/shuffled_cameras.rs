//! Camera images of another episode as a control: a policy that succeeds with them does not use its images.

use super::error::EvaluationError;
use crate::sim::episode::{self, EpisodeSetup};
use crate::sim::tasks::EpisodeId;
use crate::sim::world::Snapshot;

/// The expert's episode of the same task and variation on the scene of the next seed.
pub(super) struct ShuffledCameras {
    /// Time since the start (s) and state of the scene, for each command.
    moments: Vec<(f64, Snapshot)>,
}

impl ShuffledCameras {
    /// Runs the episode with the expert.
    pub fn of(setup: &EpisodeSetup<'_>) -> Result<Self, EvaluationError> {
        let id = EpisodeId {
            seed: setup.id.seed.wrapping_add(1),
            ..setup.id
        };
        let mut moments = Vec::new();
        episode::run::<EvaluationError>(setup.sim, setup.arm, id, |moment| {
            if moment.ticked {
                moments.push((moment.episode_world.world.time(), moment.episode_world.world.snapshot()));
            }
            Ok(())
        })?;
        Ok(Self { moments })
    }

    /// Returns the state of the other episode at a time (s); its last state after its end.
    pub fn at(&self, seconds: f64) -> Option<&Snapshot> {
        let after = self.moments.partition_point(|(time, _)| *time <= seconds);
        let (_, snapshot) = self.moments.get(after.saturating_sub(1))?;
        Some(snapshot)
    }
}
