//! Camera images of another episode as a control: a policy that succeeds with them does not use its images.

use super::error::EvaluationError;
use crate::sim::episode::{self, Stage};
use crate::sim::tasks::EpisodeId;
use crate::sim::world::Snapshot;

/// The expert's episode of the same task and variation on the scene of the next seed.
pub(super) struct Stranger {
    /// Time since the start (s) and state of the scene, for each command.
    moments: Vec<(f64, Snapshot)>,
}

impl Stranger {
    /// Runs the episode with the expert.
    pub fn of(stage: &Stage<'_>) -> Result<Self, EvaluationError> {
        let id = EpisodeId {
            seed: stage.id.seed.wrapping_add(1),
            ..stage.id
        };
        let mut moments = Vec::new();
        episode::run::<EvaluationError>(stage.sim, stage.arm, id, |moment| {
            if moment.ticked {
                moments.push((moment.rig.world.time(), moment.rig.world.snapshot()));
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
