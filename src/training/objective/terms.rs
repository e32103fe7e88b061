//! Terms of the loss of demonstrations: actions, alignment with the geometry teacher, distillation.

use tch::{Kind, Tensor};

use super::{Diagnostics, Losses, Objective, mean};
use crate::model::config::HiddenTap;
use crate::model::qwen3_vl::inputs::{SequencePlan, raster};
use crate::model::qwen3_vl::prefix_cache::PrefixCache;
use crate::model::qwen3_vl::vision::VisionOutput;
use crate::model::qwen3_vl::vision_plan::VisionPlan;
use crate::model::thinkvla::network::{Output, ReadoutStates};
use crate::model::thinkvla::prompt::Prompt;
use crate::training::batch::{LossCounts, VlaBatch};
use crate::training::config::settings::Distill;
use crate::training::error::StepError;
use crate::training::losses;

impl Objective {
    /// Computes the geometry loss alone; nothing after the vision tower is computed.
    pub(super) fn alignment(&self, batch: &VlaBatch, totals: &LossCounts) -> Result<Losses, StepError> {
        let images = VisionPlan::new(&batch.pictures.grids, &self.config.vision_config, self.device)?;
        let pixels = batch.pictures.pixels.f_to_device(self.device)?.f_to_kind(self.kind)?;
        let made = self.network.geometry_latents(&pixels, &images)?;
        let sum = match (&batch.geometry_target, &made) {
            (Some(_), Some(made)) => self.unlike_target(batch, made, &raster(&batch.student, self.device)?)?,
            _ => {
                return Err(StepError::Batch {
                    part: "geometry target",
                    expected: "one for each patch, since method.action_weight is 0".into(),
                    found: "none".into(),
                });
            }
        };
        let geometry = mean(sum, totals.patches)?;
        let losses = Losses {
            action: None,
            total: geometry.f_mul_scalar(self.settings.geometry_weight)?,
            geometry: Some(geometry),
            reasoning: None,
            diagnostics: Diagnostics::default(),
            replay: None,
        };
        losses.check()?;
        Ok(losses)
    }

    /// Returns whether there is a teacher to distil from.
    pub(super) fn distils(&self) -> bool {
        let adapted = self.config.thinkvla.reasoning.as_ref().is_some_and(|of| of.adapter);
        match self.settings.distill {
            Distill::None => false,
            Distill::Anchor => adapted,
            Distill::Privileged => true,
        }
    }

    /// Runs the teacher, without gradients; `None` without distillation.
    pub(super) fn teach(
        &self,
        batch: &VlaBatch,
        encoded: &VisionOutput,
        prefix: Option<PrefixCache>,
    ) -> Result<Option<ReadoutStates>, StepError> {
        if !self.distils() {
            return Ok(None);
        }
        let _no_grad = tch::no_grad_guard();
        let text = &self.config.text_config;
        Ok(Some(match prefix {
            Some(prefix) => {
                let plan = SequencePlan::after_prefix(&batch.student, &batch.teacher, text, self.kind, self.device)?;
                self.network.forward_text_with_prefix(&prefix, &plan)?
            }
            None => {
                let prompts: Vec<Prompt> = batch.teacher.iter().map(|one| one.prompt.clone()).collect();
                let plan = SequencePlan::new(&prompts, text, self.kind, self.device)?;
                self.network.forward_text(encoded, &plan)?
            }
        }))
    }

    /// Sums the absolute errors of actions.
    pub(super) fn action(&self, batch: &VlaBatch, output: &Output) -> Result<Tensor, StepError> {
        let (found, expected) = (batch.actions.size(), output.actions.size());
        if found != expected {
            return Err(StepError::Batch {
                part: "actions",
                expected: format!("{expected:?}"),
                found: format!("{found:?}"),
            });
        }
        let (target, valid) = (
            batch.actions.f_to_device(self.device)?,
            batch.valid.f_to_device(self.device)?,
        );
        Ok(losses::actions(&output.actions, &target, &valid)?)
    }

    /// Sums the distances of geometry latents from their targets; `None` without either.
    pub(super) fn geometry(
        &self,
        batch: &VlaBatch,
        output: &Output,
        plan: &SequencePlan,
    ) -> Result<Option<Tensor>, StepError> {
        let (Some(_), Some(made)) = (&batch.geometry_target, &output.latents.geometry) else {
            return Ok(None);
        };
        self.unlike_target(batch, made, plan.raster()).map(Some)
    }

    /// Cosine distance of latents from their targets, summed over patches by their weights.
    fn unlike_target(&self, batch: &VlaBatch, made: &Tensor, raster: &Tensor) -> Result<Tensor, StepError> {
        let Some(target) = &batch.geometry_target else {
            return Ok(Tensor::f_zeros([], (Kind::Float, self.device))?);
        };
        let (rows, width) = made.size2()?;
        if target.numel() as i64 != rows * width {
            return Err(StepError::Batch {
                part: "geometry target",
                expected: format!("{rows} patches of {width} channels"),
                found: format!("{:?}", target.size()),
            });
        }
        let target = target
            .f_to_device(self.device)?
            .f_to_kind(made.f_kind()?)?
            .f_reshape([rows, width])?;
        let made = made.f_index_select(0, raster)?;
        Ok(match &batch.geometry_weights {
            Some(weights) => losses::weighted_cosine(&target, &made, &weights.f_to_device(self.device)?)?,
            None => losses::cosine(&target, &made)?,
        })
    }

    /// Sums the distances of the student from the teacher.
    pub(super) fn reasoning(&self, teacher: &ReadoutStates, output: &Output) -> Result<Tensor, StepError> {
        if self.settings.distill == Distill::Privileged {
            let logits = |queries: &Tensor| -> Result<Tensor, StepError> {
                let (queries, backbone) = (queries.f_to_kind(self.kind)?, self.network.backbone());
                Ok(match self.config.thinkvla.hidden_tap {
                    HiddenTap::PreNorm => backbone.logits(&queries)?,
                    HiddenTap::PostNorm => backbone.logits_of_normed(&queries)?,
                })
            };
            let teacher = {
                let _no_grad = tch::no_grad_guard();
                logits(&teacher.queries)?
            };
            return Ok(losses::divergence(&teacher, &logits(&output.latents.readout.queries)?)?);
        }
        let made = output.latents.reasoning.as_ref().ok_or_else(|| StepError::Batch {
            part: "teacher",
            expected: "a network with a reasoning adapter".into(),
            found: "one without".into(),
        })?;
        Ok(losses::reasoning(&teacher.anchors, made, self.settings.reasoning_loss)?)
    }
}

/// Compares the anchors of teacher and student.
pub(super) fn diagnose(teacher: &Tensor, student: &Tensor) -> Result<Diagnostics, StepError> {
    let _no_grad = tch::no_grad_guard();
    if teacher.numel() == 0 || teacher.size() != student.size() {
        return Ok(Diagnostics::default());
    }
    let alike = Tensor::f_cosine_similarity(teacher, student, -1, 1e-8)?.f_mean(Kind::Double)?;
    let spread = teacher.f_var_dim(&[0i64][..], false, false)?.f_mean(Kind::Double)?;
    Ok(Diagnostics {
        cosine: Some(alike.f_double_value(&[])?),
        teacher_variance: Some(spread.f_double_value(&[])?),
    })
}
