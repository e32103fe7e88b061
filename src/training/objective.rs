//! Method of 3DThinkVLA: from batches to losses.

use std::path::Path;

use tch::{Device, Kind, Tensor};

use crate::model::checkpoint::{CheckpointOptions, Manifest, Placement};
use crate::model::config::{Config, HiddenTap};
use crate::model::layers::activation_checkpointing::Tape;
use crate::model::qwen3_vl::inputs::SequencePlan;
use crate::model::qwen3_vl::prefix_cache::PrefixCache;
use crate::model::qwen3_vl::text_model::PassOptions;
use crate::model::qwen3_vl::vision::VisionOutput;
use crate::model::qwen3_vl::vision_plan::VisionPlan;
use crate::model::thinkvla::network::{Network, Output, ReadoutStates};
use crate::model::thinkvla::prompt::Prompt;

use super::batch::{Answered, LossCounts, MASKED, Pictures, VlaBatch, VlmBatch};
use super::config::settings::{Distill, MethodSettings};
use super::error::StepError;
use super::losses;
use super::projection_similarity::{self, Similarity};
use crate::model::trainable::{NetworkParameters, Selection};

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

/// State for the backward pass through layers that have recorded nothing.
#[derive(Debug, Default)]
struct Replay {
    tape: Tape,
    plan: Option<SequencePlan>,
    /// Output of the vision tower.
    seen: Option<VisionOutput>,
    /// The same output as leaves, which the language model and the adapters received.
    leaves: Option<VisionOutput>,
}

impl Replay {
    fn of(self, plan: SequencePlan, leaves: Option<VisionOutput>) -> Self {
        Self {
            plan: Some(plan),
            leaves,
            ..self
        }
    }
}

/// Output of the language model for demonstrations.
struct Student {
    readout: ReadoutStates,
    prefix: Option<PrefixCache>,
}

impl Objective {
    /// Creates the method for a network with these settings.
    pub fn new(
        (network, parameters): (Network, NetworkParameters),
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

    /// Loads the network of a checkpoint directory for training.
    ///
    /// # Errors
    /// When the checkpoint cannot be read, or the selection names a module that it lacks.
    pub fn load(
        directory: &Path,
        placement: Placement,
        (selection, seed): (&Selection, u64),
        settings: MethodSettings,
    ) -> Result<Self, StepError> {
        let manifest = Manifest::read(directory, &CheckpointOptions::default())?;
        let built = manifest.trainable(placement, selection, seed)?;
        Self::new(built, manifest.config()?, settings)
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
        let student = self.forward_text(batch, &encoded, (&plan, replay.as_mut()))?;
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

    /// Computes the loss of answers to questions; see [`Self::vla`].
    ///
    /// # Errors
    /// As for [`Self::vla`].
    pub fn vlm(&self, batch: &VlmBatch, totals: &LossCounts) -> Result<TextLoss, StepError> {
        let prompts: Vec<Prompt> = batch.conversations.iter().map(|one| one.prompt.clone()).collect();
        let plan = SequencePlan::packed(&prompts, &self.config.text_config, (self.kind, self.device))?;
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
        let Learned { rows, tokens } = Learned::of(&batch.conversations)?;
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

    fn backward(&self, total: &Tensor, replay: Option<&Replay>) -> Result<(), StepError> {
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
    fn recorded(&self, seen: VisionOutput) -> Result<(VisionOutput, Option<Replay>), StepError> {
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
            self.parameters.forget_gradients()?;
            copy.ok_or_else(|| StepError::Batch {
                part: "projection-space similarity",
                expected: format!("a selection that trains {key}"),
                found: "one that does not".into(),
            })
        };
        self.parameters.forget_gradients()?;
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
        let plan = SequencePlan::new(&batch.student, &self.config.text_config, (self.kind, self.device))?;
        Ok(plan.with_state(state.transpose()?))
    }

    /// Computes the geometry loss alone; nothing after the vision tower is computed.
    fn alignment(&self, batch: &VlaBatch, totals: &LossCounts) -> Result<Losses, StepError> {
        let images = VisionPlan::new(&batch.pictures.grids, &self.config.vision_config, self.device)?;
        let pixels = batch.pictures.pixels.f_to_device(self.device)?.f_to_kind(self.kind)?;
        let made = self.network.geometry_latents(&pixels, &images)?;
        let plan = self.plan(batch)?;
        let sum = match (&batch.geometry_target, &made) {
            (Some(_), Some(made)) => self.unlike_target(batch, made, &plan)?,
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
    fn distils(&self) -> bool {
        let adapted = self.config.thinkvla.reasoning.as_ref().is_some_and(|of| of.adapter);
        match self.settings.distill {
            Distill::None => false,
            Distill::Anchor => adapted,
            Distill::Privileged => true,
        }
    }

    fn forward_text(
        &self,
        batch: &VlaBatch,
        encoded: &VisionOutput,
        (plan, replay): (&SequencePlan, Option<&mut Replay>),
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

    /// Runs the teacher, without gradients; `None` without distillation.
    fn teach(
        &self,
        batch: &VlaBatch,
        encoded: &VisionOutput,
        prefix: Option<PrefixCache>,
    ) -> Result<Option<ReadoutStates>, StepError> {
        if !self.distils() {
            return Ok(None);
        }
        let _no_grad = tch::no_grad_guard();
        let (text, place) = (&self.config.text_config, (self.kind, self.device));
        Ok(Some(match prefix {
            Some(prefix) => {
                let plan = SequencePlan::after_prefix(&batch.student, &batch.teacher, text, place)?;
                self.network.forward_text_with_prefix(&prefix, &plan)?
            }
            None => {
                let prompts: Vec<Prompt> = batch.teacher.iter().map(|one| one.prompt.clone()).collect();
                let plan = SequencePlan::new(&prompts, text, place)?;
                self.network.forward_text(encoded, &plan)?
            }
        }))
    }

    fn action(&self, batch: &VlaBatch, output: &Output) -> Result<Tensor, StepError> {
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

    fn geometry(&self, batch: &VlaBatch, output: &Output, plan: &SequencePlan) -> Result<Option<Tensor>, StepError> {
        let (Some(_), Some(made)) = (&batch.geometry_target, &output.latents.geometry) else {
            return Ok(None);
        };
        self.unlike_target(batch, made, plan).map(Some)
    }

    /// Cosine distance of latents from their targets, summed over patches by their weights.
    fn unlike_target(&self, batch: &VlaBatch, made: &Tensor, plan: &SequencePlan) -> Result<Tensor, StepError> {
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
        let made = made.f_index_select(0, plan.raster())?;
        Ok(match &batch.geometry_weights {
            Some(weights) => losses::weighted_cosine(&target, &made, &weights.f_to_device(self.device)?)?,
            None => losses::cosine(&target, &made)?,
        })
    }

    fn reasoning(&self, teacher: &ReadoutStates, output: &Output) -> Result<Tensor, StepError> {
        if self.settings.distill == Distill::Privileged {
            let said = |queries: &Tensor| -> Result<Tensor, StepError> {
                let (queries, backbone) = (queries.f_to_kind(self.kind)?, self.network.backbone());
                Ok(match self.config.thinkvla.hidden_tap {
                    HiddenTap::PreNorm => backbone.logits(&queries)?,
                    HiddenTap::PostNorm => backbone.logits_of_normed(&queries)?,
                })
            };
            let teacher = {
                let _no_grad = tch::no_grad_guard();
                said(&teacher.queries)?
            };
            return Ok(losses::divergence(&teacher, &said(&output.latents.readout.queries)?)?);
        }
        let made = output.latents.reasoning.as_ref().ok_or_else(|| StepError::Batch {
            part: "teacher",
            expected: "a network with a reasoning adapter".into(),
            found: "one without".into(),
        })?;
        Ok(losses::reasoning(&teacher.anchors, made, self.settings.reasoning_loss)?)
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

/// Rows of states, and the tokens that they predict, of concatenated conversations.
struct Learned {
    rows: Vec<i64>,
    tokens: Vec<i64>,
}

impl Learned {
    fn of(conversations: &[Answered]) -> Result<Self, StepError> {
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

fn diagnose(teacher: &Tensor, student: &Tensor) -> Result<Diagnostics, StepError> {
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
