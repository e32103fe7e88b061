//! A backbone to speak with: Hugging Face's Qwen3-VL directories, and the backbone of our own checkpoints.

use std::path::Path;

use serde::Deserialize;
use tokenizers::Tokenizer;

use crate::camera::patches::PatchRule;
use crate::model::backbone::Backbone;
use crate::model::config::{FILE_NAME, Precision, Qwen3VlConfig};
use crate::model::error::ModelError;
use crate::model::parameters::Source;

use super::weights::{Naming, Taking, WeightFiles, Weights};
use super::{Checkpoint, Placement, TOKENIZER, load_tokenizer};

/// File name of the image rule.
const PREPROCESSOR: &str = "preprocessor_config.json";
/// Pillow's number of the bicubic filter.
const BICUBIC: u8 = 3;

/// A backbone without its action part, loaded and checked.
#[derive(Debug)]
pub struct BackboneCheckpoint {
    /// Shape of the backbone.
    pub config: Qwen3VlConfig,
    /// Text to ids.
    pub tokenizer: Tokenizer,
    /// The backbone, with its text head.
    pub backbone: Backbone,
    /// How images are sized, normalised and cut.
    pub rule: PatchRule,
    /// Type the backbone computes in.
    pub compute: Precision,
}

impl BackboneCheckpoint {
    /// Reads a Hugging Face directory or a checkpoint of ours.
    ///
    /// # Errors
    /// When a file is missing, damaged, or does not fit the others; weights are reported all at once.
    pub fn load(directory: &Path, placement: Placement) -> Result<Self, ModelError> {
        if is_ours(directory)? {
            let checkpoint = Checkpoint::load(directory, placement)?;
            return Ok(Self {
                rule: checkpoint.config.patch_rule(),
                compute: placement.compute.unwrap_or(checkpoint.config.thinkvla.compute),
                backbone: checkpoint.network.into_backbone(),
                config: checkpoint.config.qwen3_vl,
                tokenizer: checkpoint.tokenizer,
            });
        }
        let config = Qwen3VlConfig::load(directory)?;
        let rule = Preprocessing::load(directory)?.patch_rule(&config)?;
        let tokenizer = load_tokenizer(&directory.join(TOKENIZER))?;
        let compute = match placement.compute {
            Some(compute) => compute,
            None => stored_precision(directory)?,
        };
        let files = WeightFiles::of_directory(directory, Naming::HuggingFace)?;
        let taking = Taking {
            backbone: compute.kind(),
            device: placement.device,
            tied: config.tie_word_embeddings,
        };
        let weights = Weights::new(&files, taking);
        let backbone = Backbone::from_source(&config, &weights as &dyn Source)?;
        weights.finish()?;
        Ok(Self {
            config,
            tokenizer,
            backbone,
            rule,
            compute,
        })
    }
}

/// Whether the configuration has our part.
fn is_ours(directory: &Path) -> Result<bool, ModelError> {
    #[derive(Deserialize)]
    struct Parts {
        thinkvla: Option<serde::de::IgnoredAny>,
    }
    let parts: Parts = read_json(&directory.join(FILE_NAME))?;
    Ok(parts.thinkvla.is_some())
}

/// The type the weights were saved in; its key changed its name between versions of transformers.
fn stored_precision(directory: &Path) -> Result<Precision, ModelError> {
    #[derive(Deserialize)]
    struct Saved {
        #[serde(alias = "torch_dtype")]
        dtype: Option<String>,
    }
    let saved: Saved = read_json(&directory.join(FILE_NAME))?;
    Ok(match saved.dtype.as_deref() {
        Some("float32") => Precision::Float32,
        _ => Precision::Bfloat16,
    })
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, ModelError> {
    let text = std::fs::read_to_string(path).map_err(|e| ModelError::read(path, e))?;
    serde_json::from_str(&text).map_err(|e| ModelError::read(path, e))
}

/// What is read of `preprocessor_config.json`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Preprocessing {
    patch_size: u32,
    temporal_patch_size: u32,
    merge_size: u32,
    /// Bounds of the area [px²], as new versions write them.
    size: Option<Area>,
    /// The same as old versions wrote them.
    min_pixels: Option<u64>,
    max_pixels: Option<u64>,
    image_mean: [f32; 3],
    image_std: [f32; 3],
    #[serde(default = "yes")]
    do_resize: bool,
    #[serde(default = "yes")]
    do_normalize: bool,
    #[serde(default = "bicubic")]
    resample: u8,
}

/// Bounds of an image's area, named as if they were edges.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
struct Area {
    shortest_edge: u64,
    longest_edge: u64,
}

fn yes() -> bool {
    true
}

fn bicubic() -> u8 {
    BICUBIC
}

impl Preprocessing {
    /// Reads the image rule of a directory.
    ///
    /// # Errors
    /// When it is missing or not such a file.
    pub fn load(directory: &Path) -> Result<Self, ModelError> {
        read_json(&directory.join(PREPROCESSOR))
    }

    /// The rule, where it is Qwen3-VL's and fits the tower.
    ///
    /// # Errors
    /// Names the field that does not fit.
    pub fn patch_rule(&self, config: &Qwen3VlConfig) -> Result<PatchRule, ModelError> {
        let vision = &config.vision_config;
        for (name, here, field, there) in [
            (
                "patch_size",
                self.patch_size,
                "vision_config.patch_size",
                vision.patch_size,
            ),
            (
                "temporal_patch_size",
                self.temporal_patch_size,
                "vision_config.temporal_patch_size",
                vision.temporal_patch_size,
            ),
            (
                "merge_size",
                self.merge_size,
                "vision_config.spatial_merge_size",
                vision.spatial_merge_size,
            ),
        ] {
            if i64::from(here) != there {
                return Err(ModelError::config(
                    field,
                    format!("{name} of {PREPROCESSOR}, {here}"),
                    there,
                ));
            }
        }
        if !self.do_resize || !self.do_normalize || self.resample != BICUBIC {
            return Err(ModelError::Observation {
                expected: format!("do_resize, do_normalize and resample {BICUBIC} (bicubic) in {PREPROCESSOR}"),
                found: format!("{}, {} and {}", self.do_resize, self.do_normalize, self.resample),
            });
        }
        let released = PatchRule::QWEN3_VL;
        let (least, most) = self
            .size
            .map_or((None, None), |area| (Some(area.shortest_edge), Some(area.longest_edge)));
        Ok(PatchRule {
            patch: self.patch_size,
            temporal: self.temporal_patch_size,
            merge: self.merge_size,
            min_pixels: self.min_pixels.or(least).unwrap_or(released.min_pixels),
            max_pixels: self.max_pixels.or(most).unwrap_or(released.max_pixels),
            mean: self.image_mean,
            std: self.image_std,
        })
    }
}
