//! A Hugging Face directory of Qwen3-VL: the backbone with its text head and its processor, and nothing to act with.

use std::path::Path;

use super::coverage::Naming;
use super::processor::Bounds;
use super::shards::Shards;
use super::{Format, Manifest, TOKENIZER, load_tokenizer, precision, template};
use crate::model::config::Qwen3VlConfig;
use crate::model::error::ModelError;

/// What the directory says of itself.
pub(super) fn read(directory: &Path) -> Result<Manifest, ModelError> {
    let weights = Shards::find(directory)?;
    let description = Description::read(directory)?;
    let shards = Shards::open(&weights)?;
    let naming = Naming::Plain;
    Ok(Manifest {
        format: Format::HuggingFace,
        compute: precision(&shards, naming),
        rule: description.bounds.rule(&description.config.vision_config),
        bounds: description.bounds,
        tokenizer: description.tokenizer,
        home: directory.to_owned(),
        qwen3_vl: description.config,
        thinkvla: None,
        contract: None,
        actions: Vec::new(),
        naming,
        shards,
        name: None,
    })
}

/// All but the weights.
pub(super) struct Description {
    pub config: Qwen3VlConfig,
    pub bounds: Bounds,
    pub tokenizer: tokenizers::Tokenizer,
}

impl Description {
    pub fn read(directory: &Path) -> Result<Self, ModelError> {
        let config = Qwen3VlConfig::load(directory)?;
        let bounds = Bounds::read(directory, &config.vision_config)?;
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
