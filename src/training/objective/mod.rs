//! Method of 3DThinkVLA: from batches to losses.

mod answers;
mod replay;
mod terms;

use tch::{Device, Kind, Tensor};

use crate::model::config::Config;
use crate::model::qwen3_vl::inputs::SequencePlan;
use crate::model::qwen3_vl::prefix_cache::PrefixCache;
use crate::model::qwen3_vl::text_model::PassOptions;
use crate::model::qwen3_vl::vision::VisionOutput;
use crate::model::qwen3_vl::vision_plan::VisionPlan;
use crate::model::thinkvla::network::{Network, ReadoutStates};

use super::batch::{LossCounts, Pictures, VlaBatch, VlmBatch};
use super::config::settings::MethodSettings;
use super::error::StepError;
use super::projection_similarity::{self, Similarity};
use crate::model::trainable::NetworkParameters;
use replay::Replay;
use terms::diagnose;

/// Network that is trained, with its losses.
#[derive(Debug)]
pub struct Objective {
    network: Network,
    parameters: NetworkParameters,
    config: Config,
    settings: MethodSettings,
    /// Type of the backbone.
    kind: Kind,
    device: Device,
}

/// Losses of demonstrations. Each is a mean; the total is their weighted sum, of which gradients are taken.
#[derive(Debug)]
pub struct Losses {
    /// L_action; `None` if geometry alone is learned.
    pub action: Option<Tensor>,
    /// L_geo; `None` without geometry alignment.
    pub geometry: Option<Tensor>,
    /// L_reasoning, or the divergence with privileged information; `None` without distillation.
    pub reasoning: Option<Tensor>,
    /// L_vla of 3DThinkVLA (8).
    pub total: Tensor,
    /// Diagnostics of the distillation.
    pub diagnostics: Diagnostics,
    replay: Option<Replay>,
}

/// Diagnostics of the distillation.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Diagnostics {
    /// Mean cosine of the teacher's and the student's anchors before the adapter.
    pub cosine: Option<f64>,
    /// Variance of the teacher's anchors over the batch, averaged over channels: 0 when they do not depend on the
    /// input.
    pub teacher_variance: Option<f64>,
}

/// Loss of answers.
#[derive(Debug)]
pub struct TextLoss {
    /// L_CE, a mean over tokens.
    pub cross_entropy: Tensor,
    /// L_vlm of 3DThinkVLA (9).
    pub total: Tensor,
    replay: Option<Replay>,
}

/// Output of the language model for demonstrations.
struct Student {
    readout: ReadoutStates,
    prefix: Option<PrefixCache>,
}

impl Objective {
    /// Creates the method for a network with these settings.
    pub fn new(
        network: Network,
        parameters: NetworkParameters,
        config: Config,
        settings: MethodSettings,
    ) -> Result<Self, StepError> {
        let embedding = parameters.get(crate::model::checkpoint::weights::EMBEDDING);
        let (kind, device) = match embedding {
            Some(embedding) => (embedding.f_kind()?, embedding.device()),
            None => (Kind::Float, Device::Cpu),
        };
        Ok(Self {
            network,
            parameters,
            config,
            settings,
            kind,
            device,
        })
    }

    /// Returns the network.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Returns the tensors of the network.
    pub fn parameters(&self) -> &NetworkParameters {
        &self.parameters
    }

    /// Returns the configuration of the network.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Computes the losses of demonstrations; means are over `totals`, the batch's own [`VlaBatch::counts`] or those of
    /// a larger whole.
    ///
    /// # Errors
    /// When the batch does not fit the network, or a loss is not finite.
    pub fn vla(&self, batch: &VlaBatch, totals: &LossCounts) -> Result<Losses, StepError> {
        if self.settings.action_weight == 0.0 {
            return self.alignment(batch, totals);
        }
        let plan = self.plan(batch)?;
        let mut encoded = self.encode_images(&batch.pictures)?;
        if self.settings.detach_geometry_tap {
            encoded.tap = encoded.tap.map(|tap| tap.f_detach()).transpose()?;
        }
        let (encoded, mut replay) = self.recorded(encoded)?;
        let student = self.forward_text(batch, &encoded, &plan, replay.as_mut())?;
        let taught = self.teach(batch, &encoded, student.prefix)?;
        let output = self
            .network
            .predict_actions_masked(&encoded, student.readout, &plan, &batch.condition_mask)?;
        let action = mean(self.action(batch, &output)?, totals.actions)?;
        let mut total = action.f_mul_scalar(self.settings.action_weight)?;
        let mut add = |loss: &Option<Tensor>, weight: f64| -> Result<(), StepError> {
            if let Some(loss) = loss {
                total = total.f_add(&loss.f_mul_scalar(weight)?)?;
            }
            Ok(())
        };
        let geometry = self.geometry(batch, &output, &plan)?;
        let geometry = geometry.map(|sum| mean(sum, totals.patches)).transpose()?;
        add(&geometry, self.settings.geometry_weight)?;
        let reasoning = match &taught {
            Some(teacher) => Some(mean(self.reasoning(teacher, &output)?, totals.distilled)?),
            None => None,
        };
        add(&reasoning, self.settings.reasoning_weight)?;
        let diagnostics = match &taught {
            Some(teacher) => diagnose(&teacher.anchors, &output.latents.readout.anchors)?,
            None => Diagnostics::default(),
        };
        let losses = Losses {
            action: Some(action),
            geometry,
            reasoning,
            total,
            diagnostics,
            replay: replay.map(|replay| replay.of(plan, Some(encoded))),
        };
        losses.check()?;
        Ok(losses)
    }

    /// Computes the mean error of normalised actions, without any teacher and without gradients.
    ///
    /// # Errors
    /// When the batch does not fit the network, or the error is not finite.
    pub fn action_error(&self, batch: &VlaBatch, totals: &LossCounts) -> Result<f64, StepError> {
        let _no_grad = tch::no_grad_guard();
        let plan = self.plan(batch)?;
        let encoded = self.encode_images(&batch.pictures)?;
        let output = self.network.predict_actions_masked(
            &encoded,
            self.network.forward_text(&encoded, &plan)?,
            &plan,
            &batch.condition_mask,
        )?;
        let error = mean(self.action(batch, &output)?, totals.actions)?;
        finite("action error", &error)?;
        Ok(error.f_double_value(&[])?)
    }

    /// Backpropagates the losses of demonstrations to the weights.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn differentiate(&self, losses: &Losses) -> Result<(), StepError> {
        self.backward(&losses.total, losses.replay.as_ref())
    }

    /// Backpropagates the loss of answers to the weights.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn differentiate_text(&self, loss: &TextLoss) -> Result<(), StepError> {
        self.backward(&loss.total, loss.replay.as_ref())
    }

    /// Computes the projection-space similarity of the two streams' gradients in the query projection of the last
    /// language layer. Clears all gradients, before and after.
    ///
    /// # Errors
    /// As for [`Self::vla`] and [`Self::vlm`]; also when that projection is not trained.
    pub fn similarity(&self, vla: &VlaBatch, vlm: &VlmBatch) -> Result<Similarity, StepError> {
        let last = self.config.text_config.num_hidden_layers - 1;
        let key = format!("model.language_model.layers.{last}.self_attn.q_proj.weight");
        let gradient = || -> Result<Tensor, StepError> {
            let found = self.parameters.get(&key).map(Tensor::grad).filter(Tensor::defined);
            let copy = found.map(|gradient| gradient.f_detach_copy()).transpose()?;
            self.parameters.clear_gradients()?;
            copy.ok_or_else(|| StepError::Batch {
                part: "projection-space similarity",
                expected: format!("a selection that trains {key}"),
                found: "one that does not".into(),
            })
        };
        self.parameters.clear_gradients()?;
        self.differentiate(&self.vla(vla, &vla.counts()?)?)?;
        let acting = gradient()?;
        self.differentiate_text(&self.vlm(vlm, &vlm.counts())?)?;
        let speaking = gradient()?;
        Ok(projection_similarity::compare(&speaking, &acting)?)
    }

    /// Runs the vision tower.
    pub(super) fn encode_images(&self, pictures: &Pictures) -> Result<VisionOutput, StepError> {
        if let Some(kept) = &pictures.kept {
            let states = kept.f_to_device(self.device)?.f_to_kind(self.kind)?.f_unbind(0)?;
            return Ok(self.network.encode_images_from(&states)?);
        }
        let images = VisionPlan::new(&pictures.grids, &self.config.vision_config, self.device)?;
        let pixels = pictures.pixels.f_to_device(self.device)?.f_to_kind(self.kind)?;
        Ok(self.network.encode_images(&pixels, &images)?)
    }

    /// Computes the outputs of the vision blocks that are read, without gradients.
    ///
    /// # Shapes
    /// → (Σpatches, C) each, in merge-block order
    pub(super) fn block_states(&self, pictures: &Pictures) -> Result<Vec<Tensor>, StepError> {
        let _no_grad = tch::no_grad_guard();
        let images = VisionPlan::new(&pictures.grids, &self.config.vision_config, self.device)?;
        let pixels = pictures.pixels.f_to_device(self.device)?.f_to_kind(self.kind)?;
        Ok(self.network.block_states(&pixels, &images)?)
    }

    fn plan(&self, batch: &VlaBatch) -> Result<SequencePlan, StepError> {
        let state = batch.state.as_ref().map(|state| state.f_to_device(self.device));
        let plan = SequencePlan::new(&batch.student, &self.config.text_config, self.kind, self.device)?;
        Ok(plan.with_state(state.transpose()?))
    }

    fn forward_text(
        &self,
        batch: &VlaBatch,
        encoded: &VisionOutput,
        plan: &SequencePlan,
        replay: Option<&mut Replay>,
    ) -> Result<Student, StepError> {
        if self.distils() && batch.teacher.len() != batch.student.len() {
            return Err(StepError::Batch {
                part: "teacher",
                expected: format!("a prompt for each of {} samples", batch.student.len()),
                found: batch.teacher.len().to_string(),
            });
        }
        let mut prefix = (self.distils() && !self.settings.plain_teacher).then(PrefixCache::default);
        let pass = PassOptions {
            keep: prefix.as_mut(),
            tape: replay.map(|replay| &mut replay.tape),
        };
        Ok(Student {
            readout: self.network.forward_text_with(encoded, plan, pass)?,
            prefix,
        })
    }
}

impl Losses {
    fn check(&self) -> Result<(), StepError> {
        for (what, loss) in [
            ("action loss", &self.action),
            ("geometry loss", &self.geometry),
            ("reasoning loss", &self.reasoning),
        ] {
            if let Some(loss) = loss {
                finite(what, loss)?;
            }
        }
        Ok(())
    }
}

fn mean(sum: Tensor, count: f64) -> Result<Tensor, StepError> {
    Ok(sum.f_div_scalar(count)?)
}

fn finite(what: &str, loss: &Tensor) -> Result<(), StepError> {
    let found = loss.f_double_value(&[])?;
    match found.is_finite() {
        true => Ok(()),
        false => Err(StepError::NotFinite {
            what: what.into(),
            found,
        }),
    }
}
