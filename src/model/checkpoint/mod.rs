//! Checkpoints: ours, Hugging Face's Qwen3-VL and StarVLA's Qwen3-VL-OFT.
//!
//! Weights are read by memory map and checked strictly against the network: every tensor that is missing, extra, of
//! another shape or of another type is named at once. Nothing that stands in a file is ever run: of pickles, only plain
//! state dicts are read, by a reader that knows nothing else.

pub mod convert;
pub mod coverage;
mod huggingface;
pub mod manifest;
mod ours;
mod pickle;
mod processor;
mod starvla;
pub mod statistics;
mod template;
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
use super::network::Network;

pub use huggingface::BackboneCheckpoint;
pub use manifest::{Format, Manifest};
pub use processor::{Bounds, Preprocessing};

/// File name of the weights.
pub const WEIGHTS: &str = "model.safetensors";
/// File name of the tokenizer.
pub const TOKENIZER: &str = "tokenizer.json";

/// File name of Hugging Face's description of a tokenizer.
pub const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
/// File name of Hugging Face's chat template.
pub const CHAT_TEMPLATE: &str = "chat_template.jinja";

/// What a directory lacks and the user may add.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Directory of the base model of a StarVLA run, which has the backbone's description and the tokenizer.
    pub base: Option<PathBuf>,
    /// Which of the robots in a run's statistics.
    pub tag: Option<String>,
    /// The robot and how its data was recorded, for checkpoints without a contract.
    pub robot: Option<Contract>,
    /// Type the backbone is to compute in, in place of the one it is stored in.
    pub dtype: Option<Precision>,
}

/// A checkpoint, loaded and checked.
#[derive(Debug)]
pub struct Checkpoint {
    /// Shape of the network.
    pub config: Config,
    /// What it was trained on and for.
    pub contract: Contract,
    /// Text to ids.
    pub tokenizer: Tokenizer,
    /// The network.
    pub network: Network,
    /// SHA-256 of the weights file, in hexadecimal: names the checkpoint by its content.
    pub hash: String,
}

/// Where and how the network is to compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    /// Device of all tensors.
    pub device: Device,
    /// Type of the backbone; `None` takes the configuration's.
    pub compute: Option<Precision>,
}

impl Checkpoint {
    /// Reads a checkpoint that can act.
    ///
    /// # Errors
    /// When a file is missing, damaged, or does not fit the others; weights are reported all at once. When it has
    /// nothing to act with, or does not say for which robot it is.
    pub fn load(directory: &Path, placement: Placement) -> Result<Self, ModelError> {
        let manifest = Manifest::read(directory, &Options::default())?;
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

/// Makes the directory of a new checkpoint if needed, for this writer alone; `weights` is the file that it may not have
/// yet.
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
    let bytes = files::read(path, files::TOKENIZER).map_err(|e| ModelError::read(path, e))?;
    // The tokenizers crate panics on some truncated files, so what is not JSON at all never gets there.
    json::parse::<serde::de::IgnoredAny>(path, &bytes)?;
    Tokenizer::from_bytes(bytes).map_err(|e| ModelError::read(path, e))
}
