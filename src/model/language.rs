//! Qwen3-VL's language model: embeddings in, hidden states out.

use tch::{Device, Kind, TchError, Tensor};

use super::config::TextConfig;
use super::error::ModelError;
use super::layers::{Linear, RmsNorm};
use super::parameters::{Init, Scope};
use super::rotary::Rotation;
use super::sequence::SequencePlan;
use super::text::cache::{KvCache, LayerCache};

/// The language model without its text head.
#[derive(Debug)]
pub struct LanguageModel {
    embed_tokens: Tensor,
    layers: Vec<Layer>,
    norm: RmsNorm,
    rope: TextConfig,
}

/// What images add to the text.
#[derive(Debug, Clone, Copy)]
pub struct VisualInput<'a> {
    /// Embeddings that replace the image tokens, (ΣN, D).
    pub tokens: &'a Tensor,
    /// What is added at the same places after the first layers, (ΣN, D) each.
    pub deepstack: &'a [Tensor],
}

/// The next tokens of one sequence whose beginning is in a cache.
#[derive(Debug, Clone, Copy)]
pub struct Piece<'a> {
    /// Token ids, T.
    pub ids: &'a [i64],
    /// Time, row and column of each token, 3 x T.
    pub positions: &'a [Vec<i64>; 3],
    /// Which of the tokens are image tokens, in order, N.
    pub image_rows: &'a [i64],
    /// What replaces them and is added to them, N rows each.
    pub visual: Option<VisualInput<'a>>,
}

/// Where tokens stand and what they may attend to.
#[derive(Debug, Clone, Copy)]
struct Outlook<'a> {
    rotation: &'a Rotation,
    /// Everything that may be attended to, (…, tokens, tokens and cached ones).
    mask: Option<&'a Tensor>,
    /// Without a mask: whether a token is blind to those behind it. A single token behind cached ones has none.
    causal: bool,
}

impl LanguageModel {
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

    /// The last layer's output, before the final norm.
    ///
    /// # Shapes
    /// plan of B sequences of L tokens → (B, L, D)
    pub fn forward(&self, plan: &SequencePlan, visual: VisualInput) -> Result<Tensor, TchError> {
        let (batch, length) = plan.ids.size2()?;
        let embedded = Tensor::f_embedding(&self.embed_tokens, &plan.ids, -1, false, false)?;
        let flat = embedded.f_reshape([batch * length, -1])?;
        let mut x = flat
            .f_index_copy(0, &plan.image_rows, visual.tokens)?
            .f_reshape([batch, length, -1])?;
        let mut deepstack = visual.deepstack.iter();
        let outlook = Outlook {
            rotation: &plan.rotation,
            mask: plan.mask.as_ref(),
            causal: plan.mask.is_none(),
        };
        for layer in &self.layers {
            x = layer.forward(&x, outlook, None)?;
            if let Some(level) = deepstack.next() {
                x = x
                    .f_reshape([batch * length, -1])?
                    .f_index_add(0, &plan.image_rows, level)?
                    .f_reshape([batch, length, -1])?;
            }
        }
        Ok(x)
    }

    /// The last layer's output for the next tokens of a sequence, before the final norm. The cache holds what came
    /// before and takes them up; it is of no use after an error.
    ///
    /// # Shapes
    /// T tokens → (1, T, D)
    pub fn extend(&self, piece: &Piece, cache: &mut KvCache) -> Result<Tensor, ModelError> {
        let device = self.embed_tokens.device();
        let on_device = |values: &[i64]| Tensor::f_from_slice(values)?.f_to_device(device);
        let (length, before) = (piece.ids.len() as i64, cache.len());
        let positions = on_device(&piece.positions.concat())?.f_reshape([3, 1, length])?;
        let rotation = Rotation::of_tokens(&positions, &self.rope, self.embed_tokens.f_kind()?)?;
        let mask = match (before, length) {
            (0, _) | (_, 1) => None,
            _ => Some(behind(before, length, device)?),
        };
        let outlook = Outlook {
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
                .forward(&x.f_unsqueeze(0)?, outlook, Some(cache))?
                .f_squeeze_dim(0)?;
            if let Some(level) = deepstack.next() {
                x = x.f_index_add(0, &rows, level)?;
            }
        }
        Ok(x.f_unsqueeze(0)?)
    }

    /// The embedding as text head.
    ///
    /// # Shapes
    /// states after the final norm, (…, D) → logits (…, vocabulary)
    pub fn unembed(&self, states: &Tensor) -> Result<Tensor, TchError> {
        states.f_linear(&self.embed_tokens, None::<&Tensor>)
    }

    /// The final norm.
    ///
    /// # Shapes
    /// (…, D) → the same
    pub fn norm(&self, x: &Tensor) -> Result<Tensor, TchError> {
        self.norm.forward(x)
    }
}

#[derive(Debug)]
struct Layer {
    input_layernorm: RmsNorm,
    self_attn: Attention,
    post_attention_layernorm: RmsNorm,
    mlp: Mlp,
}

impl Layer {
    fn new(scope: Scope, c: &TextConfig) -> Result<Self, ModelError> {
        let norm = |name| RmsNorm::new(scope.at(name), c.hidden_size, c.rms_norm_eps);
        Ok(Self {
            input_layernorm: norm("input_layernorm")?,
            self_attn: Attention::new(scope.at("self_attn"), c)?,
            post_attention_layernorm: norm("post_attention_layernorm")?,
            mlp: Mlp::new(scope.at("mlp"), c)?,
        })
    }

    fn forward(&self, x: &Tensor, outlook: Outlook, cache: Option<&mut LayerCache>) -> Result<Tensor, TchError> {
        let normed = self.input_layernorm.forward(x)?;
        let x = x.f_add(&self.self_attn.forward(&normed, outlook, cache)?)?;
        x.f_add(&self.mlp.forward(&self.post_attention_layernorm.forward(&x)?)?)
    }
}

/// Grouped-query attention with a norm on every query and key head.
#[derive(Debug)]
struct Attention {
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    o_proj: Linear,
    q_norm: RmsNorm,
    k_norm: RmsNorm,
    head_dim: i64,
}

impl Attention {
    fn new(scope: Scope, c: &TextConfig) -> Result<Self, ModelError> {
        let queries = c.num_attention_heads * c.head_dim;
        let keys = c.num_key_value_heads * c.head_dim;
        Ok(Self {
            q_proj: Linear::unbiased(scope.at("q_proj"), c.hidden_size, queries)?,
            k_proj: Linear::unbiased(scope.at("k_proj"), c.hidden_size, keys)?,
            v_proj: Linear::unbiased(scope.at("v_proj"), c.hidden_size, keys)?,
            o_proj: Linear::unbiased(scope.at("o_proj"), queries, c.hidden_size)?,
            q_norm: RmsNorm::new(scope.at("q_norm"), c.head_dim, c.rms_norm_eps)?,
            k_norm: RmsNorm::new(scope.at("k_norm"), c.head_dim, c.rms_norm_eps)?,
            head_dim: c.head_dim,
        })
    }

    fn forward(&self, x: &Tensor, outlook: Outlook, cache: Option<&mut LayerCache>) -> Result<Tensor, TchError> {
        let (batch, length, _) = x.size3()?;
        let heads = |x: Tensor| x.f_reshape([batch, length, -1, self.head_dim]);
        let turned = |x: Tensor, norm: &RmsNorm, rotation: &Rotation| {
            rotation.apply(&norm.forward(&heads(x)?)?.f_transpose(1, 2)?)
        };
        let q = turned(self.q_proj.forward(x)?, &self.q_norm, outlook.rotation)?;
        let k = turned(self.k_proj.forward(x)?, &self.k_norm, outlook.rotation)?;
        let v = heads(self.v_proj.forward(x)?)?.f_transpose(1, 2)?;
        let (k, v) = match cache {
            Some(cache) => {
                let all = cache.extend(&k, &v)?;
                (all.keys, all.values)
            }
            None => (k, v),
        };
        let attended =
            Tensor::f_scaled_dot_product_attention(&q, &k, &v, outlook.mask, 0.0, outlook.causal, None, true)?;
        self.o_proj
            .forward(&attended.f_transpose(1, 2)?.f_reshape([batch, length, -1])?)
    }
}

#[derive(Debug)]
struct Mlp {
    gate_proj: Linear,
    up_proj: Linear,
    down_proj: Linear,
}

impl Mlp {
    fn new(scope: Scope, c: &TextConfig) -> Result<Self, ModelError> {
        let (width, inner) = (c.hidden_size, c.intermediate_size);
        Ok(Self {
            gate_proj: Linear::unbiased(scope.at("gate_proj"), width, inner)?,
            up_proj: Linear::unbiased(scope.at("up_proj"), width, inner)?,
            down_proj: Linear::unbiased(scope.at("down_proj"), inner, width)?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let gate = self.gate_proj.forward(x)?.f_silu()?;
        self.down_proj.forward(&gate.f_mul(&self.up_proj.forward(x)?)?)
    }
}

/// Who may attend to whom when tokens follow cached ones: everyone to all before and to himself.
///
/// # Shapes
/// → (length, before + length)
fn behind(before: i64, length: i64, device: Device) -> Result<Tensor, TchError> {
    Tensor::f_ones([length, before + length], (Kind::Bool, device))?.f_tril(before)
}
