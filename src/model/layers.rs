//! The layers every part of the network is made of.

use tch::{Kind, TchError, Tensor};

use super::error::ModelError;
use super::parameters::{Init, Scope};

/// How the weights of a new linear map are drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LinearInit {
    /// Normal with deviation 0.02 and zero bias: Qwen3-VL's.
    Backbone,
    /// Uniform within 1 / sqrt(inputs): PyTorch's own, which the action head is trained from.
    Uniform,
    /// Uniform within sqrt(6 / (inputs + outputs)) and zero bias: Xavier's, of Spatial-Forcing's projector.
    Xavier,
    /// All zero, so that the branch adds nothing before it has learned something.
    Zero,
}

/// `y = x Wᵀ + b`.
#[derive(Debug)]
pub struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Linear {
    /// With bias.
    pub fn new(scope: Scope, inputs: i64, outputs: i64, init: LinearInit) -> Result<Self, ModelError> {
        let (weight, bias) = init.draws([outputs, inputs]);
        Ok(Self {
            weight: scope.tensor("weight", &[outputs, inputs], weight)?,
            bias: Some(scope.tensor("bias", &[outputs], bias)?),
        })
    }

    /// Without bias, as in the backbone.
    pub fn unbiased(scope: Scope, inputs: i64, outputs: i64) -> Result<Self, ModelError> {
        Self::without_bias(scope, inputs, outputs, LinearInit::Backbone)
    }

    /// Without bias.
    pub fn without_bias(scope: Scope, inputs: i64, outputs: i64, init: LinearInit) -> Result<Self, ModelError> {
        let (weight, _) = init.draws([outputs, inputs]);
        Ok(Self {
            weight: scope.tensor("weight", &[outputs, inputs], weight)?,
            bias: None,
        })
    }

    /// A convolution whose stride is its kernel: a linear map of the flattened kernel.
    ///
    /// `shape` is (outputs, channels, frames, side, side), or without frames.
    pub fn of_patches<const AXES: usize>(scope: Scope, shape: [i64; AXES]) -> Result<Self, ModelError> {
        let outputs = shape.first().copied().unwrap_or(0);
        let (weight, bias) = LinearInit::Backbone.draws([outputs, 1]);
        Ok(Self {
            weight: scope.tensor("weight", &shape, weight)?.f_reshape([outputs, -1])?,
            bias: Some(scope.tensor("bias", &[outputs], bias)?),
        })
    }

    /// # Shapes
    /// (…, inputs) → (…, outputs)
    pub fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        x.f_linear(&self.weight, self.bias.as_ref())
    }
}

impl LinearInit {
    fn draws(self, [outputs, inputs]: [i64; 2]) -> (Init, Init) {
        match self {
            Self::Backbone => (Init::Normal { std: 0.02 }, Init::Zeros),
            Self::Uniform => {
                let bound = 1.0 / (inputs as f32).sqrt();
                (Init::Uniform { bound }, Init::Uniform { bound })
            }
            Self::Xavier => {
                let bound = (6.0 / (inputs + outputs) as f32).sqrt();
                (Init::Uniform { bound }, Init::Zeros)
            }
            Self::Zero => (Init::Zeros, Init::Zeros),
        }
    }
}

/// Layer normalisation over the last axis.
#[derive(Debug)]
pub struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    width: i64,
    eps: f64,
}

impl LayerNorm {
    /// Over `width` channels.
    pub fn new(scope: Scope, width: i64, eps: f64) -> Result<Self, ModelError> {
        Ok(Self {
            weight: scope.tensor("weight", &[width], Init::Ones)?,
            bias: scope.tensor("bias", &[width], Init::Zeros)?,
            width,
            eps,
        })
    }

    /// # Shapes
    /// (…, width) → the same
    pub fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        x.f_layer_norm([self.width], Some(&self.weight), Some(&self.bias), self.eps, true)
    }
}

/// Root-mean-square normalisation over the last axis, its statistics in 32 bits whatever the input's type.
#[derive(Debug)]
pub struct RmsNorm {
    weight: Tensor,
    width: i64,
    eps: f64,
}

impl RmsNorm {
    /// Over `width` channels.
    pub fn new(scope: Scope, width: i64, eps: f64) -> Result<Self, ModelError> {
        Ok(Self {
            weight: scope.tensor("weight", &[width], Init::Ones)?,
            width,
            eps,
        })
    }

    /// # Shapes
    /// (…, width) → the same
    pub fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let kind = x.f_kind()?;
        x.f_to_kind(Kind::Float)?
            .f_rms_norm([self.width], None::<&Tensor>, self.eps)?
            .f_to_kind(kind)?
            .f_mul(&self.weight)
    }
}
