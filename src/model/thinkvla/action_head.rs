//! The action head: a residual MLP for each action query, in 32 bits.

use tch::{TchError, Tensor};

use crate::model::error::ModelError;
use crate::model::layers::parameters::Scope;
use crate::model::layers::{LayerNorm, Linear, LinearInit};

/// Epsilon of the added LayerNorms: PyTorch's default.
const EPS: f64 = 1e-5;

/// OpenVLA-OFT's regression head as StarVLA uses it: the same MLP for each query, without squashing of the output.
#[derive(Debug)]
pub struct ActionHead {
    layer_norm1: LayerNorm,
    fc1: Linear,
    mlp_resnet_blocks: Vec<ResidualBlock>,
    layer_norm2: LayerNorm,
    fc2: Linear,
}

/// Sizes of an action head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActionHeadSize {
    /// Width of a query's state.
    pub inputs: i64,
    /// Inner width.
    pub hidden: i64,
    /// Number of residual blocks.
    pub blocks: i64,
    /// Number of values in an action.
    pub outputs: i64,
}

impl ActionHead {
    /// Builds the head from `action_model.model.*`.
    pub fn new(scope: Scope, size: ActionHeadSize) -> Result<Self, ModelError> {
        let blocks = scope.at("mlp_resnet_blocks");
        Ok(Self {
            layer_norm1: LayerNorm::new(scope.at("layer_norm1"), size.inputs, EPS)?,
            fc1: Linear::new(scope.at("fc1"), size.inputs, size.hidden, LinearInit::Uniform)?,
            mlp_resnet_blocks: (0..size.blocks)
                .map(|i| ResidualBlock::new(blocks.at(i).at("ffn"), size.hidden))
                .collect::<Result<_, _>>()?,
            layer_norm2: LayerNorm::new(scope.at("layer_norm2"), size.hidden, EPS)?,
            fc2: Linear::new(scope.at("fc2"), size.hidden, size.outputs, LinearInit::Uniform)?,
        })
    }

    /// # Shapes
    /// (…, inputs) → (…, outputs)
    pub fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let mut x = self.fc1.forward(&self.layer_norm1.forward(x)?)?.f_relu()?;
        for block in &self.mlp_resnet_blocks {
            x = block.forward(&x)?;
        }
        self.fc2.forward(&self.layer_norm2.forward(&x)?)
    }
}

/// `x + ReLU(linear(LayerNorm(x)))`; in the checkpoint's keys, norm and linear are numbered 0 and 1.
#[derive(Debug)]
struct ResidualBlock {
    norm: LayerNorm,
    linear: Linear,
}

impl ResidualBlock {
    fn new(scope: Scope, width: i64) -> Result<Self, ModelError> {
        Ok(Self {
            norm: LayerNorm::new(scope.at(0), width, EPS)?,
            linear: Linear::new(scope.at(1), width, width, LinearInit::Uniform)?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        x.f_add(&self.linear.forward(&self.norm.forward(x)?)?.f_relu()?)
    }
}
