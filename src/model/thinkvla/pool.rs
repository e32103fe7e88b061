//! Pooling of the geometry latents of all patches, so that they can be added to K action queries.
//!
//! 3DThinkVLA does not specify it; the four variants are options of the checkpoint.

use serde::{Deserialize, Serialize};
use tch::{TchError, Tensor};

use crate::model::error::ModelError;
use crate::model::layers::parameters::{Init, Scope};
use crate::model::layers::{Linear, LinearInit};

/// Pooling of the geometry latents of all patches and views to one condition, or one for each query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GeoPool {
    /// Their mean, the same for every query.
    #[default]
    Mean,
    /// Their maximum, channel by channel, the same for every query.
    Max,
    /// The patches in raster order, view after view, averaged in K runs of (nearly) equal length: one for each query.
    Adaptive,
    /// K learned queries attend to the patches: one for each action query.
    Attention,
}

/// Pooling module.
#[derive(Debug)]
pub enum Pool {
    /// See [`GeoPool::Mean`].
    Mean,
    /// See [`GeoPool::Max`].
    Max,
    /// See [`GeoPool::Adaptive`].
    Adaptive {
        /// Number of runs, K.
        tokens: i64,
    },
    /// See [`GeoPool::Attention`].
    Attention(AttentionPool),
}

/// Sizes of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolSize {
    /// Width of the geometry latent.
    pub width: i64,
    /// Number of action queries, K.
    pub tokens: i64,
}

/// Assignment of patches to sequences, and their raster order.
#[derive(Debug, Clone, Copy)]
pub struct PatchRows<'a> {
    /// Number of patches of all views for each sequence, B values.
    pub counts: &'a [i64],
    /// Index in merge-block order of each patch, in raster order view by view, (Σpatches).
    pub raster: &'a Tensor,
}

impl Pool {
    /// Builds the pool from `geo_pool.*`; only attention has tensors.
    pub fn new(scope: Scope, kind: GeoPool, size: PoolSize) -> Result<Self, ModelError> {
        Ok(match kind {
            GeoPool::Mean => Self::Mean,
            GeoPool::Max => Self::Max,
            GeoPool::Adaptive => Self::Adaptive { tokens: size.tokens },
            GeoPool::Attention => Self::Attention(AttentionPool::new(scope, size)?),
        })
    }

    /// Pools the patches of each sequence over all its views.
    ///
    /// # Shapes
    /// (Σpatches, width), in merge-block order → (B, 1, width), or (B, K, width) with one token for each query
    pub fn forward(&self, latents: &Tensor, rows: PatchRows) -> Result<Tensor, TchError> {
        let sorted;
        let latents = match self {
            Self::Adaptive { .. } => {
                sorted = latents.f_index_select(0, rows.raster)?;
                &sorted
            }
            _ => latents,
        };
        let pooled = latents
            .f_split_with_sizes(rows.counts, 0)?
            .iter()
            .map(|patches| match self {
                Self::Mean => patches.f_mean_dim(&[0i64][..], true, None),
                Self::Max => patches.f_amax([0i64], true),
                Self::Adaptive { tokens } => patches
                    .f_transpose(0, 1)?
                    .f_unsqueeze(0)?
                    .f_adaptive_avg_pool1d(*tokens)?
                    .f_squeeze_dim(0)?
                    .f_transpose(0, 1),
                Self::Attention(attention) => attention.forward(patches),
            })
            .collect::<Result<Vec<_>, _>>()?;
        Tensor::f_stack(&pooled, 0)
    }
}

/// K learned queries that attend to the patches: `softmax(Q (F Wₖᵀ)ᵀ / √width) F Wᵥᵀ`, one head, without biases and
/// output projection (the projector follows).
#[derive(Debug)]
pub struct AttentionPool {
    queries: Tensor,
    k_proj: Linear,
    v_proj: Linear,
    scale: f64,
}

impl AttentionPool {
    /// Builds the pool from `geo_pool.queries`, `geo_pool.k_proj` and `geo_pool.v_proj`.
    pub fn new(scope: Scope, size: PoolSize) -> Result<Self, ModelError> {
        let PoolSize { width, tokens } = size;
        let map = |name| Linear::without_bias(scope.at(name), width, width, LinearInit::Uniform);
        Ok(Self {
            queries: scope.tensor("queries", &[tokens, width], Init::Normal { std: 0.02 })?,
            k_proj: map("k_proj")?,
            v_proj: map("v_proj")?,
            scale: 1.0 / (width as f64).sqrt(),
        })
    }

    /// # Shapes
    /// (patches, width) → (K, width)
    pub fn forward(&self, patches: &Tensor) -> Result<Tensor, TchError> {
        let scores = self
            .queries
            .f_matmul(&self.k_proj.forward(patches)?.f_transpose(0, 1)?)?;
        scores
            .f_mul_scalar(self.scale)?
            .f_softmax(-1, None)?
            .f_matmul(&self.v_proj.forward(patches)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::layers::parameters::testing::TensorFixture;

    const SIZE: PoolSize = PoolSize { width: 2, tokens: 2 };

    fn pool(kind: GeoPool, given: &TensorFixture) -> Pool {
        Pool::new(Scope::new(given).at("geo_pool"), kind, SIZE).unwrap()
    }

    /// Two sequences: one of 4 patches, one of 2.
    fn latents() -> Tensor {
        Tensor::from_slice(&[1f32, -1.0, 2.0, 5.0, 3.0, 0.0, 6.0, 4.0, 8.0, 1.0, 4.0, 3.0]).reshape([6, 2])
    }

    fn pooled(pool: &Pool, raster: [i64; 6]) -> Vec<f32> {
        let rows = PatchRows {
            counts: &[4, 2],
            raster: &Tensor::from_slice(&raster),
        };
        let tokens = pool.forward(&latents(), rows).unwrap();
        Vec::try_from(tokens.flatten(0, -1)).unwrap()
    }

    const AS_IT_IS: [i64; 6] = [0, 1, 2, 3, 4, 5];

    #[test]
    fn mean_and_maximum_are_over_the_patches_of_each_sequence_alone() {
        let none = TensorFixture::default();
        assert_eq!(pooled(&pool(GeoPool::Mean, &none), AS_IT_IS), [3.0, 2.0, 6.0, 2.0]);
        assert_eq!(pooled(&pool(GeoPool::Max, &none), AS_IT_IS), [6.0, 5.0, 8.0, 3.0]);
    }

    #[test]
    fn adaptive_averages_runs_of_the_raster_order() {
        let pool = pool(GeoPool::Adaptive, &TensorFixture::default());
        // Patches 0, 1 | 2, 3 and 4 | 5.
        let expected = [1.5, 2.0, 4.5, 2.0, 8.0, 1.0, 4.0, 3.0];
        assert_eq!(pooled(&pool, AS_IT_IS), expected);
        // Patches 0, 2 | 1, 3 and 5 | 4.
        let expected = [2.0, -0.5, 4.0, 4.5, 4.0, 3.0, 8.0, 1.0];
        assert_eq!(pooled(&pool, [0, 2, 1, 3, 5, 4]), expected);
    }

    #[test]
    fn attention_weighs_the_patches_by_likeness_to_each_query() {
        // The first query attends by the first channel only, the second uniformly.
        let given = TensorFixture::of(&[
            ("geo_pool.queries", &[2.0, 0.0, 0.0, 0.0]),
            ("geo_pool.k_proj.weight", &[1.0, 0.0, 0.0, 1.0]),
            ("geo_pool.v_proj.weight", &[0.0, 1.0, 1.0, 0.0]),
        ]);
        let found = pooled(&pool(GeoPool::Attention, &given), AS_IT_IS);
        let weigh = |scores: &[f64], values: &[f64]| -> f64 {
            let shares: Vec<f64> = scores.iter().map(|s| (s * 2.0 / 2f64.sqrt()).exp()).collect();
            shares.iter().zip(values).map(|(s, v)| s * v).sum::<f64>() / shares.iter().sum::<f64>()
        };
        let (first, second) = ([1.0, 2.0, 3.0, 6.0], [-1.0, 5.0, 0.0, 4.0]);
        // Values are swapped by v_proj.
        let expected = [weigh(&first, &second), weigh(&first, &first), 2.0, 3.0];
        for (found, expected) in found.iter().zip(expected) {
            assert!((f64::from(*found) - expected).abs() < 1e-5, "{found} is not {expected}");
        }
    }

    #[test]
    fn only_attention_asks_for_tensors() {
        for kind in [GeoPool::Mean, GeoPool::Max, GeoPool::Adaptive] {
            pool(kind, &TensorFixture::default());
        }
    }
}
