//! Writes checkpoints whose weights are drawn from a seed.
//!
//! * [`presets`]: predefined sizes
//! * [`variant`]: options in which a checkpoint differs from the default of its size
//! * [`prune_tokenizer`]: a tokenizer with fewer tokens
//! * [`copied`]: modules that are copied from another checkpoint

pub mod copied;
pub mod presets;
pub mod prune_tokenizer;
pub mod variant;

use std::borrow::Cow;
use std::path::Path;

use half::bf16;
use safetensors::Dtype;
use tokenizers::Tokenizer;

use crate::contract::Contract;

use super::checkpoint::weights::{StoredTensor, is_backbone};
use super::checkpoint::{TOKENIZER, WEIGHTS, claim};
use super::config::Config;
use super::error::ModelError;
use super::layers::parameters::{Init, Parameter};
use super::thinkvla::network::Network;
use copied::CopiedModules;

/// Description of a checkpoint to be written.
#[derive(Debug, Clone, Copy)]
pub struct InitialCheckpoint<'a> {
    /// Configuration of the network.
    pub config: &'a Config,
    /// Contract of the checkpoint.
    pub contract: &'a Contract,
    /// Tokenizer.
    pub tokenizer: &'a Tokenizer,
    /// Seed of the weights: the same seed gives the same file.
    pub seed: u64,
    /// Initialisation of the backbone's weights.
    pub scheme: InitScheme,
    /// Modules that are copied from another checkpoint; `None` to draw all weights.
    pub copied: Option<CopiedModules<'a>>,
}

/// Initialisation of an untrained backbone's weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InitScheme {
    /// As for Qwen3-VL's: standard deviation 0.02 for all.
    Reference,
    /// By fan-in, for networks that are trained from scratch: with 0.02 narrow ones hardly propagate any signal.
    FanIn,
}

/// Standard deviation of token embeddings with [`InitScheme::FanIn`].
const EMBEDDING_STD: f32 = 0.3;
/// Factor of the standard deviation of the last map of each residual branch, with [`InitScheme::FanIn`].
const RESIDUAL_SHARE: f32 = 0.5;
/// Key endings of the last maps of residual branches.
const RESIDUAL: [&str; 4] = [
    "attn.proj.weight",
    "o_proj.weight",
    "down_proj.weight",
    "mlp.linear_fc2.weight",
];

impl InitScheme {
    /// Returns the parameter with the initial values of this scheme.
    fn apply(self, mut parameter: Parameter) -> Parameter {
        let (Self::FanIn, Init::Normal { .. }, true) = (self, parameter.init, is_backbone(&parameter.key)) else {
            return parameter;
        };
        let key = parameter.key.as_str();
        let inputs = parameter.shape.iter().skip(1).product::<i64>();
        let std = match key {
            _ if key.ends_with("pos_embed.weight") => return parameter,
            _ if key.ends_with("embed_tokens.weight") => EMBEDDING_STD,
            _ if RESIDUAL.iter().any(|end| key.ends_with(end)) => RESIDUAL_SHARE / (inputs as f32).sqrt(),
            _ => 1.0 / (inputs as f32).sqrt(),
        };
        parameter.init = Init::Normal { std };
        parameter
    }
}

/// Sizes of a written checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InitSummary {
    /// Number of parameters.
    pub parameters: usize,
    /// Number of the tokenizer's tokens.
    pub vocabulary: usize,
}

impl InitialCheckpoint<'_> {
    /// Writes the four files into a directory, which is created if needed. Drawn weights are stored in bfloat16,
    /// copied ones in the type that they have.
    ///
    /// # Errors
    /// When the directory already holds weights, the configuration is invalid, modules cannot be copied, or a file
    /// cannot be written.
    pub fn write(&self, directory: &Path) -> Result<InitSummary, ModelError> {
        let parameters = Network::layout(self.config)?.into_iter();
        let parameters: Vec<_> = parameters.map(|one| self.scheme.apply(one)).collect();
        let files = self.copied.as_ref().map(CopiedModules::open).transpose()?;
        let copied = match (&self.copied, &files) {
            (Some(copied), Some(files)) => copied.tensors(&parameters, files)?,
            _ => vec![None; parameters.len()],
        };
        let weights = directory.join(WEIGHTS);
        let _lock = claim(directory, &weights)?;
        let path = directory.join(TOKENIZER);
        self.tokenizer
            .save(&path, false)
            .map_err(|e| ModelError::write(&path, e))?;
        self.config.save(directory)?;
        self.contract.save(directory)?;
        let tensors = parameters.iter().zip(copied).map(|(parameter, copied)| InitialTensor {
            shape: parameter.shape.iter().map(|n| *n as usize).collect(),
            seed: self.seed,
            parameter,
            copied,
        });
        // Each is drawn when it is written, so that a large checkpoint needs little memory.
        write_safetensors(&weights, tensors.map(|tensor| (tensor.parameter.key.as_str(), tensor)))?;
        Ok(InitSummary {
            parameters: parameters.iter().map(Parameter::count).sum(),
            vocabulary: self.tokenizer.get_vocab_size(true),
        })
    }
}

/// Writes tensors one after another; each is made when it is written.
pub(super) fn write_safetensors<'a, V: safetensors::View>(
    path: &Path,
    tensors: impl Iterator<Item = (&'a str, V)>,
) -> Result<(), ModelError> {
    let refuse = |e: String| ModelError::write(path, e);
    // The writer replaces this file with a private one; the permissions of an ordinary new file are restored.
    let permissions = std::fs::File::create(path)
        .and_then(|file| file.metadata())
        .map_err(|e| refuse(e.to_string()))?
        .permissions();
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    safetensors::serialize_to_file(tensors, Some(metadata), path).map_err(|e| refuse(e.to_string()))?;
    std::fs::set_permissions(path, permissions).map_err(|e| refuse(e.to_string()))
}

/// A tensor that is drawn or copied when it is written.
struct InitialTensor<'a> {
    parameter: &'a Parameter,
    shape: Vec<usize>,
    seed: u64,
    copied: Option<StoredTensor<'a>>,
}

impl safetensors::View for InitialTensor<'_> {
    fn dtype(&self) -> Dtype {
        self.copied.map_or(Dtype::BF16, |copied| copied.dtype)
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        if let Some(copied) = self.copied {
            return copied.data.into();
        }
        let values = self.parameter.draw(self.seed);
        values
            .into_iter()
            .flat_map(|v| bf16::from_f32(v).to_le_bytes())
            .collect()
    }

    fn data_len(&self) -> usize {
        self.copied
            .map_or(self.parameter.count() * size_of::<bf16>(), |copied| copied.data.len())
    }
}
