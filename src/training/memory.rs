//! Estimates the memory that a run needs, before it begins.

use crate::camera::smart_resize::{Size, smart_resize};
use crate::model::checkpoint::Manifest;
use crate::model::checkpoint::weights::{CheckpointPart, is_backbone};
use crate::model::config::{Config, Precision};
use crate::model::error::ModelError;
use crate::model::layers::parameters::Parameter;

use super::config::TrainingConfig;
use crate::model::trainable::{Selection, is_under, names};

/// libtorch, tokenizer, and a checkpoint that is being written (bytes).
const FIXED_BYTES: f64 = 0.5e9;
/// Tokens of an instruction and of the rest of the prompt.
const WORDS: f64 = 64.0;
/// Values per row that a transformer block keeps for the backward pass, in multiples of its width: both norms, query,
/// key, value and output of attention, and the residual sums.
const WIDTHS: f64 = 9.0;
/// The same in multiples of the width of its feed-forward part.
const FEED_FORWARD: f64 = 3.0;

/// Memory that a run needs (bytes).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MemoryEstimate {
    /// Weights of the network.
    pub weights: f64,
    /// Gradients, both moments of AdamW, and 32-bit masters of 16-bit weights.
    pub optimiser: f64,
    /// Activations that the forward pass keeps for the backward pass.
    pub activations: f64,
    /// Images of the batches that are made ahead.
    pub batches: f64,
}

impl MemoryEstimate {
    /// Returns the sum, with what any process of this program needs (bytes).
    pub fn total(&self) -> f64 {
        self.weights + self.optimiser + self.activations + self.batches + FIXED_BYTES
    }
}

impl std::fmt::Display for MemoryEstimate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let gb = |bytes: f64| bytes / 1e9;
        write!(
            f,
            "about {:.2} GB (weights {:.2}, optimiser {:.2}, activations {:.2}, batches {:.2}, the rest {:.2})",
            gb(self.total()),
            gb(self.weights),
            gb(self.optimiser),
            gb(self.activations),
            gb(self.batches),
            gb(FIXED_BYTES)
        )
    }
}

/// Estimates the memory of a run of this configuration. Activations are counted as if gradients went through every
/// block, although blocks below the first that is trained need none.
///
/// # Errors
/// When the checkpoint cannot be read, or its images cannot be cut into patches.
pub fn needed(config: &TrainingConfig, manifest: &Manifest) -> Result<MemoryEstimate, ModelError> {
    let network = manifest.config()?;
    let compute = config.compute.unwrap_or(manifest.compute);
    let layout = manifest.layout(CheckpointPart::Everything)?;
    let bytes = |parameter: &Parameter| match compute {
        Precision::Bfloat16 if is_backbone(&parameter.key) => 2.0,
        _ => 4.0,
    };
    let weights = layout.iter().map(|one| bytes(one) * one.count() as f64).sum();
    let optimiser = layout
        .iter()
        .map(|one| {
            // Gradient, two moments, and a master if the weight has fewer than 32 bits; low-rank differences have 32
            // bits.
            let each = if bytes(one) < 4.0 && !matches!(config.selection, Selection::Lora { .. }) {
                2.0 + 12.0
            } else {
                12.0
            };
            each * learning(one, &config.selection)
        })
        .sum();
    let patches = patches(manifest)?;
    let samples = config.data.batch as f64;
    let vision = &network.qwen3_vl.vision_config;
    let values = (vision.in_channels * vision.temporal_patch_size * vision.patch_size * vision.patch_size) as f64;
    let ahead = (config.data.workers * config.data.ahead + 2) as f64;
    Ok(MemoryEstimate {
        weights,
        optimiser,
        activations: samples * activations(&network, patches, compute),
        batches: ahead * samples * patches * values * 4.0,
    })
}

/// Number of values that are trained in a tensor, or in its low-rank difference.
fn learning(one: &Parameter, selection: &Selection) -> f64 {
    let backbone = is_backbone(&one.key);
    let whole = one.count() as f64;
    match selection {
        Selection::Everything => whole,
        Selection::Added { also } => {
            let chosen = also.iter().any(|path| is_under(&one.key, path));
            if backbone && !chosen { 0.0 } else { whole }
        }
        Selection::Only { modules } => match modules.iter().any(|path| is_under(&one.key, path)) {
            true => whole,
            false => 0.0,
        },
        Selection::AllBut { modules } => match modules.iter().any(|path| is_under(&one.key, path)) {
            true => 0.0,
            false => whole,
        },
        Selection::Lora { .. } if !backbone => whole,
        Selection::Lora { rank, modules, .. } => match one.shape.first() {
            Some(outputs) if one.shape.len() > 1 && modules.iter().any(|name| names(name, &one.key)) => {
                (*rank * outputs) as f64 + *rank as f64 * whole / *outputs as f64
            }
            _ => 0.0,
        },
    }
}

/// Number of patches of all images of a sample.
fn patches(manifest: &Manifest) -> Result<f64, ModelError> {
    let contract = manifest.contract()?;
    let rule = manifest.bounds.rule(&manifest.qwen3_vl.vision_config);
    let resize = contract.data.resize;
    let size = Size {
        height: resize.height,
        width: resize.width,
    };
    let fed = smart_resize(size, rule.size_rule())
        .map_err(|e| ModelError::config("data.resize", "pictures that can be cut into patches", e))?;
    let side = rule.patch.max(1);
    Ok(f64::from(fed.height / side * (fed.width / side)) * contract.robot.cameras.len() as f64)
}

/// Memory of the activations of one sample (bytes).
fn activations(network: &Config, patches: f64, compute: Precision) -> f64 {
    let (vision, text) = (&network.qwen3_vl.vision_config, &network.qwen3_vl.text_config);
    let merge = (vision.spatial_merge_size * vision.spatial_merge_size).max(1) as f64;
    let tokens = patches / merge + network.thinkvla.chunk_len as f64 + WORDS;
    let block =
        |rows: f64, width: i64, feed_forward: i64| rows * (WIDTHS * width as f64 + FEED_FORWARD * feed_forward as f64);
    let seen = vision.depth as f64 * block(patches, vision.hidden_size, vision.intermediate_size);
    let read = text.num_hidden_layers as f64 * block(tokens, text.hidden_size, text.intermediate_size);
    // Scores of every pair of tokens, before and after the softmax.
    let scores = 2.0 * (text.num_hidden_layers * text.num_attention_heads) as f64 * tokens * tokens;
    let each = match compute {
        Precision::Float32 => 4.0,
        Precision::Bfloat16 => 2.0,
    };
    each * (seen + read + scores)
}
