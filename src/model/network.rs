//! The whole network: Qwen3-VL, adapters, additive integration, action head.

use tch::{Kind, Tensor};

use super::backbone::Backbone;
use super::config::{Config, GeoPool, HiddenTap};
use super::error::ModelError;
use super::heads::{ActionHead, ActionHeadSize, Adapter, Projector};
use super::parameters::{Layout, Parameter, Scope, Source};
use super::sequence::SequencePlan;
use super::vision::VisionOutput;
use super::vision_plan::VisionPlan;

/// 3DThinkVLA as it runs on the robot. Fields are named as the checkpoint's keys are.
#[derive(Debug)]
pub struct Network {
    backbone: Backbone,
    action_model: ActionModel,
    geo_adapter: Adapter,
    geo_proj: Projector,
    reason_adapter: Adapter,
    reason_proj: Projector,
    taps: Taps,
}

#[derive(Debug)]
struct ActionModel {
    model: ActionHead,
}

#[derive(Debug, Clone, Copy)]
struct Taps {
    geometry_block: i64,
    hidden: HiddenTap,
    pool: GeoPool,
    chunk_len: i64,
}

/// States of the language model that the action part reads, in 32 bits.
#[derive(Debug)]
pub struct Thought {
    /// States of the action queries, H_A: (B, K, D).
    pub queries: Tensor,
    /// State of the reasoning anchor: (B, 1, D).
    pub anchor: Tensor,
}

/// What the network gives.
#[derive(Debug)]
pub struct Output {
    /// Normalised actions, (B, K, action dimension).
    pub actions: Tensor,
    /// What it was made of.
    pub latents: Latents,
}

/// The latents behind a chunk, in 32 bits.
#[derive(Debug)]
pub struct Latents {
    /// Geometry latents F^Geo of all patches, (Σpatches, geometry width), in merge-block order.
    pub geometry: Tensor,
    /// Reasoning latent Z_r, (B, 1, D).
    pub reasoning: Tensor,
    /// Language states the action part read.
    pub thought: Thought,
}

impl Network {
    /// Builds the network that `config` describes from a source of tensors.
    ///
    /// # Errors
    /// When the configuration cannot work or a tensor cannot be had.
    pub fn new(config: &Config, source: &dyn Source) -> Result<Self, ModelError> {
        config.validate()?;
        let (root, ours, width) = (Scope::new(source), &config.thinkvla, config.text_config.hidden_size);
        let head = root.clone().head();
        let patch = config.vision_config.hidden_size;
        let size = ActionHeadSize {
            inputs: width,
            hidden: ours.head_hidden,
            blocks: ours.head_blocks,
            outputs: ours.action_dim,
        };
        Ok(Self {
            backbone: Backbone::new(&root, config)?,
            action_model: ActionModel {
                model: ActionHead::new(head.at("action_model.model"), size)?,
            },
            geo_adapter: Adapter::new(head.at("geo_adapter"), patch, ours.geometry_width)?,
            geo_proj: Projector::new(head.at("geo_proj"), ours.geometry_width, width)?,
            reason_adapter: Adapter::new(head.at("reason_adapter"), width, width)?,
            reason_proj: Projector::new(head.at("reason_proj"), width, width)?,
            taps: Taps {
                geometry_block: ours.geometry_tap_block,
                hidden: ours.hidden_tap,
                pool: ours.geo_pool,
                chunk_len: ours.chunk_len,
            },
        })
    }

    /// The tensors a checkpoint of this configuration holds, in the order the network is built.
    ///
    /// # Errors
    /// When the configuration cannot work.
    pub fn layout(config: &Config) -> Result<Vec<Parameter>, ModelError> {
        let layout = Layout::default();
        Self::new(config, &layout)?;
        Ok(layout.into_parameters())
    }

    /// Vision tower with the geometry tap.
    ///
    /// # Shapes
    /// pixels: (Σpatches, patch values), all images of all sequences in order, in merge-block order
    pub fn see(&self, pixels: &Tensor, plan: &VisionPlan) -> Result<VisionOutput, ModelError> {
        self.backbone.see(pixels, plan, Some(self.taps.geometry_block))
    }

    /// Language model; gathers the states at the anchor and at the queries.
    pub fn think(&self, sight: &VisionOutput, plan: &SequencePlan) -> Result<Thought, ModelError> {
        let states = self.backbone.think_at_readers(sight, plan)?;
        let states = match self.taps.hidden {
            HiddenTap::PreNorm => states,
            HiddenTap::PostNorm => self.backbone.norm(&states)?,
        };
        let states = states.f_to_kind(Kind::Float)?;
        Ok(Thought {
            anchor: states.f_narrow(1, 0, 1)?,
            queries: states.f_narrow(1, 1, self.taps.chunk_len)?,
        })
    }

    /// The backbone: to be asked questions.
    pub fn backbone(&self) -> &Backbone {
        &self.backbone
    }

    /// Adapters, additive integration (3DThinkVLA (7)) and action head.
    pub fn act(&self, sight: &VisionOutput, thought: Thought, plan: &SequencePlan) -> Result<Output, ModelError> {
        let tap = sight.tap.as_ref().ok_or_else(|| ModelError::Observation {
            expected: "a view with the tap of the geometry adapter".into(),
            found: "one without".into(),
        })?;
        let geometry = self.geo_adapter.forward(&tap.f_to_kind(Kind::Float)?)?;
        let reasoning = self.reason_adapter.forward(&thought.anchor)?;
        let states = thought
            .queries
            .f_add(&self.geo_proj.forward(&self.pool(&geometry, plan)?)?)?
            .f_add(&self.reason_proj.forward(&reasoning)?)?;
        Ok(Output {
            actions: self.action_model.model.forward(&states)?,
            latents: Latents {
                geometry,
                reasoning,
                thought,
            },
        })
    }

    /// All three steps.
    pub fn forward(&self, pixels: &Tensor, images: &VisionPlan, plan: &SequencePlan) -> Result<Output, ModelError> {
        let sight = self.see(pixels, images)?;
        let thought = self.think(&sight, plan)?;
        self.act(&sight, thought, plan)
    }

    /// One geometry condition for each sequence, over the patches of all its views.
    ///
    /// # Shapes
    /// (Σpatches, width) → (B, 1, width)
    fn pool(&self, geometry: &Tensor, plan: &SequencePlan) -> Result<Tensor, ModelError> {
        let pooled = geometry
            .f_split_with_sizes(&plan.patches[..], 0)?
            .iter()
            .map(|patches| match self.taps.pool {
                GeoPool::Mean => patches.f_mean_dim(&[0i64][..], true, Kind::Float),
                GeoPool::Max => patches.f_amax([0i64], true),
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Tensor::f_stack(&pooled, 0)?)
    }
}
