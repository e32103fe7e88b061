//! A checkpoint directory: `config.json`, `tokenizer.json`, `model.safetensors`, `contract.yaml`.
//!
//! Weights are read by memory map and checked strictly against the network: every tensor that is missing, extra, of
//! another shape or of another type is named at once. Nothing in here reads pickle.

mod huggingface;
pub mod weights;

use std::path::Path;

use tch::Device;
use tokenizers::Tokenizer;

use crate::contract::Contract;

use super::config::{Config, Precision, Proprio};
use super::error::ModelError;
use super::network::Network;

pub use huggingface::{BackboneCheckpoint, Preprocessing};
use weights::{Naming, Taking, WeightFiles, Weights};

/// File name of the weights.
pub const WEIGHTS: &str = "model.safetensors";
/// File name of the tokenizer.
pub const TOKENIZER: &str = "tokenizer.json";

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
    /// Reads a checkpoint directory.
    ///
    /// # Errors
    /// When a file is missing, damaged, or does not fit the others; weights are reported all at once.
    pub fn load(directory: &Path, placement: Placement) -> Result<Self, ModelError> {
        let config = Config::load(directory)?;
        let contract = Contract::load(directory)?;
        check_contract(&config, &contract)?;
        let tokenizer = load_tokenizer(&directory.join(TOKENIZER))?;
        let kind = placement.compute.unwrap_or(config.thinkvla.compute).kind();
        let files = WeightFiles::of_directory(directory, Naming::HuggingFace)?;
        let taking = Taking {
            backbone: kind,
            device: placement.device,
            tied: config.tie_word_embeddings,
        };
        let weights = Weights::new(&files, taking);
        let network = Network::new(&config, &weights)?;
        weights.finish()?;
        let hash = files.hash();
        Ok(Self {
            config,
            contract,
            tokenizer,
            network,
            hash,
        })
    }
}

/// Reads a tokenizer file.
///
/// # Errors
/// When it is missing or not a tokenizer.
pub fn load_tokenizer(path: &Path) -> Result<Tokenizer, ModelError> {
    let bytes = std::fs::read(path).map_err(|e| ModelError::read(path, e))?;
    // The tokenizers crate panics on some truncated files, so what is not JSON at all never gets there.
    serde_json::from_slice::<serde::de::IgnoredAny>(&bytes).map_err(|e| ModelError::read(path, e))?;
    Tokenizer::from_bytes(bytes).map_err(|e| ModelError::read(path, e))
}

/// The two descriptions of the actions must agree.
fn check_contract(config: &Config, contract: &Contract) -> Result<(), ModelError> {
    let ours = &config.thinkvla;
    let statistics = contract.data.statistics.len() as i64;
    if ours.action_dim != statistics {
        return Err(ModelError::config(
            "thinkvla.action_dim",
            format!("{statistics}, the number of statistics in contract.yaml"),
            ours.action_dim,
        ));
    }
    if ours.proprio == Proprio::Text && contract.data.state.is_empty() {
        return Err(ModelError::config(
            "thinkvla.proprio",
            "none, or statistics of the robot's state in data.state of contract.yaml, by which the state is told",
            "text without statistics",
        ));
    }
    match &contract.model {
        Some(model) if model.chunk_len as i64 == ours.chunk_len => Ok(()),
        Some(model) => Err(ModelError::config(
            "thinkvla.chunk_len",
            format!("model.chunk_len of contract.yaml, {}", model.chunk_len),
            ours.chunk_len,
        )),
        None => Err(ModelError::config(
            "thinkvla.chunk_len",
            "a `model` part in contract.yaml that says the same",
            "none: it is the contract of a dataset",
        )),
    }
}
