//! Checks whether stored tensors fit those that a network needs.

use safetensors::Dtype;

use super::weights::{StoredTensor, WeightFiles};
use crate::model::layers::parameters::Parameter;

/// Tensor that does not fit a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in crate::model) enum TensorProblem {
    /// The files lack it.
    #[error("missing: {key}, expected shape {shape:?}")]
    Missing {
        /// Our key.
        key: String,
        /// Shape that the network needs.
        shape: Vec<i64>,
    },
    /// It has another shape.
    #[error("shape of {key}: expected {expected:?}, found {found:?}")]
    Shape {
        /// Our key.
        key: String,
        /// Shape that the network needs.
        expected: Vec<i64>,
        /// Shape in the files.
        found: Vec<i64>,
    },
    /// It has a type that is not read.
    #[error("type of {key}: expected F32, BF16 or F16, found {found:?}")]
    Type {
        /// Our key.
        key: String,
        /// Type in the files.
        found: Dtype,
    },
    /// The network has no place for the tensor of this key.
    #[error("extra: {0}, which this configuration has no place for")]
    Extra(String),
}

/// Returns the stored tensor of a parameter.
///
/// # Errors
/// When it is missing, of another shape or of another type.
pub(in crate::model) fn fitting<'a>(
    parameter: &Parameter,
    files: &'a WeightFiles,
) -> Result<StoredTensor<'a>, TensorProblem> {
    let (key, expected) = (parameter.key.clone(), parameter.shape.clone());
    let Some(stored) = files.get(&key) else {
        return Err(TensorProblem::Missing { key, shape: expected });
    };
    let found: Vec<i64> = stored.shape.iter().map(|n| *n as i64).collect();
    if found != expected {
        return Err(TensorProblem::Shape { key, expected, found });
    }
    match stored.dtype {
        Dtype::F32 | Dtype::BF16 | Dtype::F16 => Ok(stored),
        found => Err(TensorProblem::Type { key, found }),
    }
}
