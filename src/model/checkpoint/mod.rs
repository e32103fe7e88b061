//! Checkpoints: ours, Hugging Face's Qwen3-VL and StarVLA's Qwen3-VL-OFT.
//!
//! Weights are memory-mapped and checked strictly against the network: all tensors that are missing, extra, of another
//! shape or of another type are reported together. Nothing in a file is ever executed: of pickles, only plain state
//! dicts are read, by a reader that supports nothing else.

pub mod convert;
pub mod coverage;
mod huggingface;
pub mod manifest;
mod mapped;
mod ours;
mod pickle;
mod processor;
mod shards;
mod starvla;
pub mod statistics;
mod template;
pub(in crate::model) mod tensor_check;
pub mod torch_archive;
pub mod weights;

use std::path::{Path, PathBuf};

use tch::Device;
use tokenizers::Tokenizer;

use crate::contract::Contract;
use crate::files;
use crate::writer_lock::WriterLock;

use super::config::{Config, Precision};
use super::error::ModelError;
use super::json;
use super::thinkvla::network::Network;

pub use huggingface::BackboneCheckpoint;
pub use manifest::{Format, Manifest};
pub use processor::{ImageBounds, Preprocessing};

/// File name of the weights.
pub const WEIGHTS: &str = "model.safetensors";
/// File name of the tokenizer.
pub const TOKENIZER: &str = "tokenizer.json";

/// File name of Hugging Face's description of a tokenizer.
pub const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
/// File name of Hugging Face's chat template.
pub const CHAT_TEMPLATE: &str = "chat_template.jinja";

/// What the user may add to a checkpoint's files.
#[derive(Debug, Clone, Default)]
pub struct CheckpointOptions {
    /// Directory of the base model of a StarVLA run, with the backbone's description and the tokenizer.
    pub base: Option<PathBuf>,
    /// Tag of one of the robots in a run's statistics.
    pub tag: Option<String>,
    /// The robot and how its data was recorded, for checkpoints without a contract.
    pub robot: Option<Contract>,
    /// Type in which the backbone is to compute, in place of the stored one.
    pub dtype: Option<Precision>,
}

/// A loaded and checked checkpoint with an action part.
#[derive(Debug)]
pub struct Checkpoint {
    /// Configuration of the network.
    pub config: Config,
    /// Robot and training data.
    pub contract: Contract,
    /// Tokenizer.
    pub tokenizer: Tokenizer,
    /// The network.
    pub network: Network,
    /// SHA-256 of the weights file, in hexadecimal, which identifies the checkpoint.
    pub hash: String,
}

/// Device and type of the network's computation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    /// Device of all tensors.
    pub device: Device,
    /// Type of the backbone; `None` for the configuration's.
    pub compute: Option<Precision>,
}

impl Checkpoint {
    /// Loads a checkpoint that has an action part.
    ///
    /// # Errors
    /// When a file is missing, damaged, or does not fit the others (problems with weights are reported together); when
    /// there is no action part, or the checkpoint's robot is not known.
    pub fn load(directory: &Path, placement: Placement) -> Result<Self, ModelError> {
        let manifest = Manifest::read(directory, &CheckpointOptions::default())?;
        let contract = manifest.contract()?.clone();
        Ok(Self {
            config: manifest.config()?,
            contract,
            network: manifest.network(placement)?,
            hash: manifest.files.hash(),
            tokenizer: manifest.tokenizer,
        })
    }
}

/// Creates the directory of a new checkpoint if needed and locks it; refuses when `weights` already exists.
pub(super) fn claim(directory: &Path, weights: &Path) -> Result<WriterLock, ModelError> {
    std::fs::create_dir_all(directory).map_err(|e| ModelError::write(directory, e))?;
    let lock = WriterLock::acquire(directory)?;
    match weights.exists() {
        true => Err(ModelError::write(
            weights,
            "it exists; choose another directory or remove it first",
        )),
        false => Ok(lock),
    }
}

/// Reads a tokenizer file.
///
/// # Errors
/// When it is missing or not a tokenizer.
pub fn load_tokenizer(path: &Path) -> Result<Tokenizer, ModelError> {
    let text = files::read_text(path, files::TOKENIZER).map_err(|e| ModelError::read(path, e))?;
    // The tokenizers crate panics on some truncated files, so invalid JSON is refused first.
    json::parse::<serde::de::IgnoredAny>(path, text.as_bytes())?;
    Tokenizer::from_bytes(text.as_bytes()).map_err(|e| ModelError::read(path, e))
}
