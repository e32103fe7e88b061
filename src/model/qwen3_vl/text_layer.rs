//! Decoder layer of Qwen3-VL's language model: attention and MLP.

use tch::{TchError, Tensor};

use crate::torch_ext::linear::Epilogue;
use crate::torch_ext::rows::NormWeights;

use super::inputs::ReadoutTokens;
use super::kv_cache::KeyValues;
use super::prefix_cache::KvSource;
use crate::model::config::TextConfig;
use crate::model::error::ModelError;
use crate::model::layers::attention::attend;
use crate::model::layers::parameters::Scope;
use crate::model::layers::rotary::{Heads, Rotation};
use crate::model::layers::{FusedLinear, Linear, RmsNorm};

/// Positions of tokens and the mask of their attention.
#[derive(Debug, Clone, Copy)]
pub(super) struct AttentionContext<'a> {
    pub(super) rotation: &'a Rotation,
    /// Mask of attention, (…, tokens, tokens and cached ones).
    pub(super) mask: Option<&'a Tensor>,
    /// Whether attention is causal where there is no mask. A single token after cached ones attends to all.
    pub(super) causal: bool,
}

/// Decoder layer.
#[derive(Debug)]
pub(super) struct Layer {
    input_layernorm: RmsNorm,
    self_attn: Attention,
    post_attention_layernorm: RmsNorm,
    mlp: Mlp,
}

impl Layer {
    /// Builds a layer from `layers.N.*`.
    pub(super) fn new(scope: Scope, c: &TextConfig) -> Result<Self, ModelError> {
        let norm = |name| RmsNorm::new(scope.at(name), c.hidden_size, c.rms_norm_eps);
        Ok(Self {
            input_layernorm: norm("input_layernorm")?,
            self_attn: Attention::new(scope.at("self_attn"), c)?,
            post_attention_layernorm: norm("post_attention_layernorm")?,
            mlp: Mlp::new(scope.at("mlp"), c)?,
        })
    }

    /// Returns the states of all tokens.
    ///
    /// # Shapes
    /// (B, L, D) → the same
    pub(super) fn forward(&self, x: &Tensor, context: AttentionContext, kv: KvSource) -> Result<Tensor, TchError> {
        let normed = self.input_layernorm.forward(x)?;
        let x = self.self_attn.forward(&normed, x, context, kv)?;
        self.mlp.forward(&self.post_attention_layernorm.forward(&x)?, &x)
    }

    /// Returns the states of a few tokens of each sequence, which still attend to all.
    ///
    /// # Shapes
    /// (B, L, D) → (B, R, D)
    pub(super) fn forward_at(
        &self,
        x: &Tensor,
        context: AttentionContext,
        readout_tokens: &ReadoutTokens,
        kv: KvSource,
    ) -> Result<Tensor, TchError> {
        let normed = self.input_layernorm.forward(x)?;
        let x = self.self_attn.forward_at([&normed, x], context, readout_tokens, kv)?;
        self.mlp.forward(&self.post_attention_layernorm.forward(&x)?, &x)
    }
}

/// Grouped-query attention with a norm on every query and key head.
#[derive(Debug)]
struct Attention {
    /// `q_proj`, `k_proj` and `v_proj`.
    qkv: FusedLinear,
    o_proj: Linear,
    q_norm: RmsNorm,
    k_norm: RmsNorm,
    heads: Heads,
    head_dim: i64,
    one_pass: bool,
}

/// Rotated queries and keys, and values: (B, heads, L, head) each.
struct Projected {
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
}

impl Attention {
    fn new(scope: Scope, c: &TextConfig) -> Result<Self, ModelError> {
        let queries = c.num_attention_heads * c.head_dim;
        let keys = c.num_key_value_heads * c.head_dim;
        let parts = [
            (scope.at("q_proj"), queries),
            (scope.at("k_proj"), keys),
            (scope.at("v_proj"), keys),
        ];
        let q_norm = RmsNorm::new(scope.at("q_norm"), c.head_dim, c.rms_norm_eps)?;
        Ok(Self {
            qkv: FusedLinear::new(c.hidden_size, &parts)?,
            o_proj: Linear::unbiased(scope.at("o_proj"), queries, c.hidden_size)?,
            one_pass: q_norm.one_pass,
            q_norm,
            k_norm: RmsNorm::new(scope.at("k_norm"), c.head_dim, c.rms_norm_eps)?,
            heads: Heads {
                queries: c.num_attention_heads,
                keys: c.num_key_value_heads,
            },
            head_dim: c.head_dim,
        })
    }

    /// Adds the attention's output to `residual`.
    fn forward(
        &self,
        x: &Tensor,
        residual: &Tensor,
        context: AttentionContext,
        kv: KvSource,
    ) -> Result<Tensor, TchError> {
        let Projected { queries, keys, values } = self.project(x, context.rotation)?;
        let KeyValues { keys, values } = kv.extend(keys, values)?;
        let attended = attend([&queries, &keys, &values], context.mask, context.causal)?;
        self.o_proj
            .forward_then(&attended.f_reshape(leading(residual))?, Epilogue::Add(residual))
    }

    /// Like [`Self::forward`], for a few tokens of each sequence.
    fn forward_at(
        &self,
        [x, residual]: [&Tensor; 2],
        context: AttentionContext,
        readout_tokens: &ReadoutTokens,
        kv: KvSource,
    ) -> Result<Tensor, TchError> {
        let Projected { queries, keys, values } = self.project(x, context.rotation)?;
        let KeyValues { keys, values } = kv.extend(keys, values)?;
        let queries = gather_rows(&queries.f_transpose(1, 2)?, readout_tokens)?.f_transpose(1, 2)?;
        let residual = gather_rows(residual, readout_tokens)?;
        let attended = attend([&queries, &keys, &values], Some(&readout_tokens.mask), false)?;
        self.o_proj
            .forward_then(&attended.f_reshape(leading(&residual))?, Epilogue::Add(&residual))
    }

    fn project(&self, x: &Tensor, rotation: &Rotation) -> Result<Projected, TchError> {
        let (batch, length, _) = x.size3()?;
        let mut rows = self.qkv.forward(x)?;
        if self.one_pass {
            let norms = NormWeights {
                query: &self.q_norm.weight,
                key: &self.k_norm.weight,
                eps: self.q_norm.eps,
            };
            rotation.apply_to_rows(&mut rows, self.heads, Some(norms))?;
        }
        let Heads { queries, keys } = self.heads;
        let heads = |first: i64, number: i64| {
            rows.f_narrow(-1, first * self.head_dim, number * self.head_dim)?
                .f_reshape([batch, length, number, self.head_dim])
        };
        let turned = |x: Tensor, norm: &RmsNorm| match self.one_pass {
            true => x.f_transpose(1, 2),
            false => rotation.apply(&norm.forward(&x)?.f_transpose(1, 2)?),
        };
        Ok(Projected {
            queries: turned(heads(0, queries)?, &self.q_norm)?,
            keys: turned(heads(queries, keys)?, &self.k_norm)?,
            values: heads(queries + keys, keys)?.f_transpose(1, 2)?,
        })
    }
}

/// Gathers the rows of the tokens that are read.
///
/// # Shapes
/// (B, L, …) → (B, R, …)
pub(super) fn gather_rows(x: &Tensor, readout_tokens: &ReadoutTokens) -> Result<Tensor, TchError> {
    let mut shape = x.size();
    if let Some(length) = shape.get_mut(1) {
        *length = -1;
    }
    x.f_flatten(0, 1)?
        .f_index_select(0, &readout_tokens.rows)?
        .f_reshape(shape)
}

/// Returns the shape of `x` with an inferred last axis.
fn leading(x: &Tensor) -> Vec<i64> {
    let mut shape = x.size();
    if let Some(last) = shape.last_mut() {
        *last = -1;
    }
    shape
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

    /// Adds the MLP's output to `residual`.
    fn forward(&self, x: &Tensor, residual: &Tensor) -> Result<Tensor, TchError> {
        let gate = self.gate_proj.forward_then(x, Epilogue::Silu)?;
        let inner = self.up_proj.forward_then(x, Epilogue::Mul(&gate))?;
        self.down_proj.forward_then(&inner, Epilogue::Add(residual))
    }
}
