//! Qwen3-VL: vision tower, language model and text head.

use tch::Tensor;

use crate::torch_ext::memory::ReturnedAtOnce;

use super::config::Qwen3VlConfig;
use super::error::ModelError;
use super::language::{LanguageModel, Pass, Piece, VisualInput};
use super::layers::Linear;
use super::parameters::{Layout, Parameter, Scope, Source};
use super::prefix::Prefix;
use super::recompute::Tape;
use super::sequence::SequencePlan;
use super::text::cache::KvCache;
use super::vision::{VisionOutput, VisionTower};
use super::vision_plan::VisionPlan;

/// The backbone. Fields are named as the checkpoint's keys are.
#[derive(Debug)]
pub struct Backbone {
    model: Model,
    lm_head: Head,
}

#[derive(Debug)]
struct Model {
    visual: VisionTower,
    language_model: LanguageModel,
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
    /// When a tensor cannot be had.
    pub fn new(root: &Scope, config: &Qwen3VlConfig) -> Result<Self, ModelError> {
        let _while_packing = root.forward_only().then(ReturnedAtOnce::begin);
        let (model, text) = (root.at("model"), &config.text_config);
        Ok(Self {
            model: Model {
                visual: VisionTower::new(model.at("visual"), &config.vision_config)?,
                language_model: LanguageModel::new(model.at("language_model"), text)?,
            },
            lm_head: match config.tie_word_embeddings {
                true => Head::Tied,
                false => Head::Own(Linear::unbiased(root.at("lm_head"), text.hidden_size, text.vocab_size)?),
            },
        })
    }

    /// The tensors of a backbone of this configuration, in the order it is built.
    ///
    /// # Errors
    /// When the configuration cannot work.
    pub fn layout(config: &Qwen3VlConfig) -> Result<Vec<Parameter>, ModelError> {
        config.validate()?;
        let layout = Layout::default();
        Self::new(&Scope::new(&layout), config)?;
        Ok(layout.into_parameters())
    }

    /// A backbone of its own.
    ///
    /// # Errors
    /// When the configuration cannot work or a tensor cannot be had.
    pub fn from_source(config: &Qwen3VlConfig, source: &dyn Source) -> Result<Self, ModelError> {
        config.validate()?;
        Self::new(&Scope::new(source), config)
    }

    /// Vision tower; `tap` is the block (from 0) whose output is given back as it is.
    ///
    /// # Shapes
    /// pixels: (Σpatches, patch values), all images of all sequences in order, in merge-block order
    pub fn see(&self, pixels: &Tensor, plan: &VisionPlan, tap: Option<i64>) -> Result<VisionOutput, ModelError> {
        self.model.visual.forward(pixels, plan, tap)
    }

    /// The vision tower up to its mergers; see [`VisionTower::block_states`](super::vision::VisionTower::block_states).
    pub fn block_states(
        &self,
        pixels: &Tensor,
        plan: &VisionPlan,
        tap: Option<i64>,
    ) -> Result<Vec<Tensor>, ModelError> {
        self.model.visual.block_states(pixels, plan, tap)
    }

    /// The tapped one of what [`Self::block_states`] gave.
    pub fn tapped(&self, states: &[Tensor], tap: i64) -> Result<Tensor, ModelError> {
        self.model.visual.tapped(states, tap)
    }

    /// The vision tower's mergers; see [`VisionTower::merge`](super::vision::VisionTower::merge).
    pub fn merge(&self, states: &[Tensor], tap: Option<i64>) -> Result<VisionOutput, ModelError> {
        self.model.visual.merge(states, tap)
    }

    /// Language model: the last layer's output, before the final norm.
    ///
    /// # Shapes
    /// plan of B sequences of L tokens → (B, L, D)
    pub fn think(&self, sight: &VisionOutput, plan: &SequencePlan) -> Result<Tensor, ModelError> {
        self.think_leaving(Some(sight), plan, Pass::default())
    }

    /// [`Self::think`], also about text without images, which leaves behind what is asked for.
    pub fn think_leaving(
        &self,
        sight: Option<&VisionOutput>,
        plan: &SequencePlan,
        pass: Pass,
    ) -> Result<Tensor, ModelError> {
        Ok(self.model.language_model.forward(plan, sight.map(visual), pass)?)
    }

    /// The same for the tokens alone that are read, R of each sequence: its reasoning anchor, then its action queries.
    ///
    /// # Shapes
    /// plan of B sequences of L tokens → (B, R, D)
    pub fn think_at_readers(
        &self,
        sight: &VisionOutput,
        plan: &SequencePlan,
        pass: Pass,
    ) -> Result<Tensor, ModelError> {
        let model = &self.model.language_model;
        Ok(model.forward_at_readers(plan, Some(visual(sight)), pass)?)
    }

    /// Lets gradients flow back through the language model, where a pass by this plan was put on a tape; what follows
    /// the pass has been differentiated.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn go_back(&self, tape: &Tape, plan: &SequencePlan) -> Result<(), ModelError> {
        Ok(self.model.language_model.go_back(tape, plan)?)
    }

    /// The same for what follows the beginnings of sequences that were kept.
    ///
    /// # Shapes
    /// plan of B sequences of S further tokens → (B, R, D)
    pub fn think_on(&self, prefix: &Prefix, plan: &SequencePlan) -> Result<Tensor, ModelError> {
        Ok(self.model.language_model.forward_behind(plan, prefix)?)
    }

    /// The language model's state at the last of the next tokens of a sequence, before the final norm.
    ///
    /// # Shapes
    /// T tokens → (1, 1, D)
    ///
    /// # Errors
    /// When libtorch refuses; the cache is of no use then.
    pub fn read(&self, piece: &Piece, cache: &mut KvCache) -> Result<Tensor, ModelError> {
        let states = self.model.language_model.extend(piece, cache)?;
        let last = states.f_narrow(1, piece.ids.len() as i64 - 1, 1)?;
        // By way of one dimension, which forgets the strides of the many: libtorch would copy the text head for them.
        Ok(last.f_reshape([-1])?.f_reshape([1, 1, -1])?)
    }

    /// The final norm.
    ///
    /// # Shapes
    /// (…, D) → the same
    pub fn norm(&self, states: &Tensor) -> Result<Tensor, ModelError> {
        Ok(self.model.language_model.norm(states)?)
    }

    /// The text head: which token comes next.
    ///
    /// # Shapes
    /// states before the final norm, (…, D) → logits (…, vocabulary)
    pub fn logits(&self, states: &Tensor) -> Result<Tensor, ModelError> {
        self.logits_of_normed(&self.norm(states)?)
    }

    /// The same behind the final norm.
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

fn visual(sight: &VisionOutput) -> VisualInput<'_> {
    VisualInput {
        tokens: &sight.tokens,
        deepstack: &sight.deepstack,
    }
}
