//! A checkpoint directory of this package: Hugging Face's files with a `thinkvla` object in `config.json`, and
//! `contract.yaml`.

use std::path::Path;

use super::manifest::{Format, Manifest};
use super::processor::ImageBounds;
use super::weights::{Naming, WeightFiles};
use super::{TOKENIZER, load_tokenizer};
use crate::contract::Contract;
use crate::model::config::{Config, Proprio};
use crate::model::error::ModelError;

/// Reads the description of a directory.
pub(super) fn read(directory: &Path) -> Result<Manifest, ModelError> {
    let config = Config::load(directory)?;
    let contract = Contract::load(directory)?;
    check_contract(&config, &contract)?;
    let tokenizer = load_tokenizer(&directory.join(TOKENIZER))?;
    let files = WeightFiles::of_directory(directory, Naming::HuggingFace)?;
    let Config { qwen3_vl, thinkvla } = config;
    Ok(Manifest {
        format: Format::Thinkvla,
        qwen3_vl,
        bounds: ImageBounds {
            min_pixels: thinkvla.min_pixels,
            max_pixels: thinkvla.max_pixels,
        },
        compute: thinkvla.compute,
        actions: contract.data.statistics.clone(),
        name: contract.model.as_ref().map(|model| model.weights.clone()),
        thinkvla: Some(thinkvla),
        contract: Some(contract),
        tokenizer,
        files,
        home: directory.to_owned(),
        notes: Vec::new(),
    })
}

/// Checks that configuration and contract agree about actions and state.
pub(super) fn check_contract(config: &Config, contract: &Contract) -> Result<(), ModelError> {
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
    let dimensions = contract.data.state.len() as i64;
    if ours.proprio == Proprio::Projected && ours.state_dim != dimensions {
        return Err(ModelError::config(
            "thinkvla.state_dim",
            format!("{dimensions}, the number of statistics in data.state of contract.yaml"),
            ours.state_dim,
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
