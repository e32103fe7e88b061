//! A run directory of StarVLA's Qwen3-VL-OFT: `config.yaml`, `dataset_statistics.json` and weights under its own names.
//!
//! The backbone's description and tokenizer are not in it; they are taken from the base model it was trained from.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use tokenizers::Tokenizer;

use super::manifest::{Format, Manifest};
use super::statistics::{Columns, DatasetStatistics, OfTag, STATISTICS, manner_of};
use super::weights::{Naming, WeightFiles};
use super::{Options, WEIGHTS, huggingface, pickle};
use crate::contract::{Contract, Data, DimensionStatistics, Filter, Model, Resize};
use crate::model::config::{HiddenTap, PromptStyle, Proprio, ThinkVlaConfig};
use crate::model::error::ModelError;
use crate::model::prompt::encode;

/// Files a run's configuration may be in; the last is that of old runs.
pub(super) const CONFIGS: [&str; 3] = ["config.yaml", "config.full.yaml", "config.json"];
/// The action query's token.
pub const QUERY: &str = "🔍";
/// Text of the user where a run has no template.
const BARE_PROMPT: &str = "{instruction}";
/// Side of the images StarVLA feeds unless told otherwise [px].
const SIDE: u32 = 224;

/// The fields of a run's configuration that inference reads.
#[derive(Debug, Deserialize)]
struct Run {
    #[serde(default)]
    run_id: Option<String>,
    framework: Framework,
    datasets: Datasets,
}

#[derive(Debug, Deserialize)]
struct Framework {
    name: String,
    qwenvl: QwenVl,
    action_model: ActionModel,
}

#[derive(Debug, Deserialize)]
struct QwenVl {
    base_vlm: PathBuf,
}

#[derive(Debug, Deserialize)]
struct ActionModel {
    #[serde(default)]
    action_model_type: Option<String>,
    action_dim: i64,
    #[serde(default)]
    action_horizon: Option<i64>,
    #[serde(default)]
    future_action_window_size: Option<i64>,
}

#[derive(Debug, Deserialize)]
struct Datasets {
    vla_data: VlaData,
}

#[derive(Debug, Deserialize)]
struct VlaData {
    #[serde(rename = "CoT_prompt", default)]
    prompt: Option<String>,
    #[serde(default)]
    obs_image_size: Option<Vec<u32>>,
    #[serde(default)]
    default_image_resolution: Option<Vec<u32>>,
    #[serde(default)]
    include_state: Option<IncludeState>,
}

/// StarVLA reads a boolean or a word.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum IncludeState {
    Is(bool),
    Word(String),
}

impl IncludeState {
    fn is_on(&self) -> bool {
        match self {
            Self::Is(on) => *on,
            Self::Word(word) => !["", "false", "False", "none", "None", "no"].contains(&word.as_str()),
        }
    }
}

/// Whether a directory is such a run.
pub(super) fn is_run(directory: &Path) -> bool {
    let holds = |name: &str| directory.join(name).exists();
    let named = holds("config.yaml") || holds("config.full.yaml");
    named || (holds("checkpoints") || holds("final_model")) && holds("config.json")
}

/// What a run directory, or one weights file in it, says of itself.
pub(super) fn read(path: &Path, options: &Options) -> Result<Manifest, ModelError> {
    let (run, weights) = match path.is_dir() {
        true => (path.to_owned(), find_weights(path)?),
        false => (home_of(path), path.to_owned()),
    };
    let (file, config) = read_config(&run)?;
    let refuse = |message: String| ModelError::read(&file, message);
    config.check().map_err(refuse)?;
    let base = config.base(&run, options.base.as_deref()).map_err(refuse)?;
    let base_files = huggingface::Description::read(&base)?;
    let files = WeightFiles::of_files(std::slice::from_ref(&weights), Naming::StarVla)?;
    let compute = files.precision();
    let statistics = DatasetStatistics::read(&run)?;
    let (tag, statistics) = statistics.choose(&run, options.tag.as_deref())?;
    let of_run = OfRun {
        tag,
        statistics,
        robot: options.robot.as_ref(),
    };
    let actions = of_run
        .actions()
        .map_err(|e| ModelError::read(&run.join(STATISTICS), e))?;
    let chunk_len = config.chunk_len().map_err(refuse)?;
    let proprio = config
        .datasets
        .vla_data
        .include_state
        .as_ref()
        .is_some_and(IncludeState::is_on);
    let head = HeadShape::read(&files);
    let thinkvla = ThinkVlaConfig {
        prompt_style: PromptStyle::StarvlaOft,
        prompt: config
            .datasets
            .vla_data
            .prompt
            .clone()
            .unwrap_or_else(|| BARE_PROMPT.into()),
        proprio: if proprio { Proprio::Text } else { Proprio::None },
        state_dim: 0,
        action_token: QUERY.into(),
        action_token_id: query_id(&base_files.tokenizer)?,
        hidden_tap: HiddenTap::PreNorm,
        geometry: None,
        reasoning: None,
        chunk_len,
        action_dim: config.framework.action_model.action_dim,
        head_hidden: head.hidden.unwrap_or(2 * base_files.config.text_config.hidden_size),
        head_blocks: head.blocks,
        min_pixels: base_files.bounds.min_pixels,
        max_pixels: base_files.bounds.max_pixels,
        compute,
    };
    let name = config.name(&run, &weights);
    let contract = match &options.robot {
        None => None,
        Some(robot) => Some(Contract {
            robot: robot.robot.clone(),
            data: Data {
                resize: config.resize(),
                state: of_run
                    .state(proprio)
                    .map_err(|e| ModelError::read(&run.join(STATISTICS), e))?,
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
    })
}

/// The run a weights file belongs to: two levels above it.
fn home_of(weights: &Path) -> PathBuf {
    let mut above = weights.ancestors().skip(2);
    above.next().map(Path::to_owned).unwrap_or_default()
}

/// The final weights, or those of the last step.
fn find_weights(run: &Path) -> Result<PathBuf, ModelError> {
    let last = run.join("final_model").join(WEIGHTS);
    if last.exists() {
        return Ok(last);
    }
    let folder = run.join("checkpoints");
    let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
    let steps = entries.filter_map(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        let steps = name.strip_prefix("steps_")?.strip_suffix("_model.safetensors")?;
        Some((steps.parse::<u64>().ok()?, entry.path()))
    });
    if let Some((_, path)) = steps.max() {
        return Ok(path);
    }
    let mut pickled = pickle::of_directory(&run.join("final_model"));
    pickled.extend(pickle::of_directory(&folder));
    match pickled.last() {
        Some(pickled) => Err(pickle::refuse(pickled)),
        None => Err(ModelError::read(
            &folder,
            format!("expected steps_N_model.safetensors, or final_model/{WEIGHTS} beside it, found neither"),
        )),
    }
}

fn read_config(run: &Path) -> Result<(PathBuf, Run), ModelError> {
    let mut files = CONFIGS.iter().map(|name| run.join(name));
    let path = files
        .find(|path| path.exists())
        .unwrap_or_else(|| run.join("config.yaml"));
    let text = std::fs::read_to_string(&path).map_err(|e| ModelError::read(&path, e))?;
    let config = serde_saphyr::from_str(&text).map_err(|e| ModelError::read(&path, e))?;
    Ok((path, config))
}

fn query_id(tokenizer: &Tokenizer) -> Result<i64, ModelError> {
    match encode(tokenizer, QUERY)?.as_slice() {
        [id] => Ok(*id),
        ids => Err(ModelError::Tokenizer(format!(
            "expected {QUERY} to be one token, found {ids:?}; give the base model the run was trained from"
        ))),
    }
}

/// Sizes of the head that config.yaml does not state, from the weights themselves.
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

impl Run {
    fn check(&self) -> Result<(), String> {
        if self.framework.name != "QwenOFT" {
            return Err(format!(
                "framework.name: expected QwenOFT, found {}",
                self.framework.name
            ));
        }
        match self.framework.action_model.action_model_type.as_deref() {
            None | Some("MLP") => Ok(()),
            Some(other) => Err(format!(
                "framework.action_model.action_model_type: expected MLP, found {other}"
            )),
        }
    }

    /// The base model: what the user says, or the path in the file, from the run or from here.
    fn base(&self, run: &Path, given: Option<&Path>) -> Result<PathBuf, String> {
        if let Some(base) = given {
            return Ok(base.to_owned());
        }
        let named = &self.framework.qwenvl.base_vlm;
        let here = [run.join(named), named.clone()];
        here.into_iter().find(|path| path.join("config.json").exists()).ok_or_else(|| {
            format!(
                "the run has no tokenizer of its own, and framework.qwenvl.base_vlm, {}, is no directory here; name the \
                 base model's directory with --base",
                named.display()
            )
        })
    }

    fn chunk_len(&self) -> Result<i64, String> {
        let model = &self.framework.action_model;
        match (
            model.action_horizon,
            model.future_action_window_size.map(|future| future + 1),
        ) {
            (Some(horizon), Some(window)) if horizon != window => Err(format!(
                "framework.action_model: expected action_horizon to be future_action_window_size + 1, found {horizon} and \
                 {}",
                window - 1
            )),
            (Some(length), _) | (None, Some(length)) => Ok(length),
            (None, None) => {
                Err("framework.action_model.action_horizon: expected the chunk's length, found none".into())
            }
        }
    }

    fn resize(&self) -> Resize {
        let data = &self.datasets.vla_data;
        let sizes = [&data.obs_image_size, &data.default_image_resolution];
        let size = sizes.into_iter().flatten().find_map(|size| match size.as_slice() {
            [height, width] | [_, height, width] => Some((*height, *width)),
            _ => None,
        });
        let (height, width) = size.unwrap_or((SIDE, SIDE));
        Resize {
            width,
            height,
            filter: Filter::Bicubic,
        }
    }

    fn name(&self, run: &Path, weights: &Path) -> String {
        let file = weights.file_stem().unwrap_or_default().to_string_lossy();
        let folder = run.file_name().unwrap_or_default().to_string_lossy();
        let run = self.run_id.as_deref().unwrap_or(&folder);
        format!("StarVLA {run}, {file}")
    }
}

/// Statistics of a run and what is known of the robot.
struct OfRun<'a> {
    tag: &'a str,
    statistics: &'a OfTag,
    robot: Option<&'a Contract>,
}

impl OfRun<'_> {
    fn actions(&self) -> Result<Vec<DimensionStatistics>, String> {
        let count = self.statistics.action.len();
        let told = |robot: &Contract| {
            let dimensions = robot.data.statistics.iter();
            dimensions
                .map(|of| (of.name.clone(), of.normalisation))
                .collect::<Vec<_>>()
        };
        let manner = manner_of(self.tag, count)
            .or_else(|| self.robot.map(told).filter(|told| told.len() == count))
            .ok_or_else(|| {
                format!(
                    "it does not say how the {count} values of an action of {} were normalised; give --robot a contract \
                     whose data.statistics name them and say so",
                    self.tag
                )
            })?;
        self.statistics.action.dimensions(&manner)
    }

    fn state(&self, told: bool) -> Result<Vec<DimensionStatistics>, String> {
        if !told {
            return Ok(Vec::new());
        }
        let manner: Vec<_> = self
            .robot
            .iter()
            .flat_map(|robot| &robot.data.state)
            .map(|of| (of.name.clone(), of.normalisation))
            .collect();
        match &self.statistics.state {
            Some(state) if state.len() == manner.len() => state.dimensions(&manner),
            state => Err(format!(
                "the run is told the robot's state, {} values; give --robot a contract whose data.state names as many, found \
                 {}",
                state.as_ref().map_or(0, Columns::len),
                manner.len()
            )),
        }
    }
}
