//! Backward pass through layers that have recorded nothing and are run again.

use tch::Tensor;

use super::Objective;
use crate::model::layers::activation_checkpointing::Tape;
use crate::model::qwen3_vl::inputs::SequencePlan;
use crate::model::qwen3_vl::vision::VisionOutput;
use crate::training::error::StepError;

/// State for the backward pass through layers that have recorded nothing.
#[derive(Debug, Default)]
pub(super) struct Replay {
    pub(super) tape: Tape,
    plan: Option<SequencePlan>,
    /// Output of the vision tower.
    seen: Option<VisionOutput>,
    /// The same output as leaves, which the language model and the adapters received.
    leaves: Option<VisionOutput>,
}

impl Replay {
    /// Adds what was computed and the plan of the sequences.
    pub(super) fn of(self, plan: SequencePlan, leaves: Option<VisionOutput>) -> Self {
        Self {
            plan: Some(plan),
            leaves,
            ..self
        }
    }
}

impl Objective {
    /// Backpropagates a loss to the weights.
    pub(super) fn backward(&self, total: &Tensor, replay: Option<&Replay>) -> Result<(), StepError> {
        total.f_backward()?;
        let Some(replay) = replay else { return Ok(()) };
        if let Some(plan) = &replay.plan {
            self.network.backbone().backward(&replay.tape, plan)?;
        }
        if let (Some(seen), Some(leaves)) = (&replay.seen, &replay.leaves) {
            seen.backward(leaves)?;
        }
        Ok(())
    }

    /// Returns the output of the vision tower for layers that record, or with the state for layers that are recomputed.
    pub(super) fn recorded(&self, seen: VisionOutput) -> Result<(VisionOutput, Option<Replay>), StepError> {
        if !self.settings.recompute {
            return Ok((seen, None));
        }
        let leaves = seen.leaves()?;
        let replay = Replay {
            seen: Some(seen),
            ..Replay::default()
        };
        Ok((leaves, Some(replay)))
    }
}
