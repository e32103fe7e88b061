//! Modules that 3DThinkVLA adds to the backbone: adapters, projectors and the action head, all in 32 bits.

use serde::{Deserialize, Serialize};
use tch::{TchError, Tensor};

use crate::torch_ext::linear::Epilogue;

use crate::model::error::ModelError;
use crate::model::layers::parameters::Scope;
use crate::model::layers::{LayerNorm, Linear, LinearInit};

/// Epsilon of the added LayerNorms: PyTorch's default.
const EPS: f64 = 1e-5;

/// Position of an adapter's normalisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdapterNorm {
    /// Its output: MLP, then LayerNorm, the order in which 3DThinkVLA names them.
    #[default]
    Post,
    /// Its input, with Xavier initialisation: Spatial-Forcing's projector.
    Pre,
}

/// Linear, GELU, linear, with a LayerNorm after or before: geometry adapter G and reasoning adapter R (3DThinkVLA (2)
/// and (6)).
#[derive(Debug)]
pub struct Adapter {
    fc1: Linear,
    fc2: Linear,
    norm: LayerNorm,
    place: AdapterNorm,
}

/// Sizes of an adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdapterSize {
    /// Width of the input.
    pub inputs: i64,
    /// Width of the latent.
    pub width: i64,
}

impl Adapter {
    /// Builds an adapter from `inputs` channels to a latent of `width`.
    pub fn new(scope: Scope, size: AdapterSize, place: AdapterNorm) -> Result<Self, ModelError> {
        let AdapterSize { inputs, width } = size;
        let (init, normalised) = match place {
            AdapterNorm::Post => (LinearInit::Uniform, width),
            AdapterNorm::Pre => (LinearInit::Xavier, inputs),
        };
        Ok(Self {
            fc1: Linear::new(scope.at("fc1"), inputs, width, init)?,
            fc2: Linear::new(scope.at("fc2"), width, width, init)?,
            norm: LayerNorm::new(scope.at("norm"), normalised, EPS)?,
            place,
        })
    }

    /// # Shapes
    /// (…, inputs) → (…, width)
    pub fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let mlp = |x: &Tensor| self.fc2.forward(&self.fc1.forward_then(x, Epilogue::Gelu)?);
        match self.place {
            AdapterNorm::Post => self.norm.forward(&mlp(x)?),
            AdapterNorm::Pre => mlp(&self.norm.forward(x)?),
        }
    }
}

/// Linear, GELU, linear: projects a latent to the width of the action states (3DThinkVLA (7)). Its last layer is
/// initialised with zeros, so that an untrained condition has no effect.
#[derive(Debug)]
pub struct Projector {
    fc1: Linear,
    fc2: Linear,
}

impl Projector {
    /// Builds a projector from a latent of `inputs` channels to the action states' `width`.
    pub fn new(scope: Scope, inputs: i64, width: i64) -> Result<Self, ModelError> {
        Ok(Self {
            fc1: Linear::new(scope.at("fc1"), inputs, width, LinearInit::Uniform)?,
            fc2: Linear::new(scope.at("fc2"), width, width, LinearInit::Zero)?,
        })
    }

    /// # Shapes
    /// (…, inputs) → (…, width)
    pub fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        self.fc2.forward(&self.fc1.forward_then(x, Epilogue::Gelu)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::layers::parameters::testing::TensorFixture;

    /// GELU(2) and GELU(-1) from the normal distribution's table.
    const GELU: [f64; 2] = [1.954_499_7, -0.158_655_25];

    fn latent(place: AdapterNorm) -> Vec<f32> {
        let given = TensorFixture::of(&[
            ("fc1.weight", &[2.0, 0.0, 0.0, 1.0]),
            ("fc1.bias", &[0.0, 0.0]),
            ("fc2.weight", &[1.0, 0.0, 0.0, 1.0]),
            ("fc2.bias", &[0.0, 0.0]),
            ("norm.weight", &[1.0, 3.0]),
            ("norm.bias", &[0.0, 2.0]),
        ]);
        let size = AdapterSize { inputs: 2, width: 2 };
        let adapter = Adapter::new(Scope::new(&given), size, place).unwrap();
        Vec::try_from(adapter.forward(&Tensor::from_slice(&[1f32, -1.0])).unwrap()).unwrap()
    }

    #[test]
    fn the_norm_stands_behind_or_before() {
        // Two different channels are normalised to 1 and -1.
        let post = latent(AdapterNorm::Post);
        assert!((post[0] - 1.0).abs() < 1e-4 && (post[1] + 1.0).abs() < 1e-4, "{post:?}");
        // 1 and -1 are normalised to themselves, and the MLP applies GELU to 2 and -1.
        let pre = latent(AdapterNorm::Pre);
        for (found, expected) in pre.iter().zip(GELU) {
            assert!((f64::from(*found) - expected).abs() < 1e-3, "{pre:?}");
        }
    }
}
