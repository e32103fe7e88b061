//! Description of a checkpoint directory in any of the three layouts.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use safetensors::Dtype;
use serde_json::Value;
use tokenizers::Tokenizer;

use super::coverage::Coverage;
use super::processor::ImageBounds;
use super::weights::{CheckpointPart, EMBEDDING, TensorSelection, WeightFiles, Weights};
use super::{CheckpointOptions, Placement, huggingface, ours, shards, starvla};
use crate::contract::{Contract, DimensionStatistics};
use crate::files;
use crate::model::config::{Config, FILE_NAME, Precision, Qwen3VlConfig, ThinkVlaConfig};
use crate::model::error::ModelError;
use crate::model::json;
use crate::model::layers::parameters::Parameter;
use crate::model::qwen3_vl::backbone::Backbone;
use crate::model::thinkvla::network::Network;
use crate::model::trainable::{NetworkParameters, Selection, Trainable};

/// File name of PEFT's description of an adapter.
const ADAPTER: &str = "adapter_config.json";

/// Layouts that are read and written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Ours: Hugging Face's files with a `thinkvla` object and a contract.
    Thinkvla,
    /// Hugging Face's Qwen3-VL.
    HuggingFace,
    /// A run directory of StarVLA's Qwen3-VL-OFT.
    Starvla,
}

impl Format {
    const ALL: [(Self, &str); 3] = [
        (Self::Thinkvla, "thinkvla"),
        (Self::HuggingFace, "hf"),
        (Self::Starvla, "starvla"),
    ];

    /// Detects the layout of a directory, or of the run a weights file belongs to.
    ///
    /// # Errors
    /// When it is none of these layouts, or only a part of a checkpoint.
    pub fn of(path: &Path) -> Result<Self, ModelError> {
        refuse_part(path)?;
        if path.is_file() || starvla::is_run(path) {
            return Ok(Self::Starvla);
        }
        refuse_adapter(path)?;
        let file = path.join(FILE_NAME);
        let config: Value = json::read(&file, files::CONFIGURATION)?;
        Ok(match config.get("thinkvla") {
            Some(_) => Self::Thinkvla,
            None => Self::HuggingFace,
        })
    }
}

/// Refuses a file of a checkpoint that is read as a whole, and a folder of a StarVLA run.
fn refuse_part(path: &Path) -> Result<(), ModelError> {
    let above = path.parent().unwrap_or(Path::new(""));
    let is_folder_of_run = || {
        let named = ["checkpoints", "final_model"].map(OsStr::new);
        path.file_name().is_some_and(|name| named.contains(&name)) && starvla::is_run(above)
    };
    let is_part = match path.is_file() {
        true => above.join(FILE_NAME).exists() && !starvla::is_run(&starvla::run_directory(path)),
        false => !path.join(FILE_NAME).exists() && is_folder_of_run(),
    };
    if !is_part {
        return Ok(());
    }
    let whole = match above.as_os_str().is_empty() {
        true => Path::new("."),
        false => above,
    };
    let whole = whole.display();
    Err(ModelError::read(
        path,
        format!("expected a whole checkpoint, found a part of one; name its directory, {whole}"),
    ))
}

/// Refuses a directory of PEFT, which holds what was learned beside the weights of a base, but not those.
fn refuse_adapter(directory: &Path) -> Result<(), ModelError> {
    let description = directory.join(ADAPTER);
    if shards::has_weights(directory) || !description.exists() {
        return Ok(());
    }
    Err(ModelError::read(
        &description,
        "expected a whole checkpoint, found an adapter of PEFT (LoRA) without the weights of its base; merge it into \
         the base with PeftModel.from_pretrained(BASE, ADAPTER).merge_and_unload().save_pretrained(MERGED) in Python, \
         and copy the base's tokenizer and processor files beside it",
    ))
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.iter().find(|(format, _)| format == self);
        f.write_str(name.map_or("", |(_, name)| name))
    }
}

impl FromStr for Format {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<Self, ModelError> {
        let found = Self::ALL.iter().find(|(_, name)| *name == text);
        found
            .map(|(format, _)| *format)
            .ok_or_else(|| ModelError::choice("thinkvla, hf or starvla", text))
    }
}

/// Description of a checkpoint; only the headers of its weights have been read.
#[derive(Debug)]
pub struct Manifest {
    /// Layout of the files.
    pub format: Format,
    /// Configuration of the backbone.
    pub qwen3_vl: Qwen3VlConfig,
    /// Configuration of the added parts; `None` in a Hugging Face directory.
    pub thinkvla: Option<ThinkVlaConfig>,
    /// Robot and training data. A StarVLA run has a contract only where the user names the robot.
    pub contract: Option<Contract>,
    /// Statistics and normalisation of its actions.
    pub actions: Vec<DimensionStatistics>,
    /// Bounds of the network's images.
    pub bounds: ImageBounds,
    /// Tokenizer.
    pub tokenizer: Tokenizer,
    /// Default type in which the backbone computes.
    pub compute: Precision,
    /// The weights.
    pub files: WeightFiles,
    /// Directory of the tokenizer and related files.
    pub home: PathBuf,
    /// Name of the weights, if the files state one.
    pub name: Option<String>,
    /// Notes for the user on how the files were understood.
    pub notes: Vec<String>,
}

impl Manifest {
    /// Reads the description of a checkpoint. For a StarVLA run, `path` may be one of its weights files.
    ///
    /// # Errors
    /// When a file is missing, damaged, or does not fit the others.
    pub fn read(path: &Path, options: &CheckpointOptions) -> Result<Self, ModelError> {
        let mut manifest = match Format::of(path)? {
            Format::Thinkvla => ours::read(path),
            Format::HuggingFace => huggingface::read(path),
            Format::Starvla => starvla::read(path, options),
        }?;
        if let Some(dtype) = options.dtype {
            manifest.compute = dtype;
            manifest.thinkvla.iter_mut().for_each(|ours| ours.compute = dtype);
        }
        let embedding = manifest.files.get(EMBEDDING);
        if manifest.compute == Precision::Bfloat16 && embedding.is_some_and(|stored| stored.dtype == Dtype::F16) {
            manifest.notes.push(
                "the weights are in float16, and the backbone computes in bfloat16, which rounds them; `thinkvla convert` \
                 with --dtype float32 keeps all of their digits"
                    .to_owned(),
            );
        }
        Ok(manifest)
    }

    /// Returns the configuration of the whole network.
    ///
    /// # Errors
    /// When there is only a backbone, or a field is invalid.
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

    /// Returns the contract.
    ///
    /// # Errors
    /// When the checkpoint's robot is not known, or the contract contradicts the configuration.
    pub fn contract(&self) -> Result<&Contract, ModelError> {
        let config = self.config()?;
        let contract = self.contract.as_ref().ok_or_else(|| ModelError::Incomplete {
            found: "a StarVLA run, which does not say for which robot it is".into(),
            remedy: "name one with --robot FILE, a contract.yaml of the robot, in `thinkvla convert RUN TO --to thinkvla`",
        })?;
        ours::check_contract(&config, contract)?;
        Ok(contract)
    }

    /// Returns the tensors of the network, or of the backbone alone.
    ///
    /// # Errors
    /// When the configuration is invalid.
    pub fn layout(&self, part: CheckpointPart) -> Result<Vec<Parameter>, ModelError> {
        match (part, &self.thinkvla) {
            (CheckpointPart::Everything, Some(_)) => Network::layout(&self.config()?),
            _ => Backbone::layout(&self.qwen3_vl),
        }
    }

    /// Compares the weights with the network or its backbone.
    ///
    /// # Errors
    /// When the configuration is invalid.
    pub fn coverage(&self, part: CheckpointPart) -> Result<Coverage, ModelError> {
        Ok(Coverage::new(&self.layout(part)?, &self.files, part))
    }

    /// Builds the network from the weights.
    ///
    /// # Errors
    /// When the weights do not fit, or there is only a backbone.
    pub fn network(&self, placement: Placement) -> Result<Network, ModelError> {
        let weights = self.weights(placement, CheckpointPart::Everything);
        let network = Network::new(&self.config()?, &weights)?;
        weights.finish()?;
        Ok(network)
    }

    /// Builds a network of this configuration that records gradients of the selected parameters; see [`Trainable`] for
    /// the seed. With another configuration than the checkpoint's, tensors that the files lack are drawn from the seed,
    /// and tensors it does not use stay in the files.
    ///
    /// # Errors
    /// When the weights do not fit, or the selection names a missing part.
    pub fn trainable(
        &self,
        config: &Config,
        placement: Placement,
        selection: &Selection,
        seed: u64,
    ) -> Result<(Network, NetworkParameters), ModelError> {
        let mut weights = self.weights(placement, CheckpointPart::Everything);
        if *config != self.config()? {
            weights = weights.filled_up(seed);
        }
        let source = Trainable::new(&weights, selection, seed);
        let network = Network::new(config, &source)?;
        let parameters = source.finish()?;
        weights.finish()?;
        Ok((network, parameters))
    }

    /// Builds the backbone from the weights; the added parts stay in the files.
    ///
    /// # Errors
    /// When the weights do not fit.
    pub fn backbone(&self, placement: Placement) -> Result<Backbone, ModelError> {
        let weights = self.weights(placement, CheckpointPart::Backbone);
        let backbone = Backbone::from_source(&self.qwen3_vl, &weights)?;
        weights.finish()?;
        Ok(backbone)
    }

    fn weights(&self, placement: Placement, part: CheckpointPart) -> Weights<'_> {
        let taking = TensorSelection {
            backbone: placement.compute.unwrap_or(self.compute).kind(),
            device: placement.device,
            tied: self.qwen3_vl.tie_word_embeddings,
        };
        Weights::new(&self.files, taking).only(part)
    }
}
