//! Latents and the conditions they add to the action queries (3DThinkVLA (2), (6) and (7)), all in 32 bits.

use tch::{TchError, Tensor};

use super::adapters::{Adapter, AdapterNorm, AdapterSize, Projector};
use crate::model::config::{GeometryConfig, ReasoningConfig};
use crate::model::error::ModelError;
use crate::model::layers::parameters::Scope;
use crate::model::thinkvla::fusion::ReasoningFusion;
use crate::model::thinkvla::pool::{PatchRows, Pool, PoolSize};

/// Latent geometry perception. Fields have the names of the checkpoint's keys.
#[derive(Debug)]
pub struct GeometryPerception {
    geo_adapter: Adapter,
    geo_pool: Pool,
    geo_proj: Projector,
}

/// Sizes that the geometry branch connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GeometrySize {
    /// Width of the vision tower.
    pub patch: i64,
    /// Width of the action queries' states.
    pub query: i64,
    /// Number of action queries, K.
    pub chunk_len: i64,
}

/// Masks of the conditions for each sample: 1 adds the condition to the queries, 0 omits it (3DThinkVLA, random drop of
/// the geometry and reasoning conditions). `None` adds all.
#[derive(Debug, Default)]
pub struct ConditionMask {
    /// m_g, (B), in 32 bits.
    pub geometry: Option<Tensor>,
    /// m_r, (B), in 32 bits.
    pub reasoning: Option<Tensor>,
}

impl GeometryPerception {
    /// Builds the branch from `geo_adapter.*`, `geo_pool.*` and `geo_proj.*`; `root` is the root of the checkpoint.
    pub fn new(root: &Scope, config: &GeometryConfig, size: GeometrySize) -> Result<Self, ModelError> {
        let adapter = AdapterSize {
            inputs: size.patch,
            width: config.width,
        };
        let pool = PoolSize {
            width: config.width,
            tokens: size.chunk_len,
        };
        Ok(Self {
            geo_adapter: Adapter::new(root.at("geo_adapter"), adapter, config.norm)?,
            geo_pool: Pool::new(root.at("geo_pool"), config.pool, pool)?,
            geo_proj: Projector::new(root.at("geo_proj"), config.width, size.query)?,
        })
    }

    /// Computes the geometry latents F^Geo.
    ///
    /// # Shapes
    /// (Σpatches, vision width) → (Σpatches, geometry width)
    pub fn latents(&self, tap: &Tensor) -> Result<Tensor, TchError> {
        self.geo_adapter.forward(tap)
    }

    /// Computes the condition that is added to the queries.
    ///
    /// # Shapes
    /// (Σpatches, geometry width) → (B, 1, D), or (B, K, D) with a pool that gives one token for each query
    pub fn condition(&self, latents: &Tensor, rows: PatchRows) -> Result<Tensor, TchError> {
        self.geo_proj.forward(&self.geo_pool.forward(latents, rows)?)
    }
}

/// The reasoning latent and its fusion. Fields have the names of the checkpoint's keys.
#[derive(Debug)]
pub struct Reasoning {
    /// Adapter; `None` where the anchor's state itself is the latent.
    reason_adapter: Option<Adapter>,
    fusion: ReasoningFusion,
}

impl Reasoning {
    /// Builds the branch from `reason_adapter.*` (if it has one) and the fusion's tensors, for states of `width`
    /// channels; `root` is the root of the checkpoint.
    pub fn new(root: &Scope, config: &ReasoningConfig, width: i64) -> Result<Self, ModelError> {
        let size = AdapterSize { inputs: width, width };
        Ok(Self {
            reason_adapter: match config.adapter {
                true => Some(Adapter::new(root.at("reason_adapter"), size, AdapterNorm::Post)?),
                false => None,
            },
            fusion: ReasoningFusion::new(root, config.fusion, width)?,
        })
    }

    /// Computes the reasoning latents Z.
    ///
    /// # Shapes
    /// (B, N, D) → the same
    pub fn latents(&self, anchors: &Tensor) -> Result<Tensor, TchError> {
        match &self.reason_adapter {
            Some(adapter) => adapter.forward(anchors),
            None => Ok(anchors.shallow_clone()),
        }
    }

    /// Computes the condition that is added to the queries.
    ///
    /// # Shapes
    /// queries: (B, K, D), latents: (B, N, D) → (B, 1, D), with a gate (B, K, D)
    pub fn condition(&self, queries: &Tensor, latents: &Tensor) -> Result<Tensor, TchError> {
        self.fusion.forward(queries, latents)
    }
}
