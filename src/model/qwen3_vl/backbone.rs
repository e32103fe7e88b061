//! Qwen3-VL: vision tower, language model and text head.

use tch::Tensor;

use crate::torch_ext::memory::ReturnedAtOnce;

use super::inputs::SequencePlan;
use super::kv_cache::KvCache;
use super::prefix_cache::PrefixCache;
use super::text_model::{PassOptions, TextModel, TokenPiece, VisualInput};
use super::vision::{VisionOutput, VisionTower};
use super::vision_plan::VisionPlan;
use crate::model::config::Qwen3VlConfig;
use crate::model::error::ModelError;
use crate::model::layers::Linear;
use crate::model::layers::activation_checkpointing::Tape;
use crate::model::layers::parameters::{Parameter, ParameterLayout, ParameterSource, Scope};

/// The backbone. Fields have the names of the checkpoint's keys.
#[derive(Debug)]
pub struct Backbone {
    model: Model,
    lm_head: Head,
}

#[derive(Debug)]
struct Model {
    visual: VisionTower,
    language_model: TextModel,
}

#[derive(Debug)]
enum Head {
    Tied,
    Own(Linear),
}

impl Backbone {
    /// Builds the backbone that `config` describes from a source of tensors.
    ///
    /// # Errors
    /// When a tensor is not available.
    pub fn new(root: &Scope, config: &Qwen3VlConfig) -> Result<Self, ModelError> {
        let _while_packing = root.forward_only().then(ReturnedAtOnce::begin);
        let (model, text) = (root.at("model"), &config.text_config);
        Ok(Self {
            model: Model {
                visual: VisionTower::new(model.at("visual"), &config.vision_config)?,
                language_model: TextModel::new(model.at("language_model"), text)?,
            },
            lm_head: match config.tie_word_embeddings {
                true => Head::Tied,
                false => Head::Own(Linear::unbiased(root.at("lm_head"), text.hidden_size, text.vocab_size)?),
            },
        })
    }

    /// Returns the tensors of a backbone of this configuration, in the order in which it is built.
    ///
    /// # Errors
    /// When the configuration is invalid.
    pub fn layout(config: &Qwen3VlConfig) -> Result<Vec<Parameter>, ModelError> {
        config.validate()?;
        let layout = ParameterLayout::default();
        Self::new(&Scope::new(&layout), config)?;
        Ok(layout.into_parameters())
    }

    /// Builds a backbone without an action part.
    ///
    /// # Errors
    /// When the configuration is invalid or a tensor is not available.
    pub fn from_source(config: &Qwen3VlConfig, source: &dyn ParameterSource) -> Result<Self, ModelError> {
        config.validate()?;
        Self::new(&Scope::new(source), config)
    }

    /// Runs the vision tower; `tap` is the block (from 0) whose output is returned as it is.
    ///
    /// # Shapes
    /// pixels: (Σpatches, patch values), all images of all sequences in order, in merge-block order
    pub fn encode_images(
        &self,
        pixels: &Tensor,
        plan: &VisionPlan,
        tap: Option<i64>,
    ) -> Result<VisionOutput, ModelError> {
        self.model.visual.forward(pixels, plan, tap)
    }

    /// Runs the vision tower up to its mergers; see
    /// [`VisionTower::block_states`](super::vision::VisionTower::block_states).
    pub fn block_states(
        &self,
        pixels: &Tensor,
        plan: &VisionPlan,
        tap: Option<i64>,
    ) -> Result<Vec<Tensor>, ModelError> {
        self.model.visual.block_states(pixels, plan, tap)
    }

    /// Returns the tapped one of the outputs of [`Self::block_states`].
    pub fn tapped(&self, states: &[Tensor], tap: i64) -> Result<Tensor, ModelError> {
        self.model.visual.tapped(states, tap)
    }

    /// Runs the vision tower's mergers; see [`VisionTower::merge`](super::vision::VisionTower::merge).
    pub fn merge(&self, states: &[Tensor], tap: Option<i64>) -> Result<VisionOutput, ModelError> {
        self.model.visual.merge(states, tap)
    }

    /// Runs the language model; returns the last layer's output, before the final norm.
    ///
    /// # Shapes
    /// plan of B sequences of L tokens → (B, L, D)
    pub fn forward_text(&self, encoded: &VisionOutput, plan: &SequencePlan) -> Result<Tensor, ModelError> {
        self.forward_text_with(Some(encoded), plan, PassOptions::default())
    }

    /// Like [`Self::forward_text`], also for text without images; stores what `pass` asks for.
    pub fn forward_text_with(
        &self,
        encoded: Option<&VisionOutput>,
        plan: &SequencePlan,
        pass: PassOptions,
    ) -> Result<Tensor, ModelError> {
        Ok(self.model.language_model.forward(plan, encoded.map(visual), pass)?)
    }

    /// Like `forward_text`, but returns only the R tokens that are read of each sequence: reasoning anchors, then action
    /// queries.
    ///
    /// # Shapes
    /// plan of B sequences of L tokens → (B, R, D)
    pub fn forward_text_at_readout(
        &self,
        encoded: &VisionOutput,
        plan: &SequencePlan,
        pass: PassOptions,
    ) -> Result<Tensor, ModelError> {
        let model = &self.model.language_model;
        Ok(model.forward_at_readout(plan, Some(visual(encoded)), pass)?)
    }

    /// Propagates gradients back through the language model, for a pass of this plan recorded on a tape, once
    /// everything after the pass has been differentiated.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn backward(&self, tape: &Tape, plan: &SequencePlan) -> Result<(), ModelError> {
        Ok(self.model.language_model.backward(tape, plan)?)
    }

    /// Runs the language model on tokens that follow a stored prefix of each sequence.
    ///
    /// # Shapes
    /// plan of B sequences of S further tokens → (B, R, D)
    pub fn forward_text_with_prefix(&self, prefix: &PrefixCache, plan: &SequencePlan) -> Result<Tensor, ModelError> {
        Ok(self.model.language_model.forward_with_prefix(plan, prefix)?)
    }

    /// Extends a sequence; returns the language model's state at the last of the new tokens, before the final norm.
    ///
    /// # Shapes
    /// T tokens → (1, 1, D)
    ///
    /// # Errors
    /// When libtorch fails; the cache must not be used then.
    pub fn read(&self, piece: &TokenPiece, cache: &mut KvCache) -> Result<Tensor, ModelError> {
        let states = self.model.language_model.extend(piece, cache)?;
        let last = states.f_narrow(1, piece.ids.len() as i64 - 1, 1)?;
        // Flattening drops the strides of the full tensor, for which libtorch would otherwise copy the text head.
        Ok(last.f_reshape([-1])?.f_reshape([1, 1, -1])?)
    }

    /// Applies the final norm.
    ///
    /// # Shapes
    /// (…, D) → the same
    pub fn norm(&self, states: &Tensor) -> Result<Tensor, ModelError> {
        Ok(self.model.language_model.norm(states)?)
    }

    /// Applies final norm and text head; returns the logits of the next token.
    ///
    /// # Shapes
    /// states before the final norm, (…, D) → logits (…, vocabulary)
    pub fn logits(&self, states: &Tensor) -> Result<Tensor, ModelError> {
        self.logits_of_normed(&self.norm(states)?)
    }

    /// Applies the text head to states after the final norm.
    ///
    /// # Shapes
    /// states after the final norm, (…, D) → logits (…, vocabulary)
    pub fn logits_of_normed(&self, normed: &Tensor) -> Result<Tensor, ModelError> {
        match &self.lm_head {
            Head::Tied => Ok(self.model.language_model.unembed(normed)?),
            Head::Own(head) => Ok(head.forward(normed)?),
        }
    }
}

fn visual(encoded: &VisionOutput) -> VisualInput<'_> {
    VisualInput {
        tokens: &encoded.tokens,
        deepstack: &encoded.deepstack,
    }
}
