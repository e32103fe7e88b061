//! Sources of parameters: a checkpoint, a seed, or a mere listing.
//!
//! A module requests each of its tensors by key, shape and initial values while it is built; so the modules are the
//! only list of a checkpoint's tensors.

use std::cell::RefCell;
use std::fmt::Display;

use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};
use tch::{Device, Kind, Tensor};

use super::LowRank;
use crate::model::error::ModelError;

/// Distribution of initial values, as in the reference's training code.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Init {
    /// All 0.
    Zeros,
    /// All 1.
    Ones,
    /// Normal with mean 0.
    Normal {
        /// Standard deviation.
        std: f32,
    },
    /// Uniform between -bound and bound.
    Uniform {
        /// Largest absolute value.
        bound: f32,
    },
}

/// One tensor of a checkpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// Name in the safetensors file.
    pub key: String,
    /// Shape.
    pub shape: Vec<i64>,
    /// Distribution of initial values.
    pub init: Init,
}

impl Parameter {
    /// Returns the number of values.
    pub fn count(&self) -> usize {
        self.shape.iter().product::<i64>() as usize
    }

    /// Draws initial values. They depend on key and seed only, on every machine.
    pub fn draw(&self, seed: u64) -> Vec<f32> {
        match self.init {
            Init::Zeros => vec![0.0; self.count()],
            Init::Ones => vec![1.0; self.count()],
            Init::Uniform { bound } => {
                let mut rng = self.rng(seed);
                (0..self.count())
                    .map(|_| (2.0 * unit(&mut rng) - 1.0) * bound)
                    .collect()
            }
            Init::Normal { std } => {
                let mut rng = self.rng(seed);
                let mut values = Vec::with_capacity(self.count() + 1);
                while values.len() < self.count() {
                    // Box-Muller transform: two uniform values make two normal ones.
                    let radius = (-2.0 * (1.0 - unit(&mut rng)).ln()).sqrt() * std;
                    let (sin, cos) = (std::f32::consts::TAU * unit(&mut rng)).sin_cos();
                    values.extend([radius * cos, radius * sin]);
                }
                values.truncate(self.count());
                values
            }
        }
    }

    fn rng(&self, seed: u64) -> ChaCha8Rng {
        let mut hash = Sha256::new();
        hash.update(seed.to_le_bytes());
        hash.update(self.key.as_bytes());
        ChaCha8Rng::from_seed(hash.finalize().into())
    }
}

/// Draws a uniform value in 0 .. 1, excluding 1.
fn unit(rng: &mut ChaCha8Rng) -> f32 {
    (rng.next_u32() >> 8) as f32 / (1u32 << 24) as f32
}

/// Source of a network's tensors while it is built.
pub trait ParameterSource {
    /// Returns the tensor of a key, with the device and type that the source chooses for its role.
    ///
    /// # Errors
    /// When libtorch fails; faults of a checkpoint are collected and reported together.
    fn tensor(&self, parameter: Parameter, role: Role) -> Result<Tensor, ModelError>;

    /// Reports whether the network is neither trained nor saved. On the CPU, weights are then packed and operations
    /// fused, which loses the checkpoint's tensors and records no gradients.
    fn forward_only(&self) -> bool {
        false
    }

    /// Returns a low-rank difference to be trained instead of the weight of that key; none by default.
    ///
    /// # Errors
    /// When libtorch fails.
    fn low_rank(&self, _key: &str, _weight: &Tensor) -> Result<Option<LowRank>, ModelError> {
        Ok(None)
    }
}

/// Role of a tensor, which determines its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Backbone: the type that the user chose.
    Backbone,
    /// Adapters, projectors and action head: always 32 bits, as in the reference.
    Head,
}

/// A position in the tree of modules.
#[derive(Clone)]
pub struct Scope<'a> {
    source: &'a dyn ParameterSource,
    prefix: String,
    role: Role,
}

impl<'a> Scope<'a> {
    /// Returns the root, for backbone tensors.
    pub fn new(source: &'a dyn ParameterSource) -> Self {
        Self {
            source,
            prefix: String::new(),
            role: Role::Backbone,
        }
    }

    /// Returns the same position, for tensors computed in 32 bits.
    pub fn head(mut self) -> Self {
        self.role = Role::Head;
        self
    }

    /// Returns the submodule `name`.
    pub fn at(&self, name: impl Display) -> Self {
        Self {
            prefix: if self.prefix.is_empty() {
                name.to_string()
            } else {
                format!("{}.{name}", self.prefix)
            },
            ..self.clone()
        }
    }

    /// See [`ParameterSource::forward_only`].
    pub fn forward_only(&self) -> bool {
        self.source.forward_only()
    }

    /// See [`ParameterSource::low_rank`].
    ///
    /// # Errors
    /// See [`ParameterSource::low_rank`].
    pub fn low_rank(&self, name: &str, weight: &Tensor) -> Result<Option<LowRank>, ModelError> {
        self.source.low_rank(&self.at(name).prefix, weight)
    }

    /// Returns the tensor `name` of this module.
    ///
    /// # Errors
    /// See [`ParameterSource::tensor`].
    pub fn tensor(&self, name: &str, shape: &[i64], init: Init) -> Result<Tensor, ModelError> {
        let parameter = Parameter {
            key: self.at(name).prefix,
            shape: shape.to_vec(),
            init,
        };
        self.source.tensor(parameter, self.role)
    }
}

/// Draws every tensor from a seed, in 32 bits on the CPU.
#[derive(Debug, Clone, Copy)]
pub struct Random {
    /// Seed.
    pub seed: u64,
}

impl ParameterSource for Random {
    fn tensor(&self, parameter: Parameter, _: Role) -> Result<Tensor, ModelError> {
        Ok(Tensor::f_from_slice(&parameter.draw(self.seed))?.f_reshape(&parameter.shape)?)
    }
}

/// Records the tensors that a network requests; returns tensors without values.
#[derive(Debug, Default)]
pub struct ParameterLayout {
    parameters: RefCell<Vec<Parameter>>,
}

impl ParameterLayout {
    /// Returns the recorded parameters, in order.
    pub fn into_parameters(self) -> Vec<Parameter> {
        self.parameters.into_inner()
    }
}

impl ParameterSource for ParameterLayout {
    fn tensor(&self, parameter: Parameter, _: Role) -> Result<Tensor, ModelError> {
        let empty = Tensor::f_empty(&parameter.shape, (Kind::BFloat16, Device::Cpu))?;
        self.parameters.borrow_mut().push(parameter);
        Ok(empty)
    }
}

#[cfg(test)]
pub(crate) mod testing {
    //! A source of tensors that a test defines.

    use std::collections::BTreeMap;

    use super::*;

    /// Tensors by key; a missing one fails the test.
    #[derive(Debug, Default)]
    pub struct TensorFixture(BTreeMap<String, Vec<f32>>);

    impl TensorFixture {
        /// Creates a source from values in row-major order.
        pub fn of(tensors: &[(&str, &[f32])]) -> Self {
            let owned = |(key, values): &(&str, &[f32])| ((*key).to_owned(), values.to_vec());
            Self(tensors.iter().map(owned).collect())
        }
    }

    impl ParameterSource for TensorFixture {
        fn tensor(&self, parameter: Parameter, _: Role) -> Result<Tensor, ModelError> {
            let values = self.0.get(&parameter.key).expect(&parameter.key);
            Ok(Tensor::from_slice(values).reshape(&parameter.shape))
        }
    }
}
