//! A Hugging Face directory of Qwen3-VL: backbone, text head and processor, without an action part.

use std::path::{Path, PathBuf};

use tokenizers::Tokenizer;

use super::manifest::{Format, Manifest};
use super::processor::{ImageBounds, Preprocessing};
use super::weights::{Naming, WeightFiles};
use super::{CheckpointOptions, Placement, TOKENIZER, load_tokenizer, template};
use crate::camera::patches::PatchRule;
use crate::model::config::{Precision, Qwen3VlConfig};
use crate::model::error::ModelError;
use crate::model::qwen3_vl::backbone::Backbone;

/// A backbone without its action part, loaded and checked.
#[derive(Debug)]
pub struct BackboneCheckpoint {
    /// Configuration of the backbone.
    pub config: Qwen3VlConfig,
    /// Tokenizer.
    pub tokenizer: Tokenizer,
    /// The backbone, with its text head.
    pub backbone: Backbone,
    /// Rule by which images are resized, normalised and cut into patches.
    pub rule: PatchRule,
    /// Type the backbone computes in.
    pub compute: Precision,
    /// Directory of the tokenizer and the generation settings.
    pub home: PathBuf,
}

impl BackboneCheckpoint {
    /// Reads the backbone of a checkpoint, whichever layout it has.
    ///
    /// # Errors
    /// When a file is missing, damaged, or does not fit the others; problems with weights are reported together.
    pub fn load(directory: &Path, placement: Placement) -> Result<Self, ModelError> {
        let manifest = Manifest::read(directory, &CheckpointOptions::default())?;
        Ok(Self {
            backbone: manifest.backbone(placement)?,
            compute: placement.compute.unwrap_or(manifest.compute),
            rule: manifest.bounds.rule(&manifest.qwen3_vl.vision_config),
            config: manifest.qwen3_vl,
            tokenizer: manifest.tokenizer,
            home: manifest.home,
        })
    }
}

/// Reads a Hugging Face directory.
pub(super) fn read(directory: &Path) -> Result<Manifest, ModelError> {
    let Description {
        config,
        bounds,
        tokenizer,
    } = Description::read(directory)?;
    let files = WeightFiles::of_directory(directory, Naming::HuggingFace)?;
    Ok(Manifest {
        format: Format::HuggingFace,
        compute: files.precision(),
        bounds,
        tokenizer,
        home: directory.to_owned(),
        qwen3_vl: config,
        thinkvla: None,
        contract: None,
        actions: Vec::new(),
        files,
        name: None,
        notes: Vec::new(),
    })
}

/// Description of the backbone without the weights.
pub(super) struct Description {
    pub config: Qwen3VlConfig,
    pub bounds: ImageBounds,
    pub tokenizer: Tokenizer,
}

impl Description {
    pub fn read(directory: &Path) -> Result<Self, ModelError> {
        let config = Qwen3VlConfig::load(directory)?;
        let bounds = Preprocessing::load(directory)?.bounds(&config.vision_config)?;
        template::check(directory)?;
        let path = directory.join(TOKENIZER);
        if !path.exists() {
            return Err(ModelError::read(
                &path,
                "it does not exist; write it with python3 -c 'import sys; from transformers import AutoTokenizer; \
                 AutoTokenizer.from_pretrained(sys.argv[1]).save_pretrained(sys.argv[1])' and the directory",
            ));
        }
        Ok(Self {
            config,
            bounds,
            tokenizer: load_tokenizer(&path)?,
        })
    }
}
