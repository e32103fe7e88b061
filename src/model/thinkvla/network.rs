//! The whole network: Qwen3-VL, adapters, integration, action head.

use tch::{TchError, Tensor};

use super::action_head::{ActionHead, ActionHeadSize};
use super::adapters::Projector;
use super::latent_conditions::{ConditionMask, GeometryPerception, GeometrySize, Reasoning};
use super::pool::PatchRows;
use crate::model::config::{Config, HiddenTap, Proprio};
use crate::model::error::ModelError;
use crate::model::layers::parameters::{Parameter, ParameterLayout, ParameterSource, Scope};
use crate::model::layers::wide;
use crate::model::qwen3_vl::backbone::Backbone;
use crate::model::qwen3_vl::inputs::SequencePlan;
use crate::model::qwen3_vl::prefix_cache::PrefixCache;
use crate::model::qwen3_vl::text_model::PassOptions;
use crate::model::qwen3_vl::vision::VisionOutput;
use crate::model::qwen3_vl::vision_plan::VisionPlan;

/// 3DThinkVLA. Without geometry and reasoning it is Qwen3-VL-OFT.
#[derive(Debug)]
pub struct Network {
    backbone: Backbone,
    action_model: ActionModel,
    geometry: Option<GeometryPerception>,
    reasoning: Option<Reasoning>,
    proprio_projector: Option<Projector>,
    taps: Taps,
}

#[derive(Debug)]
struct ActionModel {
    model: ActionHead,
}

/// Points at which states are read.
#[derive(Debug, Clone, Copy)]
struct Taps {
    geometry_block: Option<i64>,
    queries: HiddenTap,
    anchors: HiddenTap,
}

/// States of the language model that the action part reads, in 32 bits.
#[derive(Debug)]
pub struct ReadoutStates {
    /// States of the action queries, H_A: (B, K, D).
    pub queries: Tensor,
    /// States of the reasoning anchors: (B, N, D), N being 0 without reasoning.
    pub anchors: Tensor,
}

/// Output of the network.
#[derive(Debug)]
pub struct Output {
    /// Normalised actions, (B, K, action dimension).
    pub actions: Tensor,
    /// Latents from which the actions were computed.
    pub latents: Latents,
}

/// The latents behind a chunk, in 32 bits.
#[derive(Debug)]
pub struct Latents {
    /// Geometry latents F^Geo of all patches, (Σpatches, geometry width), in merge-block order; `None` without
    /// geometry.
    pub geometry: Option<Tensor>,
    /// Reasoning latents Z, (B, N, D); `None` without reasoning.
    pub reasoning: Option<Tensor>,
    /// Language states that the action part read.
    pub readout: ReadoutStates,
}

impl Network {
    /// Builds the network that `config` describes from a source of tensors.
    ///
    /// # Errors
    /// When the configuration is invalid or a tensor is not available.
    pub fn new(config: &Config, source: &dyn ParameterSource) -> Result<Self, ModelError> {
        config.validate()?;
        let (root, ours, width) = (Scope::new(source), &config.thinkvla, config.text_config.hidden_size);
        let head = root.clone().head();
        let size = ActionHeadSize {
            inputs: width,
            hidden: ours.head_hidden,
            blocks: ours.head_blocks,
            outputs: ours.action_dim,
        };
        let connects = GeometrySize {
            patch: config.vision_config.hidden_size,
            query: width,
            chunk_len: ours.chunk_len,
        };
        let (geometry, reasoning) = (ours.geometry.as_ref(), ours.reasoning.as_ref());
        Ok(Self {
            backbone: Backbone::new(&root, config)?,
            action_model: ActionModel {
                model: ActionHead::new(head.at("action_model.model"), size)?,
            },
            geometry: geometry
                .map(|c| GeometryPerception::new(&head, c, connects))
                .transpose()?,
            reasoning: reasoning.map(|c| Reasoning::new(&head, c, width)).transpose()?,
            proprio_projector: (ours.proprio == Proprio::Projected)
                .then(|| Projector::new(head.at("proprio_projector"), ours.state_dim, width))
                .transpose()?,
            taps: Taps {
                geometry_block: geometry.map(|c| c.tap_block),
                queries: ours.hidden_tap,
                anchors: ours.anchor_tap(),
            },
        })
    }

    /// Returns the tensors of a checkpoint of this configuration, in the order in which the network is built.
    ///
    /// # Errors
    /// When the configuration is invalid.
    pub fn layout(config: &Config) -> Result<Vec<Parameter>, ModelError> {
        let layout = ParameterLayout::default();
        Self::new(config, &layout)?;
        Ok(layout.into_parameters())
    }

    /// Runs the vision tower with the geometry tap.
    ///
    /// # Shapes
    /// pixels: (Σpatches, patch values), all images of all sequences in order, in merge-block order
    pub fn encode_images(&self, pixels: &Tensor, plan: &VisionPlan) -> Result<VisionOutput, ModelError> {
        self.backbone.encode_images(pixels, plan, self.taps.geometry_block)
    }

    /// Runs the vision tower up to its mergers, the part that does not change while its blocks are frozen.
    ///
    /// # Shapes
    /// as [`Self::encode_images`] → (Σpatches, C) for each block that is read
    pub fn block_states(&self, pixels: &Tensor, plan: &VisionPlan) -> Result<Vec<Tensor>, ModelError> {
        self.backbone.block_states(pixels, plan, self.taps.geometry_block)
    }

    /// Completes [`Self::encode_images`] from the outputs of [`Self::block_states`].
    pub fn encode_images_from(&self, states: &[Tensor]) -> Result<VisionOutput, ModelError> {
        self.backbone.merge(states, self.taps.geometry_block)
    }

    /// Computes the geometry latents only, in 32 bits; `None` without geometry.
    ///
    /// # Shapes
    /// as [`Self::encode_images`] → (Σpatches, geometry width), in merge-block order
    pub fn geometry_latents(&self, pixels: &Tensor, plan: &VisionPlan) -> Result<Option<Tensor>, ModelError> {
        let (Some(geometry), Some(tap)) = (&self.geometry, self.taps.geometry_block) else {
            return Ok(None);
        };
        let states = self.backbone.block_states(pixels, plan, Some(tap))?;
        let tapped = self.backbone.tapped(&states, tap)?;
        Ok(Some(geometry.latents(&wide(&tapped)?)?))
    }

    /// Runs the language model; gathers the states of anchors and queries.
    pub fn forward_text(&self, encoded: &VisionOutput, plan: &SequencePlan) -> Result<ReadoutStates, ModelError> {
        self.forward_text_with(encoded, plan, PassOptions::default())
    }

    /// Like [`Self::forward_text`]; stores what [`Self::forward_text_with_prefix`] or the backward pass needs.
    pub fn forward_text_with(
        &self,
        encoded: &VisionOutput,
        plan: &SequencePlan,
        pass: PassOptions,
    ) -> Result<ReadoutStates, ModelError> {
        self.read(&self.backbone.forward_text_at_readout(encoded, plan, pass)?, plan)
    }

    /// Runs the language model on tokens that follow stored prefixes; `plan` is made by
    /// [`SequencePlan::after_prefix`]. No gradients flow back into the prefixes.
    pub fn forward_text_with_prefix(
        &self,
        prefix: &PrefixCache,
        plan: &SequencePlan,
    ) -> Result<ReadoutStates, ModelError> {
        self.read(&self.backbone.forward_text_with_prefix(prefix, plan)?, plan)
    }

    fn read(&self, states: &Tensor, plan: &SequencePlan) -> Result<ReadoutStates, ModelError> {
        let (_, readout_tokens, _) = states.size3()?;
        let anchors = plan.readout_tokens.anchors;
        let tapped = |start: i64, number: i64, tap: HiddenTap| -> Result<Tensor, ModelError> {
            let states = states.f_narrow(1, start, number)?;
            let states = match tap {
                HiddenTap::PreNorm => states,
                HiddenTap::PostNorm => self.backbone.norm(&states)?,
            };
            Ok(wide(&states)?)
        };
        Ok(ReadoutStates {
            anchors: tapped(0, anchors, self.taps.anchors)?,
            queries: tapped(anchors, readout_tokens - anchors, self.taps.queries)?,
        })
    }

    /// Returns the backbone, which can answer questions.
    pub fn backbone(&self) -> &Backbone {
        &self.backbone
    }

    /// Runs adapters, integration (3DThinkVLA (7)), the projector of the robot's state where there is one, and action
    /// head.
    pub fn predict_actions(
        &self,
        encoded: &VisionOutput,
        readout: ReadoutStates,
        plan: &SequencePlan,
    ) -> Result<Output, ModelError> {
        self.predict_actions_masked(encoded, readout, plan, &ConditionMask::default())
    }

    /// Like [`Self::predict_actions`], with conditions omitted for some samples. Their latents are computed all the same.
    pub fn predict_actions_masked(
        &self,
        encoded: &VisionOutput,
        readout: ReadoutStates,
        plan: &SequencePlan,
        mask: &ConditionMask,
    ) -> Result<Output, ModelError> {
        let mut states = readout.queries.shallow_clone();
        let mut latents = Latents {
            geometry: None,
            reasoning: None,
            readout,
        };
        if let Some(geometry) = &self.geometry {
            let tap = encoded.tap.as_ref().ok_or_else(|| ModelError::Observation {
                expected: "a view with the tap of the geometry adapter".into(),
                found: "one without".into(),
            })?;
            let made = geometry.latents(&wide(tap)?)?;
            let rows = PatchRows {
                counts: &plan.patches,
                raster: &plan.raster,
            };
            states = states.f_add(&masked(geometry.condition(&made, rows)?, mask.geometry.as_ref())?)?;
            latents.geometry = Some(made);
        }
        if let Some(reasoning) = &self.reasoning {
            let made = reasoning.latents(&latents.readout.anchors)?;
            let condition = reasoning.condition(&latents.readout.queries, &made)?;
            states = states.f_add(&masked(condition, mask.reasoning.as_ref())?)?;
            latents.reasoning = Some(made);
        }
        if let Some(projector) = &self.proprio_projector {
            let state = plan.state.as_ref().ok_or_else(|| ModelError::Observation {
                expected: "the robot's own state, as thinkvla.proprio says".into(),
                found: "none".into(),
            })?;
            let condition = projector.forward(&state.f_to_kind(states.f_kind()?)?)?;
            states = states.f_add(&condition.f_unsqueeze(1)?)?;
        }
        Ok(Output {
            actions: self.action_model.model.forward(&states)?,
            latents,
        })
    }

    /// Runs vision, language and action part.
    pub fn forward(&self, pixels: &Tensor, images: &VisionPlan, plan: &SequencePlan) -> Result<Output, ModelError> {
        let encoded = self.encode_images(pixels, images)?;
        let readout = self.forward_text(&encoded, plan)?;
        self.predict_actions(&encoded, readout, plan)
    }
}

/// # Shapes
/// condition: (B, 1 or K, D), shown: (B) → as the condition
fn masked(condition: Tensor, mask: Option<&Tensor>) -> Result<Tensor, TchError> {
    match mask {
        Some(mask) => condition.f_mul(&mask.f_reshape([-1, 1, 1])?.f_to_kind(condition.f_kind()?)?),
        None => Ok(condition),
    }
}
