//! Qwen3-VL's language model: embeddings in, hidden states out.

use tch::{TchError, Tensor};

use super::config::TextConfig;
use super::error::ModelError;
use super::layers::{Linear, RmsNorm};
use super::parameters::{Init, Scope};
use super::rotary::Rotation;
use super::sequence::SequencePlan;

/// The language model without its text head.
#[derive(Debug)]
pub struct LanguageModel {
    embed_tokens: Tensor,
    layers: Vec<Layer>,
    norm: RmsNorm,
}

/// What images add to the text.
#[derive(Debug, Clone, Copy)]
pub struct VisualInput<'a> {
    /// Embeddings that replace the image tokens, (ΣN, D).
    pub tokens: &'a Tensor,
    /// What is added at the same places after the first layers, (ΣN, D) each.
    pub deepstack: &'a [Tensor],
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
        for layer in &self.layers {
            x = layer.forward(&x, plan)?;
            if let Some(level) = deepstack.next() {
                x = x
                    .f_reshape([batch * length, -1])?
                    .f_index_add(0, &plan.image_rows, level)?
                    .f_reshape([batch, length, -1])?;
            }
        }
        Ok(x)
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

    fn forward(&self, x: &Tensor, plan: &SequencePlan) -> Result<Tensor, TchError> {
        let x = x.f_add(&self.self_attn.forward(&self.input_layernorm.forward(x)?, plan)?)?;
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

    fn forward(&self, x: &Tensor, plan: &SequencePlan) -> Result<Tensor, TchError> {
        let (batch, length, _) = x.size3()?;
        let heads = |x: Tensor| x.f_reshape([batch, length, -1, self.head_dim]);
        let turned = |x: Tensor, norm: &RmsNorm, rotation: &Rotation| {
            rotation.apply(&norm.forward(&heads(x)?)?.f_transpose(1, 2)?)
        };
        let q = turned(self.q_proj.forward(x)?, &self.q_norm, &plan.rotation)?;
        let k = turned(self.k_proj.forward(x)?, &self.k_norm, &plan.rotation)?;
        let v = heads(self.v_proj.forward(x)?)?.f_transpose(1, 2)?;
        let attended = Tensor::f_scaled_dot_product_attention(
            &q,
            &k,
            &v,
            plan.mask.as_ref(),
            0.0,
            plan.mask.is_none(),
            None,
            true,
        )?;
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
