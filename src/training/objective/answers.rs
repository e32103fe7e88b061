//! Loss of answers to questions.

use tch::Tensor;

use super::replay::Replay;
use super::{Objective, TextLoss, finite, mean};
use crate::model::qwen3_vl::inputs::SequencePlan;
use crate::model::qwen3_vl::text_model::PassOptions;
use crate::model::thinkvla::prompt::Prompt;
use crate::training::batch::{LabelledConversation, LossCounts, MASKED, VlmBatch};
use crate::training::error::StepError;
use crate::training::losses;

impl Objective {
    /// Computes the loss of answers to questions; see [`Self::vla`].
    ///
    /// # Errors
    /// As for [`Self::vla`].
    pub fn vlm(&self, batch: &VlmBatch, totals: &LossCounts) -> Result<TextLoss, StepError> {
        let prompts: Vec<Prompt> = batch.conversations.iter().map(|one| one.prompt.clone()).collect();
        let plan = SequencePlan::packed(&prompts, &self.config.text_config, self.kind, self.device)?;
        let backbone = self.network.backbone();
        let (encoded, mut replay) = match &batch.pictures {
            Some(pictures) => {
                let (encoded, replay) = self.recorded(self.encode_images(pictures)?)?;
                (Some(encoded), replay)
            }
            None => (None, self.settings.recompute.then(Replay::default)),
        };
        let pass = PassOptions {
            keep: None,
            tape: replay.as_mut().map(|replay| &mut replay.tape),
        };
        let states = backbone.forward_text_with(encoded.as_ref(), &plan, pass)?;
        let PredictedTokens { rows, tokens } = PredictedTokens::of(&batch.conversations)?;
        let on_device = |values: &[i64]| Tensor::f_from_slice(values)?.f_to_device(self.device);
        let read = states.f_flatten(0, 1)?.f_index_select(0, &on_device(&rows)?)?;
        let sum = losses::text(&backbone.logits(&read)?, &on_device(&tokens)?)?;
        let cross_entropy = mean(sum, totals.tokens)?;
        finite("text loss", &cross_entropy)?;
        Ok(TextLoss {
            total: cross_entropy.f_mul_scalar(self.settings.text_weight)?,
            cross_entropy,
            replay: replay.map(|replay| replay.of(plan, encoded)),
        })
    }
}

/// Rows of states, and the tokens that they predict, of concatenated conversations.
struct PredictedTokens {
    rows: Vec<i64>,
    tokens: Vec<i64>,
}

impl PredictedTokens {
    fn of(conversations: &[LabelledConversation]) -> Result<Self, StepError> {
        let (mut rows, mut tokens, mut start) = (Vec::new(), Vec::new(), 0);
        for one in conversations {
            if one.labels.len() != one.prompt.ids.len() {
                return Err(StepError::Batch {
                    part: "labels",
                    expected: format!("one for each of {} tokens", one.prompt.ids.len()),
                    found: one.labels.len().to_string(),
                });
            }
            // A token is predicted by the state of the one before it.
            for (label, before) in one.labels.iter().skip(1).zip(start..) {
                if *label != MASKED {
                    rows.push(before);
                    tokens.push(*label);
                }
            }
            start += one.labels.len() as i64;
        }
        if rows.is_empty() {
            return Err(StepError::Batch {
                part: "labels",
                expected: "at least one token to be learned".into(),
                found: "none".into(),
            });
        }
        Ok(Self { rows, tokens })
    }
}
