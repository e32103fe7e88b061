//! Stored prefixes of sequences, so that other continuations can follow them.
//!
//! The teacher's prompt shares images and task with the student's and continues differently.

use tch::{TchError, Tensor};

use super::kv_cache::{KeyValues, LayerCache};

/// Keys and values of B sequences of L tokens in every layer, detached from gradients.
#[derive(Debug, Default)]
pub struct PrefixCache {
    layers: Vec<KeyValues>,
}

impl PrefixCache {
    /// Returns the stored keys and values, first layer first.
    pub(in crate::model) fn layers(&self) -> &[KeyValues] {
        &self.layers
    }
}

/// Additional keys and values of a layer, and where the new ones are stored.
#[derive(Debug)]
pub(in crate::model) enum KvSource<'a> {
    /// No additional keys and values; nothing is stored.
    None,
    /// A cache of one sequence, which new tokens are added to.
    Cache(&'a mut LayerCache),
    /// No additional keys and values; the new ones are stored as a prefix.
    Keep(&'a mut PrefixCache),
    /// A stored prefix, which is not changed.
    Behind(&'a KeyValues),
}

impl KvSource<'_> {
    /// Returns all keys and values that may be attended to, those of the new tokens last.
    ///
    /// # Shapes
    /// (B, KV heads, new tokens, head) → (B, KV heads, all tokens, head)
    pub fn extend(self, keys: Tensor, values: Tensor) -> Result<KeyValues, TchError> {
        match self {
            Self::None => Ok(KeyValues { keys, values }),
            Self::Cache(cache) => cache.extend(&keys, &values),
            Self::Keep(prefix) => {
                prefix.layers.push(KeyValues {
                    keys: keys.f_detach()?,
                    values: values.f_detach()?,
                });
                Ok(KeyValues { keys, values })
            }
            Self::Behind(kept) => Ok(KeyValues {
                keys: Tensor::f_cat(&[&kept.keys, &keys], 2)?,
                values: Tensor::f_cat(&[&kept.values, &values], 2)?,
            }),
        }
    }
}
