//! Checkpoints: ours, Hugging Face's Qwen3-VL and StarVLA's Qwen3-VL-OFT.
//!
//! A [`Manifest`] is what a directory says of itself, with its weights mapped and nothing of them read. Weights are
//! checked strictly against the network before one is read: every tensor that is missing, extra, of another shape or
//! of another type is named at once. Nothing in here reads pickle.

pub mod coverage;
mod format;
mod huggingface;
mod ours;
pub mod processor;
pub mod shards;
mod starvla;
pub mod statistics;
mod template;
mod weights;

use std::path::{Path, PathBuf};

use safetensors::Dtype;
use tch::Device;
use tokenizers::Tokenizer;

use crate::camera::patches::PatchRule;
use crate::contract::{Contract, DimensionStatistics};

use super::backbone::Backbone;
use super::config::{Config, Precision, Qwen3VlConfig, ThinkVlaConfig};
use super::error::ModelError;
use super::network::Network;
use coverage::{Coverage, Naming, Part};
use processor::Bounds;
use shards::Shards;
use weights::Weights;

pub use format::Format;
pub use statistics::STATISTICS;

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
}

/// What a checkpoint says of itself; of its weights, only the headers have been read.
#[derive(Debug)]
pub struct Manifest {
    /// Whose layout it is.
    pub format: Format,
    /// The backbone.
    pub qwen3_vl: Qwen3VlConfig,
    /// What was added to it; none in a Hugging Face directory.
    pub thinkvla: Option<ThinkVlaConfig>,
    /// What it was trained on and for. A StarVLA run has one where the user names the robot.
    pub contract: Option<Contract>,
    /// How its actions are normalised.
    pub actions: Vec<DimensionStatistics>,
    /// How images are sized, normalised and cut for it.
    pub rule: PatchRule,
    /// Bounds of the images.
    pub bounds: Bounds,
    /// Text to ids.
    pub tokenizer: Tokenizer,
    /// Type the backbone computes in where nobody says otherwise.
    pub compute: Precision,
    /// The weights.
    pub shards: Shards,
    /// How they are named.
    pub naming: Naming,
    /// Directory of the tokenizer and its like.
    pub home: PathBuf,
    /// What the weights are called, where they say.
    pub name: Option<String>,
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
    /// SHA-256 of the weights, in hexadecimal: names the checkpoint by its content.
    pub hash: String,
}

/// Where and how the network is to compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    /// Device of all tensors.
    pub device: Device,
    /// Type of the backbone; `None` takes the checkpoint's.
    pub compute: Option<Precision>,
}

impl Checkpoint {
    /// Reads a checkpoint that can act, with what the user adds to it.
    ///
    /// # Errors
    /// When a file is missing, damaged, or does not fit the others; weights are reported all at once. When it has
    /// nothing to act with, or nobody says for which robot it is.
    pub fn load(directory: &Path, options: &Options, placement: Placement) -> Result<Self, ModelError> {
        let manifest = Manifest::read(directory, options)?;
        let contract = manifest.contract()?.clone();
        let network = manifest.network(placement)?;
        Ok(Self {
            config: manifest.config()?,
            contract,
            network,
            hash: manifest.shards.hash()?,
            tokenizer: manifest.tokenizer,
        })
    }
}

impl Manifest {
    /// Reads what a directory says of itself, whichever of the three layouts it has. For a StarVLA run, `path` may be
    /// one weights file of it.
    ///
    /// # Errors
    /// When a file is missing, damaged, or does not fit the others.
    pub fn read(path: &Path, options: &Options) -> Result<Self, ModelError> {
        match Format::of(path)? {
            Format::Thinkvla => ours::read(path),
            Format::HuggingFace => huggingface::read(path),
            Format::Starvla => starvla::read(path, options),
        }
    }

    /// The whole network's configuration.
    ///
    /// # Errors
    /// When there is only a backbone, or a field cannot work.
    pub fn config(&self) -> Result<Config, ModelError> {
        let thinkvla = self.thinkvla.clone().ok_or_else(|| ModelError::Incomplete {
            found: "a backbone that has nothing to act with".into(),
            remedy: "give it an untrained action part with `thinkvla convert FROM TO --to thinkvla`, or ask it \
                     questions with `thinkvla ask`",
        })?;
        let config = Config {
            qwen3_vl: self.qwen3_vl.clone(),
            thinkvla,
        };
        config.validate()?;
        Ok(config)
    }

    /// The contract.
    ///
    /// # Errors
    /// When nobody says for which robot the checkpoint is.
    pub fn contract(&self) -> Result<&Contract, ModelError> {
        let config = self.config()?;
        let contract = self.contract.as_ref().ok_or_else(|| ModelError::Incomplete {
            found: "a StarVLA run, which does not say for which robot it is".into(),
            remedy: "convert it with `thinkvla convert RUN TO --to thinkvla --robot FILE`, where FILE is a contract.yaml \
                     of the robot",
        })?;
        ours::check_contract(&config, contract)?;
        Ok(contract)
    }

    /// How the weights cover the network, or its backbone.
    ///
    /// # Errors
    /// When the configuration cannot work.
    pub fn coverage(&self, part: Part) -> Result<Coverage, ModelError> {
        let layout = match (part, &self.thinkvla) {
            (Part::Everything, Some(_)) => Network::layout(&self.config()?)?,
            _ => Backbone::layout(&self.qwen3_vl)?,
        };
        Ok(Coverage::new(&layout, &self.shards, (self.naming, part)))
    }

    /// Builds the network from the weights.
    ///
    /// # Errors
    /// When they do not fit, or there is only a backbone.
    pub fn network(&self, placement: Placement) -> Result<Network, ModelError> {
        let config = self.config()?;
        self.require(Part::Everything)?;
        Network::new(&config, &self.weights(placement))
    }

    /// Builds the backbone from the weights; what was added to it stays in the file.
    ///
    /// # Errors
    /// When they do not fit.
    pub fn backbone(&self, placement: Placement) -> Result<Backbone, ModelError> {
        self.require(Part::Backbone)?;
        Backbone::from_source(&self.qwen3_vl, &self.weights(placement))
    }

    fn weights(&self, placement: Placement) -> Weights<'_> {
        Weights {
            shards: &self.shards,
            naming: self.naming,
            backbone: placement.compute.unwrap_or(self.compute).kind(),
            device: placement.device,
        }
    }

    fn require(&self, part: Part) -> Result<(), ModelError> {
        let Coverage { problems, .. } = self.coverage(part)?;
        if problems.is_empty() {
            return Ok(());
        }
        let path = self.shards.paths().next().map(Path::to_owned).unwrap_or_default();
        Err(ModelError::Weights { path, problems })
    }
}

/// Reads a tokenizer file.
///
/// # Errors
/// When it is missing or not a tokenizer.
pub fn load_tokenizer(path: &Path) -> Result<Tokenizer, ModelError> {
    Tokenizer::from_file(path).map_err(|e| ModelError::read(path, e))
}

/// The type the backbone was stored in.
fn precision(shards: &Shards, naming: Naming) -> Precision {
    let embedding = naming.stored("model.language_model.embed_tokens.weight");
    match shards.get(&embedding).map(|stored| stored.dtype()) {
        Some(Dtype::F32) => Precision::Float32,
        _ => Precision::Bfloat16,
    }
}
