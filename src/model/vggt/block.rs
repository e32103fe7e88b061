//! The transformer block of DINOv2 and of VGGT's alternating attention.

use tch::{TchError, Tensor};

use crate::model::error::ModelError;
use crate::model::layers::attention::attend;
use crate::model::layers::parameters::{Init, Scope};
use crate::model::layers::rotary::Rotation;
use crate::model::layers::{LayerNorm, Linear, LinearInit};

/// Sizes and options of a block.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct BlockShape {
    /// Width of a token.
    pub width: i64,
    /// Number of attention heads.
    pub heads: i64,
    /// Epsilon of every LayerNorm in the block.
    pub eps: f64,
    /// Whether queries and keys are normalised head by head.
    pub qk_norm: bool,
}

/// `x + ls1(attn(norm1 x))`, then `x + ls2(mlp(norm2 x))`.
#[derive(Debug)]
pub(super) struct Block {
    norm1: LayerNorm,
    attn: Attention,
    ls1: LayerScale,
    norm2: LayerNorm,
    mlp: Mlp,
    ls2: LayerScale,
}

impl Block {
    pub fn new(scope: Scope, shape: BlockShape) -> Result<Self, ModelError> {
        let BlockShape { width, eps, .. } = shape;
        Ok(Self {
            norm1: LayerNorm::new(scope.at("norm1"), width, eps)?,
            attn: Attention::new(scope.at("attn"), shape)?,
            ls1: LayerScale::new(scope.at("ls1"), width)?,
            norm2: LayerNorm::new(scope.at("norm2"), width, eps)?,
            mlp: Mlp::new(scope.at("mlp"), width)?,
            ls2: LayerScale::new(scope.at("ls2"), width)?,
        })
    }

    /// Runs the block; every token attends to all tokens of its row of the batch.
    ///
    /// # Shapes
    /// x: (B, N, C) → the same; rotation, where there is one: tables of N tokens
    pub fn forward(&self, x: &Tensor, rotation: Option<&Rotation>) -> Result<Tensor, TchError> {
        let attended = self.attn.forward(&self.norm1.forward(x)?, rotation)?;
        let x = x.f_add(&self.ls1.forward(&attended)?)?;
        let mapped = self.mlp.forward(&self.norm2.forward(&x)?)?;
        x.f_add(&self.ls2.forward(&mapped)?)
    }
}

#[derive(Debug)]
struct Attention {
    qkv: Linear,
    q_norm: Option<LayerNorm>,
    k_norm: Option<LayerNorm>,
    proj: Linear,
    heads: i64,
}

impl Attention {
    fn new(scope: Scope, shape: BlockShape) -> Result<Self, ModelError> {
        let BlockShape { width, heads, eps, .. } = shape;
        let norm = |name| match shape.qk_norm {
            true => LayerNorm::new(scope.at(name), width / heads, eps).map(Some),
            false => Ok(None),
        };
        Ok(Self {
            qkv: Linear::new(scope.at("qkv"), width, 3 * width, LinearInit::Backbone)?,
            q_norm: norm("q_norm")?,
            k_norm: norm("k_norm")?,
            proj: Linear::new(scope.at("proj"), width, width, LinearInit::Backbone)?,
            heads,
        })
    }

    fn forward(&self, x: &Tensor, rotation: Option<&Rotation>) -> Result<Tensor, TchError> {
        let (batch, tokens, width) = x.size3()?;
        let head = width / self.heads;
        let qkv = self.qkv.forward(x)?.f_reshape([batch, tokens, 3, self.heads, head])?;
        let prepare = |which: i64, norm: &Option<LayerNorm>| -> Result<Tensor, TchError> {
            let mut x = qkv.f_select(2, which)?;
            if let Some(norm) = norm {
                x = norm.forward(&x)?;
            }
            if let Some(rotation) = rotation {
                // Half a head rotates by row and half by column, each like a head of its own.
                let halves = x.f_reshape([batch, tokens, self.heads, 2, head / 2])?;
                x = rotation
                    .apply_in_float(&halves)?
                    .f_reshape([batch, tokens, self.heads, head])?;
            }
            x.f_transpose(1, 2)
        };
        let values = qkv.f_select(2, 2)?.f_transpose(1, 2)?;
        let turned = [&prepare(0, &self.q_norm)?, &prepare(1, &self.k_norm)?, &values];
        let attended = attend(turned, None, false)?;
        self.proj.forward(&attended.f_reshape([batch, tokens, width])?)
    }
}

#[derive(Debug)]
struct Mlp {
    fc1: Linear,
    fc2: Linear,
}

impl Mlp {
    fn new(scope: Scope, width: i64) -> Result<Self, ModelError> {
        Ok(Self {
            fc1: Linear::new(scope.at("fc1"), width, 4 * width, LinearInit::Backbone)?,
            fc2: Linear::new(scope.at("fc2"), 4 * width, width, LinearInit::Backbone)?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        self.fc2.forward(&self.fc1.forward(x)?.f_gelu("none")?)
    }
}

/// Learned scale of each channel of a branch.
#[derive(Debug)]
struct LayerScale {
    gamma: Tensor,
}

impl LayerScale {
    fn new(scope: Scope, width: i64) -> Result<Self, ModelError> {
        Ok(Self {
            gamma: scope.tensor("gamma", &[width], Init::Ones)?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        x.f_mul(&self.gamma)
    }
}
