//! Camera images of another episode as a control: a policy that succeeds with them does not use its images.

use super::error::EvaluationError;
use crate::sim::episode::{self, Stage};
use crate::sim::tasks::EpisodeId;
use crate::sim::world::Snapshot;

/// The expert's episode on the scene of the next seed, of the same task and variation.
pub(super) struct Stranger {
    /// Time since its start (s), and where everything stood then.
    moments: Vec<(f64, Snapshot)>,
}

impl Stranger {
    /// Runs the episode, at the expert's own pace.
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

    /// State of the other episode at a time; its last state after its end.
    pub fn at(&self, seconds: f64) -> Option<&Snapshot> {
        let after = self.moments.partition_point(|(time, _)| *time <= seconds);
        let (_, snapshot) = self.moments.get(after.saturating_sub(1))?;
        Some(snapshot)
    }
}
