//! Qwen3-VL's language model: from embeddings to hidden states.

use tch::{Device, Kind, TchError, Tensor};

use super::inputs::SequencePlan;
use super::kv_cache::KvCache;
use super::prefix_cache::{KvSource, PrefixCache};
use super::text_layer::{AttentionContext, Layer, gather_rows};
use crate::model::config::TextConfig;
use crate::model::error::ModelError;
use crate::model::layers::RmsNorm;
use crate::model::layers::activation_checkpointing::{LayerRun, Tape, backpropagate};
use crate::model::layers::parameters::{Init, Scope};
use crate::model::layers::rotary::Rotation;

/// The language model without its text head.
#[derive(Debug)]
pub struct TextModel {
    embed_tokens: Tensor,
    layers: Vec<Layer>,
    norm: RmsNorm,
    rope: TextConfig,
}

/// Image embeddings for the language model.
#[derive(Debug, Clone, Copy)]
pub struct VisualInput<'a> {
    /// Embeddings that replace the image tokens, (ΣN, D).
    pub tokens: &'a Tensor,
    /// Embeddings added at the same positions after the first layers, (ΣN, D) each.
    pub deepstack: &'a [Tensor],
}

/// Optional outputs of a pass through the layers.
#[derive(Debug, Default)]
pub struct PassOptions<'a> {
    /// Stores the keys and values that other continuations of the sequences need.
    pub keep: Option<&'a mut PrefixCache>,
    /// Records what the backward pass needs; the layers record no gradients then.
    pub tape: Option<&'a mut Tape>,
}

/// Inputs of a layer.
#[derive(Debug, Clone, Copy)]
struct LayerInput<'a> {
    plan: &'a SequencePlan,
    /// Whether only the states of the read-out tokens are needed.
    at_readout: bool,
}

/// Next tokens of one sequence whose beginning is in a cache.
#[derive(Debug, Clone, Copy)]
pub struct TokenPiece<'a> {
    /// Token ids, T.
    pub ids: &'a [i64],
    /// Time, row and column of each token, 3 x T.
    pub positions: &'a [Vec<i64>; 3],
    /// Positions of the image tokens among them, in order, N.
    pub image_rows: &'a [i64],
    /// Embeddings that replace and are added to the image tokens, N rows each.
    pub visual: Option<VisualInput<'a>>,
}

impl TextModel {
    /// Builds the model from `language_model.*`.
    pub fn new(scope: Scope, config: &TextConfig) -> Result<Self, ModelError> {
        let c = config;
        Ok(Self {
            embed_tokens: scope.at("embed_tokens").tensor(
                "weight",
                &[c.vocab_size, c.hidden_size],
                Init::Normal { std: 0.02 },
            )?,
            layers: (0..c.num_hidden_layers)
                .map(|i| Layer::new(scope.at("layers").at(i), c))
                .collect::<Result<_, _>>()?,
            norm: RmsNorm::new(scope.at("norm"), c.hidden_size, c.rms_norm_eps)?,
            rope: c.clone(),
        })
    }

    /// Returns the last layer's output for all tokens, before the final norm.
    ///
    /// # Shapes
    /// plan of B sequences of L tokens → (B, L, D)
    pub fn forward(
        &self,
        plan: &SequencePlan,
        visual: Option<VisualInput>,
        mut pass: PassOptions,
    ) -> Result<Tensor, TchError> {
        self.run(self.layers.len(), plan, visual, &mut pass)
    }

    /// Returns the last layer's output for the tokens that are read, before the final norm. The last layer is computed
    /// for these only.
    ///
    /// # Shapes
    /// plan of B sequences of L tokens, R of which are read → (B, R, D)
    pub fn forward_at_readout(
        &self,
        plan: &SequencePlan,
        visual: Option<VisualInput>,
        mut pass: PassOptions,
    ) -> Result<Tensor, TchError> {
        let injected = visual.map_or(0, |visual| visual.deepstack.len());
        let count = self.layers.len();
        match count.checked_sub(1) {
            Some(last) if injected <= last => {
                let x = self.run(last, plan, visual, &mut pass)?;
                let at_readout = LayerInput { plan, at_readout: true };
                self.through(last, &x, at_readout, &mut pass)
            }
            _ => gather_rows(&self.run(count, plan, visual, &mut pass)?, &plan.readout_tokens),
        }
    }

    /// Propagates gradients back through the layers of a recorded pass, once everything after it has been
    /// differentiated: to their weights and to the inputs of the pass.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn backward(&self, tape: &Tape, plan: &SequencePlan) -> Result<(), TchError> {
        for ran in tape.ran().iter().rev() {
            let gradient = ran.output.grad();
            if !gradient.defined() {
                continue;
            }
            let input = ran.input.f_detach()?.set_requires_grad(ran.input.requires_grad());
            let layer_input = LayerInput {
                plan,
                at_readout: ran.at_readout,
            };
            backpropagate(&[(&self.apply(ran.layer, &input, layer_input, KvSource::None)?, gradient)])?;
            backpropagate(&[(&ran.input, input.grad())])?;
        }
        Ok(())
    }

    /// Applies a layer of a pass; records it if there is a tape.
    fn through(
        &self,
        place: usize,
        x: &Tensor,
        layer_input: LayerInput,
        pass: &mut PassOptions,
    ) -> Result<Tensor, TchError> {
        let kv = pass.keep.as_deref_mut().map_or(KvSource::None, KvSource::Keep);
        let Some(tape) = &mut pass.tape else {
            return self.apply(place, x, layer_input, kv);
        };
        let output = {
            let _no_grad = tch::no_grad_guard();
            self.apply(place, x, layer_input, kv)?
        };
        let output = output.set_requires_grad(true);
        tape.note(LayerRun {
            layer: place,
            at_readout: layer_input.at_readout,
            input: x.shallow_clone(),
            output: output.shallow_clone(),
        });
        Ok(output)
    }

    fn apply(&self, place: usize, x: &Tensor, layer_input: LayerInput, kv: KvSource) -> Result<Tensor, TchError> {
        let plan = layer_input.plan;
        match self.layers.get(place) {
            Some(layer) if layer_input.at_readout => layer.forward_at(x, context(plan), &plan.readout_tokens, kv),
            Some(layer) => layer.forward(x, context(plan), kv),
            None => Ok(x.shallow_clone()),
        }
    }

    /// Like `forward_at_readout`, for text without images that follows stored prefixes of sequences.
    ///
    /// # Shapes
    /// plan of B sequences of S further tokens, R of which are read → (B, R, D)
    pub fn forward_with_prefix(&self, plan: &SequencePlan, prefix: &PrefixCache) -> Result<Tensor, TchError> {
        let mut x = Tensor::f_embedding(&self.embed_tokens, &plan.ids, -1, false, false)?;
        let count = self.layers.len();
        for ((layer, kept), place) in self.layers.iter().zip(prefix.layers()).zip(1..) {
            let kv = KvSource::Behind(kept);
            x = match place == count {
                true => layer.forward_at(&x, context(plan), &plan.readout_tokens, kv)?,
                false => layer.forward(&x, context(plan), kv)?,
            };
        }
        Ok(x)
    }

    /// Applies the first `count` layers.
    fn run(
        &self,
        count: usize,
        plan: &SequencePlan,
        visual: Option<VisualInput>,
        pass: &mut PassOptions,
    ) -> Result<Tensor, TchError> {
        let (batch, length) = plan.ids.size2()?;
        let mut x = Tensor::f_embedding(&self.embed_tokens, &plan.ids, -1, false, false)?;
        if let Some(visual) = visual {
            x = x
                .f_reshape([batch * length, -1])?
                .f_index_copy(0, &plan.image_rows, visual.tokens)?
                .f_reshape([batch, length, -1])?;
        }
        let mut deepstack = visual.map_or(&[][..], |visual| visual.deepstack).iter();
        let layer_input = LayerInput {
            plan,
            at_readout: false,
        };
        for place in 0..count {
            x = self.through(place, &x, layer_input, pass)?;
            if let Some(level) = deepstack.next() {
                x = x
                    .f_reshape([batch * length, -1])?
                    .f_index_add(0, &plan.image_rows, level)?
                    .f_reshape([batch, length, -1])?;
            }
        }
        Ok(x)
    }

    /// Returns the last layer's output for the next tokens of a sequence, before the final norm, and adds these tokens
    /// to the cache. The cache must not be used after an error.
    ///
    /// # Shapes
    /// T tokens → (1, T, D)
    pub fn extend(&self, piece: &TokenPiece, cache: &mut KvCache) -> Result<Tensor, ModelError> {
        let device = self.embed_tokens.device();
        let on_device = |values: &[i64]| Tensor::f_from_slice(values)?.f_to_device(device);
        let (length, before) = (piece.ids.len() as i64, cache.len());
        let positions = on_device(&piece.positions.concat())?.f_reshape([3, 1, length])?;
        let rotation = Rotation::of_tokens(&positions, &self.rope, self.embed_tokens.f_kind()?)?;
        let mask = match (before, length) {
            (0, _) | (_, 1) => None,
            _ => Some(causal_mask(before, length, device)?),
        };
        let context = AttentionContext {
            rotation: &rotation,
            mask: mask.as_ref(),
            causal: before == 0,
        };
        let rows = on_device(piece.image_rows)?;
        let mut x = Tensor::f_embedding(&self.embed_tokens, &on_device(piece.ids)?, -1, false, false)?;
        if let Some(visual) = piece.visual {
            x = x.f_index_copy(0, &rows, visual.tokens)?;
        }
        let mut deepstack = piece.visual.map_or(&[][..], |visual| visual.deepstack).iter();
        let caches = cache.next_pass(self.layers.len(), length);
        for (layer, cache) in self.layers.iter().zip(caches) {
            x = layer
                .forward(&x.f_unsqueeze(0)?, context, KvSource::Cache(cache))?
                .f_squeeze_dim(0)?;
            if let Some(level) = deepstack.next() {
                x = x.f_index_add(0, &rows, level)?;
            }
        }
        Ok(x.f_unsqueeze(0)?)
    }

    /// Applies the embedding as text head.
    ///
    /// # Shapes
    /// states after the final norm, (…, D) → logits (…, vocabulary)
    pub fn unembed(&self, states: &Tensor) -> Result<Tensor, TchError> {
        states.f_linear(&self.embed_tokens, None::<&Tensor>)
    }

    /// Applies the final norm.
    ///
    /// # Shapes
    /// (…, D) → the same
    pub fn norm(&self, x: &Tensor) -> Result<Tensor, TchError> {
        self.norm.forward(x)
    }
}

fn context(plan: &SequencePlan) -> AttentionContext<'_> {
    AttentionContext {
        rotation: &plan.rotation,
        mask: plan.mask.as_ref(),
        causal: plan.mask.is_none(),
    }
}

/// Returns the mask for tokens after cached ones: each attends to all before it and to itself.
///
/// # Shapes
/// → (length, before + length)
fn causal_mask(before: i64, length: i64, device: Device) -> Result<Tensor, TchError> {
    Tensor::f_ones([length, before + length], (Kind::Bool, device))?.f_tril(before)
}
