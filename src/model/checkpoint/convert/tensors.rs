//! Tensors of a converted checkpoint; each is made when it is written.

use std::borrow::Cow;
use std::cell::RefCell;

use half::{bf16, f16};
use safetensors::{Dtype, View};

use crate::model::checkpoint::weights::{EMBEDDING, StoredTensor, TEXT_HEAD, WeightFiles};
use crate::model::error::ModelError;
use crate::model::layers::parameters::{Init, Parameter};

/// Standard deviation of the noise by which new tokens differ from the mean of the known ones.
const NOISE: f32 = 0.02;

/// A tensor of the new checkpoint.
#[derive(Debug)]
pub struct Tensor<'a> {
    /// Our key, shape and, where values are drawn, their distribution.
    pub parameter: &'a Parameter,
    /// The old weights.
    pub files: &'a WeightFiles,
    /// Origin of the values.
    pub origin: Origin,
    /// Type in the new file.
    pub dtype: Dtype,
    /// Shape in the type that the writer needs.
    pub shape: Vec<usize>,
    /// Seed of drawn values.
    pub seed: u64,
    /// First problem of a value that was copied, in this or another tensor.
    pub problem: &'a RefCell<Option<ModelError>>,
}

/// Origin of values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The tensor of this key in the old files.
    Copied {
        /// The key.
        key: &'static str,
        /// Rows of new tokens.
        new_rows: NewRows,
    },
    /// The tensor of the same key in the old files.
    Same,
    /// Drawn from the seed.
    Drawn,
}

/// Rows of a token table that belong to new tokens.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NewRows {
    /// Number of tokens that the table knows: rows before this one.
    pub known: usize,
    /// Ids of the new tokens.
    pub ids: Vec<usize>,
}

/// Returns `key` if it is a table with a row for each token.
pub fn table(key: &str) -> Option<&'static str> {
    [EMBEDDING, TEXT_HEAD].into_iter().find(|table| *table == key)
}

impl View for Tensor<'_> {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Owned(match &self.origin {
            Origin::Same => self.copy(&self.parameter.key),
            Origin::Copied { key, new_rows } => {
                let mut bytes = self.copy(key);
                if !new_rows.ids.is_empty() {
                    self.fill(&mut bytes, new_rows);
                }
                bytes
            }
            Origin::Drawn => encode(self.dtype, self.parameter.draw(self.seed)),
        })
    }

    fn data_len(&self) -> usize {
        self.parameter.count() * self.dtype.bitsize() / 8
    }
}

impl Tensor<'_> {
    /// Returns the stored values in the type of the new file.
    fn copy(&self, key: &str) -> Vec<u8> {
        let bytes = self.files.get(key).map(|stored| {
            self.check(key, &stored);
            match stored.dtype == self.dtype {
                true => stored.data.to_vec(),
                false => encode(self.dtype, decode(stored.dtype, stored.data).collect()),
            }
        });
        self.files.release(key);
        bytes.unwrap_or_default()
    }

    /// Records the first value that is not finite, or becomes infinite in the type of the new file.
    fn check(&self, key: &str, stored: &StoredTensor) {
        let mut problem = self.problem.borrow_mut();
        if problem.is_some() {
            return;
        }
        let wrong = first_beyond(self.dtype, stored.dtype, stored.data);
        *problem = wrong.map(|value| {
            let message = match value.is_finite() {
                true => format!(
                    "values of {key}: {value:e} does not fit {:?}, the type to write; convert with --dtype float32",
                    self.dtype
                ),
                false => format!(
                    "values of {key}: expected finite numbers, found {value}; the training diverged or the file is \
                     damaged: convert an earlier checkpoint, or fetch this one again"
                ),
            };
            ModelError::read(stored.path, message)
        });
    }

    /// Sets the rows of new tokens to the mean of the known ones plus a little noise, which is a typical input of the
    /// network.
    fn fill(&self, table: &mut [u8], rows: &NewRows) {
        let width = self.shape.last().copied().unwrap_or(0);
        let row_bytes = (width * self.dtype.bitsize() / 8).max(1);
        let mut sum = vec![0f64; width];
        for row in table.chunks(row_bytes).take(rows.known) {
            for (sum, value) in sum.iter_mut().zip(decode(self.dtype, row)) {
                *sum += f64::from(value);
            }
        }
        for id in &rows.ids {
            let noise = Parameter {
                key: format!("{}.{id}", self.parameter.key),
                shape: vec![width as i64],
                init: Init::Normal { std: NOISE },
            };
            let mean = sum.iter().map(|sum| (sum / rows.known.max(1) as f64) as f32);
            let values = mean
                .zip(noise.draw(self.seed))
                .map(|(mean, noise)| mean + noise)
                .collect();
            if let Some(row) = table.chunks_mut(row_bytes).nth(*id) {
                row.copy_from_slice(&encode(self.dtype, values));
            }
        }
    }
}

/// Returns the first stored value that is not finite, or becomes infinite in the type `to`.
pub fn first_beyond(to: Dtype, stored: Dtype, bytes: &[u8]) -> Option<f32> {
    // Smallest values that are rounded to infinity.
    let limit = match to {
        Dtype::F32 => f32::INFINITY,
        Dtype::F16 => 65520.0,
        _ => f32::from_bits(0x7f7f_8000),
    };
    let beyond = |value: &f32| value.is_nan() || value.abs() >= limit;
    let pairs = || bytes.as_chunks::<2>().0.iter().copied();
    match stored {
        Dtype::F32 => {
            let words = bytes.as_chunks::<4>().0.iter().copied();
            words.map(f32::from_le_bytes).find(beyond)
        }
        Dtype::F16 => pairs().map(|pair| f16::from_le_bytes(pair).to_f32()).find(beyond),
        _ => pairs().map(|pair| bf16::from_le_bytes(pair).to_f32()).find(beyond),
    }
}

/// Encodes values as they are stored in a file.
pub fn encode(dtype: Dtype, values: Vec<f32>) -> Vec<u8> {
    match dtype {
        Dtype::F32 => values.into_iter().flat_map(f32::to_le_bytes).collect(),
        Dtype::F16 => values
            .into_iter()
            .flat_map(|v| f16::from_f32(v).to_le_bytes())
            .collect(),
        _ => values
            .into_iter()
            .flat_map(|v| bf16::from_f32(v).to_le_bytes())
            .collect(),
    }
}

/// Decodes values of the types that weights may have.
pub fn decode(dtype: Dtype, bytes: &[u8]) -> Box<dyn Iterator<Item = f32> + '_> {
    let pairs = || bytes.as_chunks::<2>().0.iter().copied();
    match dtype {
        Dtype::F32 => Box::new(bytes.as_chunks::<4>().0.iter().copied().map(f32::from_le_bytes)),
        Dtype::F16 => Box::new(pairs().map(|pair| f16::from_le_bytes(pair).to_f32())),
        _ => Box::new(pairs().map(|pair| bf16::from_le_bytes(pair).to_f32())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_beyond_a_type_are_those_that_it_rounds_to_infinity() {
        let types = [Dtype::F32, Dtype::F16, Dtype::BF16];
        for value in [
            0.0,
            -1.0,
            65504.0,
            65519.0,
            65520.0,
            -7e4,
            3.38e38,
            3.39e38,
            3.396e38,
            f32::MAX,
            -f32::MAX,
        ] {
            for to in types {
                let bytes = encode(Dtype::F32, vec![1.0, value]);
                let becomes: Vec<f32> = decode(to, &encode(to, vec![value])).collect();
                let expected = becomes.iter().any(|value| value.is_infinite()).then_some(value);
                assert_eq!(first_beyond(to, Dtype::F32, &bytes), expected, "{value:e} {to:?}");
            }
        }
        for (stored, to) in types.into_iter().flat_map(|stored| types.map(|to| (stored, to))) {
            for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let found = first_beyond(to, stored, &encode(stored, vec![0.0, value]));
                assert!(
                    found.is_some_and(|found| !found.is_finite()),
                    "{value} {stored:?} {to:?}"
                );
            }
        }
    }
}
