//! Cache of keys and values of all tokens so far, so that a new token needs a pass of one token only.

use tch::{TchError, Tensor};

/// Number of tokens by which a full cache grows.
const BLOCK: i64 = 256;

/// The cache of all layers, for one sequence. It is allocated at the first pass and grows in blocks.
#[derive(Debug, Default)]
pub struct KvCache {
    layers: Vec<LayerCache>,
    length: i64,
}

/// The cache of one layer.
#[derive(Debug, Default)]
pub struct LayerCache {
    capacity: i64,
    length: i64,
    stored: Option<Stored>,
}

/// Keys and values, (1, KV heads, capacity, head) each.
#[derive(Debug)]
struct Stored {
    keys: Tensor,
    values: Tensor,
}

/// Keys and values that a new token attends to, including its own.
#[derive(Debug)]
pub struct KeyValues {
    /// Rotated keys, (1, KV heads, tokens so far, head).
    pub keys: Tensor,
    /// Values, of the same shape.
    pub values: Tensor,
}

impl KvCache {
    /// Returns the number of cached tokens.
    pub fn len(&self) -> i64 {
        self.length
    }

    /// Reports whether no token is cached.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Returns the caches of the given number of layers, first layer first, for a pass in which each stores `tokens`
    /// new tokens.
    pub(in crate::model) fn next_pass(&mut self, layers: usize, tokens: i64) -> impl Iterator<Item = &mut LayerCache> {
        self.length += tokens;
        self.layers.resize_with(layers, LayerCache::default);
        self.layers.iter_mut()
    }
}

impl LayerCache {
    /// Stores the keys and values of new tokens and returns those of all tokens.
    ///
    /// # Shapes
    /// keys, values: (1, KV heads, new tokens, head)
    pub(in crate::model) fn extend(&mut self, keys: &Tensor, values: &Tensor) -> Result<KeyValues, TchError> {
        let (_, _, new, _) = keys.size4()?;
        let length = self.length + new;
        let stored = match self.stored.take() {
            Some(stored) if length <= self.capacity => stored,
            earlier => {
                // Allocates a block beyond the present need, because the answer comes token by token.
                self.capacity = (length / BLOCK + 2) * BLOCK;
                Stored {
                    keys: with_capacity(keys, self.capacity, earlier.as_ref().map(|s| &s.keys), self.length)?,
                    values: with_capacity(values, self.capacity, earlier.as_ref().map(|s| &s.values), self.length)?,
                }
            }
        };
        stored.keys.f_narrow(2, self.length, new)?.f_copy_(keys)?;
        stored.values.f_narrow(2, self.length, new)?.f_copy_(values)?;
        self.length = length;
        let key_values = KeyValues {
            keys: stored.keys.f_narrow(2, 0, length)?,
            values: stored.values.f_narrow(2, 0, length)?,
        };
        self.stored = Some(stored);
        Ok(key_values)
    }
}

/// Returns a tensor like `one`, with capacity for `capacity` tokens and the first `length` tokens of `earlier`.
fn with_capacity(one: &Tensor, capacity: i64, earlier: Option<&Tensor>, length: i64) -> Result<Tensor, TchError> {
    let (batch, heads, _, head) = one.size4()?;
    let larger = Tensor::f_empty([batch, heads, capacity, head], (one.f_kind()?, one.device()))?;
    if let Some(earlier) = earlier {
        larger
            .f_narrow(2, 0, length)?
            .f_copy_(&earlier.f_narrow(2, 0, length)?)?;
    }
    Ok(larger)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    #[test]
    fn what_was_stored_stays_while_the_cache_grows() {
        let mut cache = KvCache::default();
        let all = Tensor::randn([1, 2, 700, 4], (Kind::Float, Device::Cpu));
        let mut read = 0;
        for tokens in [200, 1, 55, 1, 300, 143] {
            let new = all.narrow(2, read, tokens);
            let layer = cache.next_pass(1, tokens).next().unwrap();
            let key_values = layer.extend(&new, &(&new * 2.0)).unwrap();
            read += tokens;
            assert_eq!(key_values.keys, all.narrow(2, 0, read));
            assert_eq!(key_values.values, all.narrow(2, 0, read) * 2.0);
        }
        assert_eq!(cache.len(), 700);
    }
}
