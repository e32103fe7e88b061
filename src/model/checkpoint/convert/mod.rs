//! Converts checkpoints from one layout to another, tensor by tensor.

mod files;
mod huggingface;
pub mod precision;
pub(super) mod tensors;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use safetensors::Dtype;
use tokenizers::{AddedToken, Tokenizer};

use super::manifest::{Format, Manifest};
use super::weights::{CheckpointPart, Naming, TEXT_HEAD, is_backbone};
use super::{CheckpointOptions, WEIGHTS, claim};
use crate::contract::{Contract, Model, Robot};
use crate::model::config::{Config, Precision, PromptStyle, Proprio};
use crate::model::error::ModelError;
use crate::model::init::presets::{PROMPT, Scale, id, untrained_action_part, usual_contract};
use crate::model::init::variant::{CheckpointVariant, STARVLA_PROMPT};
use crate::model::init::write_safetensors;
use crate::model::layers::parameters::Parameter;
use crate::model::qwen3_vl::backbone::Backbone;
use crate::model::thinkvla::network::Network;
use crate::model::thinkvla::pool::GeoPool;
use tensors::{NewRows, Origin, Tensor};

/// Width of VGGT's features, which the geometry adapter is trained to predict.
const GEOMETRY_WIDTH: i64 = 2048;
/// Side of the images of an untrained checkpoint (px).
const SIDE: u32 = 224;
/// Residual blocks of StarVLA's head.
const STARVLA_BLOCKS: i64 = 2;

/// Settings of a conversion.
#[derive(Debug, Clone, Copy)]
pub struct Conversion<'a> {
    /// The layout to write.
    pub to: Format,
    /// What the user adds to the checkpoint's files.
    pub options: &'a CheckpointOptions,
    /// Variant of the action part for a checkpoint that has none.
    pub variant: &'a CheckpointVariant,
    /// Seed of drawn values.
    pub seed: u64,
}

/// Result of a conversion.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Converted {
    /// Number of tensors that were copied.
    pub copied: usize,
    /// Keys whose values were drawn from the seed.
    pub drawn: Vec<String>,
    /// Keys that have no place in the new layout.
    pub dropped: Vec<String>,
    /// Keys whose values were rounded to a type of lower precision.
    pub rounded: Vec<String>,
    /// Type in which the backbone will compute where the new checkpoint acts here; `None` for other layouts.
    pub acts_in: Option<Precision>,
    /// Other differences, as notes for the user.
    pub notes: Vec<String>,
}

/// Description of the checkpoint to be written.
#[derive(Debug)]
struct Target {
    config: Option<Config>,
    contract: Option<Contract>,
    tokenizer: Tokenizer,
    layout: Vec<Parameter>,
    new_rows: NewRows,
    notes: Vec<String>,
}

/// Origin and types of a tensor to be written.
struct Plan {
    origin: Origin,
    /// Type in the old files.
    stored: Dtype,
    /// Type in the new file.
    dtype: Dtype,
}

impl Conversion<'_> {
    /// Reads the checkpoint in `from` and writes the new one into `to`, which is created if needed.
    ///
    /// # Errors
    /// When the checkpoint is damaged, a value of it is not finite or does not fit the type to write, it cannot be
    /// expressed in the new layout, or `to` already holds weights.
    pub fn run(&self, from: &Path, to: &Path) -> Result<Converted, ModelError> {
        let manifest = Manifest::read(from, self.options)?;
        let problems = manifest.coverage(CheckpointPart::Everything)?.problems;
        if !problems.is_empty() {
            let path = manifest.files.path().to_owned();
            return Err(ModelError::Weights { path, problems });
        }
        let target = self.target(&manifest)?;
        let weights = self.weights(to);
        let folders = [weights.parent().unwrap_or(to), to];
        let created: Vec<&Path> = folders.into_iter().filter(|folder| !folder.exists()).collect();
        let lock = claim(to, &weights)?;
        let done = self.write(&manifest, &target, to, &weights);
        drop(lock);
        if done.is_err() {
            // Nothing is left of a conversion that is refused; directories that are not empty stay.
            for folder in created {
                let _ = std::fs::remove_dir(folder);
            }
        }
        done
    }

    /// Writes the weights under another name, then everything else, and renames them: a directory with weights is
    /// whole.
    fn write(&self, from: &Manifest, target: &Target, to: &Path, weights: &Path) -> Result<Converted, ModelError> {
        let folder = weights.parent().unwrap_or(to);
        std::fs::create_dir_all(folder).map_err(|e| ModelError::write(folder, e))?;
        let part = weights.with_extension("part");
        let done = self.write_weights(from, target, &part).and_then(|done| {
            files::write(self, from, target, to)?;
            std::fs::rename(&part, weights).map_err(|e| ModelError::write(weights, e))?;
            Ok(done)
        });
        if done.is_err() {
            let _ = std::fs::remove_file(&part);
        }
        done
    }

    /// Returns the path of the new weights.
    fn weights(&self, to: &Path) -> PathBuf {
        match self.to {
            Format::Starvla => to.join("final_model").join(WEIGHTS),
            Format::Thinkvla | Format::HuggingFace => to.join(WEIGHTS),
        }
    }

    fn target(&self, from: &Manifest) -> Result<Target, ModelError> {
        let mut tokenizer = from.tokenizer.clone();
        let mut notes = from.notes.clone();
        if self.to == Format::HuggingFace {
            return Ok(Target {
                layout: Backbone::layout(&from.qwen3_vl)?,
                config: None,
                contract: None,
                new_rows: NewRows::default(),
                tokenizer,
                notes,
            });
        }
        let known = tokenizer.get_vocab_size(true);
        let mut config = match from.thinkvla {
            Some(_) => from.config()?,
            None => self.new_action_part(from, &mut tokenizer)?,
        };
        if self.to == Format::Starvla {
            notes.extend(plain(&mut config)?);
        }
        let contract = match (&from.contract, self.to, from.format) {
            (Some(contract), ..) => Some(contract.clone()),
            (None, _, Format::HuggingFace) => Some(self.new_contract(&config)?),
            (None, Format::Starvla, _) => None,
            (None, ..) => Some(from.contract()?.clone()),
        };
        let ids = config
            .thinkvla
            .anchors()
            .iter()
            .filter_map(|anchor| usize::try_from(anchor.id).ok());
        let mut layout = Network::layout(&config)?;
        if self.to == Format::Starvla && config.tie_word_embeddings {
            layout.push(tied_head(&config));
        }
        Ok(Target {
            new_rows: NewRows {
                ids: ids.filter(|id| *id >= known).collect(),
                known,
            },
            layout,
            config: Some(config),
            contract,
            tokenizer,
            notes,
        })
    }

    /// Returns the configuration of an untrained action part for a backbone; adds its anchors to the tokenizer.
    fn new_action_part(&self, from: &Manifest, tokenizer: &mut Tokenizer) -> Result<Config, ModelError> {
        let mut variant = self.variant.clone();
        variant.baseline |= self.to == Format::Starvla;
        let anchors = variant.anchor_tokens().into_iter();
        let anchors: Vec<_> = anchors.map(|anchor| AddedToken::from(anchor, true)).collect();
        tokenizer.add_special_tokens(&anchors);
        let scale = Scale {
            geometry_width: GEOMETRY_WIDTH,
            pool: GeoPool::Mean,
            prompt: PROMPT,
            min_pixels: from.bounds.min_pixels,
            max_pixels: from.bounds.max_pixels,
            compute: from.compute,
        };
        untrained_action_part(from.qwen3_vl.clone(), &variant, scale, &mut |token| {
            id(tokenizer, token)
        })
    }

    fn new_contract(&self, config: &Config) -> Result<Contract, ModelError> {
        let chunk_len = config.thinkvla.chunk_len;
        let Some(given) = &self.options.robot else {
            return Ok(usual_contract(Robot::simulated(), self.variant, SIDE, chunk_len));
        };
        let space = given.data.action_space;
        if space.dim() as i64 != config.thinkvla.action_dim {
            return Err(ModelError::config(
                "thinkvla.action_dim",
                format!(
                    "{}, the values of an action of the robot's contract ({space:?})",
                    space.dim()
                ),
                config.thinkvla.action_dim,
            ));
        }
        Ok(Contract {
            model: Some(Model {
                chunk_len: usize::try_from(chunk_len).unwrap_or(0),
                weights: "untrained".into(),
            }),
            ..given.clone()
        })
    }

    /// Returns where a tensor of the new checkpoint comes from, and its types.
    fn plan(&self, from: &Manifest, parameter: &Parameter, new_rows: &NewRows) -> Plan {
        let origin = origin(from, parameter, new_rows);
        let stored = match &origin {
            Origin::Drawn => from.compute.stored(),
            Origin::Same => stored_dtype(from, &parameter.key),
            Origin::Copied { key, .. } => stored_dtype(from, key),
        };
        let chosen = self.options.dtype.filter(|_| is_backbone(&parameter.key));
        Plan {
            dtype: chosen.map_or(stored, Precision::stored),
            origin,
            stored,
        }
    }

    /// Writes the weights and checks each value as it is read: all are read once.
    fn write_weights(&self, from: &Manifest, target: &Target, path: &Path) -> Result<Converted, ModelError> {
        let naming = match self.to {
            Format::Starvla => Naming::StarVla,
            Format::Thinkvla | Format::HuggingFace => Naming::HuggingFace,
        };
        let acts_in = target.config.as_ref().map(|config| config.thinkvla.compute);
        let mut done = Converted {
            notes: target.notes.clone(),
            acts_in: acts_in.filter(|_| self.to == Format::Thinkvla),
            ..Converted::default()
        };
        let problem = RefCell::new(None);
        let mut tensors = Vec::with_capacity(target.layout.len());
        let mut asked = BTreeSet::new();
        for parameter in &target.layout {
            let Plan { origin, stored, dtype } = self.plan(from, parameter, &target.new_rows);
            if dtype == Dtype::BF16 && stored != Dtype::BF16 {
                done.rounded.push(parameter.key.clone());
            }
            match origin {
                Origin::Drawn => done.drawn.push(parameter.key.clone()),
                _ => done.copied += 1,
            }
            asked.insert(parameter.key.as_str());
            let tensor = Tensor {
                shape: parameter.shape.iter().map(|n| *n as usize).collect(),
                files: &from.files,
                seed: self.seed,
                parameter,
                origin,
                dtype,
                problem: &problem,
            };
            tensors.push((naming.stored(&parameter.key), tensor));
        }
        let dropped = from
            .files
            .keys()
            .filter(|key| !asked.contains(key) && *key != TEXT_HEAD);
        done.dropped = dropped.map(str::to_owned).collect();
        let named: Vec<_> = tensors.iter().map(|(name, _)| name.clone()).collect();
        let tensors = named
            .iter()
            .map(String::as_str)
            .zip(tensors.into_iter().map(|(_, tensor)| tensor));
        write_safetensors(path, tensors)?;
        match problem.into_inner() {
            Some(problem) => Err(problem),
            None => Ok(done),
        }
    }
}

fn stored_dtype(from: &Manifest, key: &str) -> Dtype {
    from.files.get(key).map_or(Dtype::BF16, |stored| stored.dtype)
}

/// Returns the origin of a tensor. A tied text head comes from the embedding; new tokens have rows in both tables.
fn origin(from: &Manifest, parameter: &Parameter, new_rows: &NewRows) -> Origin {
    let key = parameter.key.as_str();
    let tied = key == TEXT_HEAD && from.qwen3_vl.tie_word_embeddings;
    let table = match tied {
        true => tensors::table(super::weights::EMBEDDING),
        false => tensors::table(key),
    };
    match table {
        Some(key) => Origin::Copied {
            key,
            new_rows: new_rows.clone(),
        },
        None if from.files.get(key).is_some() => Origin::Same,
        None => Origin::Drawn,
    }
}

/// Returns the text head of a StarVLA run: StarVLA loads strictly and stores the head under its own key even if it is
/// tied.
fn tied_head(config: &Config) -> Parameter {
    let text = &config.text_config;
    Parameter {
        key: TEXT_HEAD.into(),
        shape: vec![text.vocab_size, text.hidden_size],
        init: crate::model::layers::parameters::Init::Zeros,
    }
}

/// Removes what StarVLA's Qwen3-VL-OFT does not support; returns notes on it.
fn plain(config: &mut Config) -> Result<Vec<String>, ModelError> {
    let mut notes = Vec::new();
    let width = config.text_config.hidden_size;
    let ours = &mut config.thinkvla;
    if ours.head_hidden != 2 * width || ours.head_blocks != STARVLA_BLOCKS {
        return Err(ModelError::config(
            "thinkvla.head_hidden",
            format!(
                "{} with {STARVLA_BLOCKS} blocks, the head that StarVLA builds",
                2 * width
            ),
            format!("{} with {} blocks", ours.head_hidden, ours.head_blocks),
        ));
    }
    if ours.geometry.take().is_some() {
        notes.push("the geometry adapter is left out: StarVLA has no place for it, and actions will differ".into());
    }
    if ours.proprio == Proprio::Projected {
        (ours.proprio, ours.state_dim) = (Proprio::None, 0);
        notes.push(
            "the projector of the state is left out: StarVLA has no place for it, and actions will differ".into(),
        );
    }
    if ours.reasoning.take().is_some() {
        notes.push("the reasoning anchor is left out: StarVLA has no place for it, and actions will differ".into());
    }
    if ours.prompt_style != PromptStyle::StarvlaOft {
        ours.prompt_style = PromptStyle::StarvlaOft;
        ours.prompt = STARVLA_PROMPT.into();
        notes.push("the prompt becomes StarVLA's usual one; the weights were made for another".into());
    }
    Ok(notes)
}
