//! A checkpoint directory: `config.json`, `tokenizer.json`, `model.safetensors`, `contract.yaml`.
//!
//! Weights are read by memory map and checked strictly against the network: every tensor that is missing, extra, of
//! another shape or of another type is named at once. Nothing in here reads pickle.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;

use safetensors::{Dtype, SafeTensors};
use sha2::{Digest, Sha256};
use tch::{Device, Kind, Tensor};
use tokenizers::Tokenizer;

use crate::contract::Contract;

use super::config::{Config, Precision};
use super::error::ModelError;
use super::network::Network;
use super::parameters::{Parameter, Role, Source};

/// File name of the weights.
pub const WEIGHTS: &str = "model.safetensors";
/// File name of the tokenizer.
pub const TOKENIZER: &str = "tokenizer.json";

/// The text head: tied to the embedding or not, it is not needed to act and may be in the file.
const TEXT_HEAD: &str = "lm_head.weight";

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
        let path = directory.join(WEIGHTS);
        let bytes = File::open(&path)
            .and_then(|file| super::shim::map(&file))
            .map_err(|e| ModelError::read(&path, e))?;
        let tensors = SafeTensors::deserialize(&bytes).map_err(|e| {
            ModelError::read(
                &path,
                format!("{e}; the file is truncated or not safetensors, fetch it again"),
            )
        })?;
        let file = Weights {
            tensors,
            backbone: kind,
            device: placement.device,
            asked: RefCell::default(),
            problems: RefCell::default(),
        };
        let network = Network::new(&config, &file)?;
        let problems = file.problems();
        if !problems.is_empty() {
            return Err(ModelError::Weights { path, problems });
        }
        let hash = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
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
    Tokenizer::from_file(path).map_err(|e| ModelError::read(path, e))
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

/// The weights file as a source of tensors.
struct Weights<'a> {
    tensors: SafeTensors<'a>,
    backbone: Kind,
    device: Device,
    asked: RefCell<BTreeSet<String>>,
    problems: RefCell<Vec<String>>,
}

impl Weights<'_> {
    /// What does not fit, once the network has asked for all it needs.
    fn problems(self) -> Vec<String> {
        let asked = self.asked.into_inner();
        let mut problems = self.problems.into_inner();
        let mut extra: Vec<_> = self
            .tensors
            .names()
            .into_iter()
            .filter(|name| !asked.contains(*name) && *name != TEXT_HEAD)
            .map(|name| format!("extra: {name}, which this configuration has no place for"))
            .collect();
        extra.sort();
        problems.extend(extra);
        problems
    }

    fn read(&self, parameter: &Parameter) -> Result<Result<Tensor, String>, ModelError> {
        let Parameter { key, shape, .. } = parameter;
        let Ok(view) = self.tensors.tensor(key) else {
            return Ok(Err(format!("missing: {key}, expected shape {shape:?}")));
        };
        let found: Vec<i64> = view.shape().iter().map(|n| *n as i64).collect();
        if found != *shape {
            return Ok(Err(format!("shape of {key}: expected {shape:?}, found {found:?}")));
        }
        let kind = match view.dtype() {
            Dtype::F32 => Kind::Float,
            Dtype::BF16 => Kind::BFloat16,
            other => return Ok(Err(format!("type of {key}: expected F32 or BF16, found {other:?}"))),
        };
        Ok(Ok(Tensor::f_from_data_size(view.data(), shape, kind)?))
    }
}

impl Source for Weights<'_> {
    fn tensor(&self, parameter: Parameter, role: Role) -> Result<Tensor, ModelError> {
        let kind = match role {
            Role::Backbone => self.backbone,
            Role::Head => Kind::Float,
        };
        let read = self.read(&parameter)?;
        self.asked.borrow_mut().insert(parameter.key);
        match read {
            Ok(tensor) => Ok(tensor.f_to_device(self.device)?.f_to_kind(kind)?),
            Err(problem) => {
                self.problems.borrow_mut().push(problem);
                // Stands in until the problems are reported.
                Ok(Tensor::f_empty(&parameter.shape, (kind, Device::Cpu))?)
            }
        }
    }

    fn forward_only(&self) -> bool {
        true
    }
}
