//! Layers that all parts of the network use.
//!
//! * [`parameters`]: sources of parameters
//! * [`device`]: device on which the network runs
//! * [`activation_checkpointing`]: layers that are recomputed in the backward pass

pub mod activation_checkpointing;
pub(in crate::model) mod attention;
pub mod device;
pub mod parameters;
pub(in crate::model) mod rotary;
pub(in crate::model) mod system_calls;

use tch::{Device, Kind, TchError, Tensor};

use crate::torch_ext::linear::{self, Epilogue, Packed};
use crate::torch_ext::rows;

use self::parameters::{Init, Scope};
use super::error::ModelError;

/// Initialisation of a new linear map.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LinearInit {
    /// Normal with standard deviation 0.02, zero bias: Qwen3-VL's.
    Backbone,
    /// Uniform within 1 / sqrt(inputs): PyTorch's default, with which the action head is trained.
    Uniform,
    /// Uniform within sqrt(6 / (inputs + outputs)), zero bias: Xavier's, as in Spatial-Forcing's projector.
    Xavier,
    /// All zero, so that an untrained branch adds nothing.
    Zero,
}

/// `y = x Wᵀ + b`.
#[derive(Debug)]
pub struct Linear {
    weight: Weight,
    bias: Option<Tensor>,
}

/// A weight as in the checkpoint, or packed for this CPU.
#[derive(Debug)]
enum Weight {
    Plain(Plain),
    Packed(Packed),
}

/// A weight as in the checkpoint.
#[derive(Debug)]
struct Plain {
    /// Weight, (outputs, …); all axes but the first are inputs.
    weight: Tensor,
    /// Low-rank difference that is trained instead of the weight.
    difference: Option<LowRank>,
}

/// Low-rank difference `scale · up · down` to a weight: LoRA.
#[derive(Debug)]
pub struct LowRank {
    /// (rank, inputs).
    pub down: Tensor,
    /// (outputs, rank).
    pub up: Tensor,
    /// Factor of the product.
    pub scale: f64,
}

/// Converts to 32 bits; 64-bit tensors stay as they are.
pub(super) fn wide(x: &Tensor) -> Result<Tensor, TchError> {
    match x.f_kind()? {
        Kind::Double => Ok(x.shallow_clone()),
        _ => x.f_to_kind(Kind::Float),
    }
}

impl Linear {
    /// Builds a map with bias.
    pub fn new(scope: Scope, inputs: i64, outputs: i64, init: LinearInit) -> Result<Self, ModelError> {
        let (weight, bias) = init.draws([outputs, inputs]);
        Ok(Self {
            weight: Weight::new(&scope, scope.tensor("weight", &[outputs, inputs], weight)?)?,
            bias: Some(scope.tensor("bias", &[outputs], bias)?),
        })
    }

    /// Builds a map without bias, initialised as in the backbone.
    pub fn unbiased(scope: Scope, inputs: i64, outputs: i64) -> Result<Self, ModelError> {
        Self::without_bias(scope, inputs, outputs, LinearInit::Backbone)
    }

    /// Builds a map without bias.
    pub fn without_bias(scope: Scope, inputs: i64, outputs: i64, init: LinearInit) -> Result<Self, ModelError> {
        let (weight, _) = init.draws([outputs, inputs]);
        Ok(Self {
            weight: Weight::new(&scope, scope.tensor("weight", &[outputs, inputs], weight)?)?,
            bias: None,
        })
    }

    /// Builds a convolution whose stride equals its kernel: a linear map of the flattened patch.
    ///
    /// `shape` is (outputs, channels, frames, side, side), or without frames.
    pub fn of_patches<const AXES: usize>(scope: Scope, shape: [i64; AXES]) -> Result<Self, ModelError> {
        let outputs = shape.first().copied().unwrap_or(0);
        let (weight, bias) = LinearInit::Backbone.draws([outputs, 1]);
        let weight = scope.tensor("weight", &shape, weight)?;
        Ok(Self {
            weight: Weight::new(&scope, weight)?,
            bias: Some(scope.tensor("bias", &[outputs], bias)?),
        })
    }

    /// Reports whether the weight is packed: the map then runs on the CPU and without gradients.
    pub fn is_packed(&self) -> bool {
        matches!(self.weight, Weight::Packed(_))
    }

    /// # Shapes
    /// (…, inputs) → (…, outputs)
    pub fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        self.forward_then(x, Epilogue::Nothing)
    }

    /// Applies the map and a following operation, fused where the weight is packed.
    ///
    /// # Shapes
    /// (…, inputs) → (…, outputs)
    pub fn forward_then(&self, x: &Tensor, epilogue: Epilogue) -> Result<Tensor, TchError> {
        let weight = match &self.weight {
            Weight::Packed(packed) => return packed.forward(x, self.bias.as_ref(), epilogue),
            Weight::Plain(plain) => plain,
        };
        let y = weight.forward(x, self.bias.as_ref())?;
        match epilogue {
            Epilogue::Nothing => Ok(y),
            Epilogue::Gelu => y.f_gelu("none"),
            Epilogue::GeluTanh => y.f_gelu("tanh"),
            Epilogue::Silu => y.f_silu(),
            Epilogue::Add(other) => y.f_add(other),
            Epilogue::Mul(other) => y.f_mul(other),
        }
    }
}

impl Weight {
    fn new(scope: &Scope, weight: Tensor) -> Result<Self, ModelError> {
        if scope.forward_only() && linear::available(weight.f_kind()?, weight.device()) {
            return Ok(Self::Packed(Packed::new(&weight.f_flatten(1, -1)?)?));
        }
        Self::plain(scope, weight)
    }

    fn plain(scope: &Scope, weight: Tensor) -> Result<Self, ModelError> {
        Ok(Self::Plain(Plain {
            difference: scope.low_rank("weight", &weight)?,
            weight,
        }))
    }
}

impl Plain {
    fn forward(&self, x: &Tensor, bias: Option<&Tensor>) -> Result<Tensor, TchError> {
        let y = match self.weight.dim() {
            2 => x.f_linear(&self.weight, bias)?,
            _ => x.f_linear(&self.weight.f_flatten(1, -1)?, bias)?,
        };
        let Some(LowRank { down, up, scale }) = &self.difference else {
            return Ok(y);
        };
        let kind = y.f_kind()?;
        let learned = x
            .f_to_kind(down.f_kind()?)?
            .f_linear(down, None::<&Tensor>)?
            .f_linear(up, None::<&Tensor>)?;
        y.f_add(&learned.f_mul_scalar(*scale)?.f_to_kind(kind)?)
    }
}

/// Linear maps without bias of the same input, with concatenated results. They are one map where weights are packed;
/// otherwise each keeps its own weight, as in the checkpoint and the optimiser.
#[derive(Debug)]
pub struct FusedLinear(Vec<Linear>);

impl FusedLinear {
    /// Builds one map for each (scope, outputs).
    pub fn new(inputs: i64, parts: &[(Scope, i64)]) -> Result<Self, ModelError> {
        let (init, _) = LinearInit::Backbone.draws([1, inputs]);
        let mut weights = Vec::with_capacity(parts.len());
        let mut pack = true;
        for (scope, outputs) in parts {
            let weight = scope.tensor("weight", &[*outputs, inputs], init)?;
            pack &= scope.forward_only() && linear::available(weight.f_kind()?, weight.device());
            weights.push(weight);
        }
        let linear = |weight| Linear { weight, bias: None };
        if pack {
            let all = Tensor::f_cat(&weights, 0)?;
            drop(weights);
            return Ok(Self(vec![linear(Weight::Packed(Packed::new(&all)?))]));
        }
        let plain = |(weight, (scope, _)): (Tensor, &(Scope, i64))| Ok(linear(Weight::plain(scope, weight)?));
        Ok(Self(
            weights
                .into_iter()
                .zip(parts)
                .map(plain)
                .collect::<Result<_, ModelError>>()?,
        ))
    }

    /// # Shapes
    /// (…, inputs) → (…, Σoutputs)
    pub fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        match self.0.as_slice() {
            [one] => one.forward(x),
            several => {
                let results = several
                    .iter()
                    .map(|one| one.forward(x))
                    .collect::<Result<Vec<_>, _>>()?;
                Tensor::f_cat(&results, -1)
            }
        }
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
    /// Builds a norm over `width` channels.
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

/// Root-mean-square normalisation over the last axis; its statistics have at least 32 bits whatever the input's type.
#[derive(Debug)]
pub struct RmsNorm {
    pub(super) weight: Tensor,
    pub(super) eps: f64,
    width: i64,
    /// Whether it runs as one pass over memory, on the CPU and without gradients.
    pub(super) one_pass: bool,
}

impl RmsNorm {
    /// Builds a norm over `width` channels.
    pub fn new(scope: Scope, width: i64, eps: f64) -> Result<Self, ModelError> {
        let weight = scope.tensor("weight", &[width], Init::Ones)?;
        Ok(Self {
            one_pass: scope.forward_only() && weight.device() == Device::Cpu,
            weight,
            width,
            eps,
        })
    }

    /// # Shapes
    /// (…, width) → the same
    pub fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        if self.one_pass {
            return rows::rms_norm(x, &self.weight, self.eps);
        }
        let kind = x.f_kind()?;
        wide(x)?
            .f_rms_norm([self.width], None::<&Tensor>, self.eps)?
            .f_to_kind(kind)?
            .f_mul(&self.weight)
    }
}
