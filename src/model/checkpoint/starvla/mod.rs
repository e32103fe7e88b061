//! A run directory of StarVLA's Qwen3-VL-OFT: `config.full.yaml`, `config.yaml`, `dataset_statistics.json` and weights
//! under StarVLA's names.
//!
//! It holds neither the backbone's description nor the tokenizer; both come from the base model it was trained from.

mod normalisation;
mod settings;

use std::path::{Path, PathBuf};

use tokenizers::Tokenizer;

use super::manifest::{Format, Manifest};
use super::statistics::{DatasetStatistics, STATISTICS, StatisticsError};
use super::weights::{Naming, WeightFiles};
use super::{CheckpointOptions, WEIGHTS, huggingface, pickle};
use crate::contract::{Contract, Data, Model};
use crate::model::config::{HiddenTap, PromptStyle, Proprio, ThinkVlaConfig};
use crate::model::error::ModelError;
use crate::model::thinkvla::prompt::encode;
use normalisation::RunStatistics;
use settings::StarVlaSettings;

/// Token of the action queries.
pub const QUERY: &str = "🔍";
/// File name of weights that StarVLA pickled.
const PICKLED: &str = "pytorch_model.pt";
/// User text of a run without a template.
const BARE_PROMPT: &str = "{instruction}";

/// Reports whether a directory is such a run.
pub(super) fn is_run(directory: &Path) -> bool {
    let holds = |name: &str| directory.join(name).exists();
    let old = settings::is_there_as_of_old(directory) && (holds("checkpoints") || holds("final_model"));
    settings::is_there(directory) || old
}

/// Reads the description of a run directory, or of one weights file in it.
pub(super) fn read(path: &Path, options: &CheckpointOptions) -> Result<Manifest, ModelError> {
    let (run, weights) = match path.is_dir() {
        true => (path.to_owned(), find_weights(path)?),
        false => (run_directory(path), path.to_owned()),
    };
    let mut settings = StarVlaSettings::read(&run)?;
    let base = settings.base(&run, options.base.as_deref())?;
    let base_files = huggingface::Description::read(&base)?;
    let files = WeightFiles::of_files(std::slice::from_ref(&weights), Naming::StarVla)?;
    let compute = files.precision();
    let statistics = DatasetStatistics::read(&run)?;
    let (tag, statistics) = statistics.choose(&run, options.tag.as_deref())?;
    let chunk_len = settings.chunk_len()?;
    let mut notes = std::mem::take(&mut settings.notes);
    let of_run = RunStatistics {
        tag,
        statistics,
        mixture: settings.run.datasets.vla_data.data_mix.as_deref(),
        robot: options.robot.as_ref(),
    };
    let refuse = |error: StatisticsError| ModelError::read(&run.join(STATISTICS), error);
    let actions = of_run.actions(&mut notes).map_err(refuse)?;
    let thinkvla = action_part(&settings, &base_files, &files, chunk_len)?;
    let name = settings.name(&run, &weights);
    let contract = match &options.robot {
        None => None,
        Some(robot) => Some(Contract {
            robot: robot.robot.clone(),
            data: Data {
                resize: settings.resize()?,
                state: of_run.state(settings.has_state()).map_err(refuse)?,
                statistics: actions.clone(),
                ..robot.data.clone()
            },
            model: Some(Model {
                chunk_len: usize::try_from(chunk_len).unwrap_or(0),
                weights: name.clone(),
            }),
        }),
    };
    Ok(Manifest {
        format: Format::Starvla,
        compute,
        bounds: base_files.bounds,
        tokenizer: base_files.tokenizer,
        home: base,
        qwen3_vl: base_files.config,
        thinkvla: Some(thinkvla),
        contract,
        actions,
        files,
        name: Some(name),
        notes,
    })
}

/// Returns the configuration of a run's action part.
fn action_part(
    settings: &StarVlaSettings,
    base: &huggingface::Description,
    files: &WeightFiles,
    chunk_len: i64,
) -> Result<ThinkVlaConfig, ModelError> {
    let head = HeadShape::read(files);
    let prompt = settings.run.datasets.vla_data.prompt.clone();
    Ok(ThinkVlaConfig {
        prompt_style: PromptStyle::StarvlaOft,
        prompt: prompt.unwrap_or_else(|| BARE_PROMPT.into()),
        proprio: match settings.has_state() {
            true => Proprio::Text,
            false => Proprio::None,
        },
        state_dim: 0,
        action_token: QUERY.into(),
        action_token_id: query_id(&base.tokenizer)?,
        hidden_tap: HiddenTap::PreNorm,
        geometry: None,
        reasoning: None,
        chunk_len,
        action_dim: settings.action_dim()?,
        head_hidden: head.hidden.unwrap_or(2 * base.config.text_config.hidden_size),
        head_blocks: head.blocks,
        min_pixels: base.bounds.min_pixels,
        max_pixels: base.bounds.max_pixels,
        compute: files.precision(),
    })
}

/// Returns the run directory of a weights file, two levels above it.
pub(super) fn run_directory(weights: &Path) -> PathBuf {
    let mut above = weights.ancestors().skip(2);
    above.next().map(Path::to_owned).unwrap_or_default()
}

/// Returns the final weights, or those of the last step; for a step with two files, the safetensors.
fn find_weights(run: &Path) -> Result<PathBuf, ModelError> {
    let final_model = run.join("final_model");
    let last = [WEIGHTS, PICKLED].map(|name| final_model.join(name));
    if let Some(last) = last.into_iter().find(|path| path.exists()) {
        return Ok(last);
    }
    let folder = run.join("checkpoints");
    let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
    let steps = entries.filter_map(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        let name = name.strip_prefix("steps_")?;
        let safe = name.strip_suffix("_model.safetensors");
        let steps = safe.or_else(|| name.strip_suffix("_pytorch_model.pt"))?;
        Some((steps.parse::<u64>().ok()?, safe.is_some(), entry.path()))
    });
    if let Some((.., path)) = steps.max() {
        return Ok(path);
    }
    let mut pickled = pickle::of_directory(&final_model);
    pickled.extend(pickle::of_directory(&folder));
    match pickled.last() {
        Some(pickled) => Err(pickle::refuse(pickled, "its name is none that StarVLA gives")),
        None => Err(ModelError::read(
            &folder,
            format!(
                "expected steps_N_model.safetensors or steps_N_pytorch_model.pt, or final_model/{WEIGHTS} or \
                 final_model/{PICKLED} beside it, found none"
            ),
        )),
    }
}

fn query_id(tokenizer: &Tokenizer) -> Result<i64, ModelError> {
    match encode(tokenizer, QUERY)?.as_slice() {
        [id] => Ok(*id),
        ids => Err(ModelError::Tokenizer(format!(
            "expected {QUERY} to be one token, found {ids:?}; give the base model the run was trained from"
        ))),
    }
}

/// Sizes of the action head that config.yaml does not state, derived from the weights.
struct HeadShape {
    hidden: Option<i64>,
    blocks: i64,
}

impl HeadShape {
    fn read(files: &WeightFiles) -> Self {
        let first = files.get("action_model.model.fc1.weight");
        let block = |i: &i64| {
            let key = format!("action_model.model.mlp_resnet_blocks.{i}.ffn.1.weight");
            files.get(&key).is_some()
        };
        Self {
            hidden: first.and_then(|fc1| fc1.shape.first().map(|rows| *rows as i64)),
            blocks: (0..).take_while(block).count() as i64,
        }
    }
}
