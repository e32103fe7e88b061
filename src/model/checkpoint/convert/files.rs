//! Writes the files beside the weights, for each layout.

use std::path::Path;

use serde_json::{Value, json};

use super::{Conversion, Target, huggingface};
use crate::files;
use crate::model::checkpoint::TOKENIZER;
use crate::model::checkpoint::manifest::{Format, Manifest};
use crate::model::checkpoint::statistics::{Columns, DatasetStatistics, Modes, RobotStatistics, STATISTICS};
use crate::model::config::Config;
use crate::model::error::ModelError;
use crate::model::generate::conversation::GENERATION_CONFIG;
use crate::model::json;

/// Default tag of the robot whose statistics a run holds.
const TAG: &str = "new_embodiment";
/// Directory of the base model's description within a run that we write.
const BASE: &str = "base";

/// Writes everything except the weights.
pub(super) fn write(conversion: &Conversion, from: &Manifest, target: &Target, to: &Path) -> Result<(), ModelError> {
    match (conversion.to, &target.config) {
        (Format::Starvla, Some(config)) => {
            let base = to.join(BASE);
            std::fs::create_dir_all(&base).map_err(|e| ModelError::write(&base, e))?;
            huggingface::describe(conversion, from, target, &base)?;
            describe_run(conversion, from, target, config, to)
        }
        (Format::Thinkvla, Some(config)) => {
            save_tokenizer(target, to)?;
            copy(from, &[GENERATION_CONFIG], to)?;
            config.save(to)?;
            match &target.contract {
                Some(contract) => Ok(contract.save(to)?),
                None => Ok(()),
            }
        }
        _ => huggingface::describe(conversion, from, target, to),
    }
}

/// Writes `config.yaml` and the other descriptions of a StarVLA run.
fn describe_run(
    conversion: &Conversion,
    from: &Manifest,
    target: &Target,
    config: &Config,
    to: &Path,
) -> Result<(), ModelError> {
    let ours = &config.thinkvla;
    let contract = target.contract.as_ref();
    let resize = contract.map(|contract| contract.data.resize);
    let run = json!({
        "run_id": to.file_name().unwrap_or_default().to_string_lossy(),
        "framework": {
            "name": "QwenOFT",
            "qwenvl": {"base_vlm": BASE, "attn_implementation": "sdpa"},
            "action_model": {
                "action_model_type": "MLP",
                "action_dim": ours.action_dim,
                "action_hidden_dim": config.text_config.hidden_size,
                "future_action_window_size": ours.chunk_len - 1,
                "past_action_window_size": 0,
                "action_horizon": ours.chunk_len,
            },
        },
        "datasets": {"vla_data": {
            "dataset_py": "lerobot_datasets",
            "CoT_prompt": ours.prompt,
            "include_state": ours.proprio == crate::model::config::Proprio::Text,
            "obs_image_size": resize.map(|resize| [resize.width, resize.height]),
        }},
    });
    let path = to.join("config.yaml");
    let text = serde_saphyr::to_string(&run).map_err(|e| ModelError::write(&path, e))?;
    write_text(&path, &text)?;
    write_text(&to.join("config.full.yaml"), &text)?;
    write_text(&to.join("summary.jsonl"), "{\"steps\": 0}\n")?;
    let actions = contract.map_or(&from.actions, |contract| &contract.data.statistics);
    let state = contract.map_or(&[][..], |contract| &contract.data.state);
    let of_tag = RobotStatistics {
        action: Columns::of(actions),
        state: (!state.is_empty()).then(|| Columns::of(state)),
        normalisation: Some(Modes::of(actions, state)),
        num_transitions: 0,
        num_trajectories: 0,
    };
    let tag = conversion.options.tag.as_deref().unwrap_or(TAG);
    let statistics = DatasetStatistics([(tag.to_owned(), of_tag)].into());
    let path = to.join(STATISTICS);
    write_json(
        &path,
        &serde_json::to_value(statistics).map_err(|e| ModelError::write(&path, e))?,
    )
}

pub(super) fn save_tokenizer(target: &Target, to: &Path) -> Result<(), ModelError> {
    let path = to.join(TOKENIZER);
    target
        .tokenizer
        .save(&path, false)
        .map_err(|e| ModelError::write(&path, e))
}

pub(super) fn copy(from: &Manifest, names: &[&str], to: &Path) -> Result<(), ModelError> {
    for name in names {
        let (source, copy) = (from.home.join(name), to.join(name));
        if source.exists() {
            files::copy(&source, &copy).map_err(|e| ModelError::write(&copy, e))?;
        }
    }
    Ok(())
}

pub(super) fn read_json(path: &Path) -> Result<Value, ModelError> {
    json::read(path, files::CONFIGURATION)
}

pub(super) fn write_json(path: &Path, value: &Value) -> Result<(), ModelError> {
    let text = serde_json::to_string_pretty(value).map_err(|e| ModelError::write(path, e))?;
    write_text(path, &(text + "\n"))
}

pub(super) fn write_text(path: &Path, text: &str) -> Result<(), ModelError> {
    std::fs::write(path, text).map_err(|e| ModelError::write(path, e))
}
