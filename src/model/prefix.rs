//! Beginnings of sequences that the language model has been through, kept so that other ends can follow them.
//!
//! The teacher reads the images and the task that the student reads, and then something else.

use tch::{TchError, Tensor};

use super::text::cache::{LayerCache, Remembered};

/// Keys and values of B sequences of L tokens in every layer. They record no gradients.
#[derive(Debug, Default)]
pub struct Prefix {
    layers: Vec<Remembered>,
}

impl Prefix {
    /// What was kept, first layer first.
    pub(super) fn layers(&self) -> &[Remembered] {
        &self.layers
    }
}

/// What a layer's tokens attend to besides each other, and who remembers them.
#[derive(Debug)]
pub(super) enum Memory<'a> {
    /// Nothing, and nobody.
    None,
    /// A cache of one sequence that grows with each piece.
    Cache(&'a mut LayerCache),
    /// Nothing; what others will follow is noted.
    Keep(&'a mut Prefix),
    /// Kept beginnings, which stay as they are.
    Behind(&'a Remembered),
}

impl Memory<'_> {
    /// All keys and values that may be attended to, those of the new tokens last.
    ///
    /// # Shapes
    /// (B, KV heads, new tokens, head) → (B, KV heads, all tokens, head)
    pub fn meet(self, keys: Tensor, values: Tensor) -> Result<Remembered, TchError> {
        match self {
            Self::None => Ok(Remembered { keys, values }),
            Self::Cache(cache) => cache.extend(&keys, &values),
            Self::Keep(prefix) => {
                prefix.layers.push(Remembered {
                    keys: keys.f_detach()?,
                    values: values.f_detach()?,
                });
                Ok(Remembered { keys, values })
            }
            Self::Behind(kept) => Ok(Remembered {
                keys: Tensor::f_cat(&[&kept.keys, &keys], 2)?,
                values: Tensor::f_cat(&[&kept.values, &values], 2)?,
            }),
        }
    }
}
