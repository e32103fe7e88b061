//! Configuration of a run. A run stores it twice: `config.full.yaml` holds the whole of it, as training began;
//! `config.yaml` only the fields that the process had read when it wrote the file. The first takes precedence; the
//! second adds what training filled in.

use std::fmt::{self, Debug, Formatter};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::contract::{Filter, Resize};
use crate::files;
use crate::model::error::ModelError;

/// File of the whole configuration.
const FULL: &str = "config.full.yaml";
/// File of the fields that were read.
const READ: &str = "config.yaml";
/// File of the configuration of old runs.
const OLD: &str = "config.json";
/// Default side of StarVLA's images (px).
const SIDE: u32 = 224;

/// A run's configuration.
#[derive(Debug)]
pub struct StarVlaSettings {
    /// The file that takes precedence, for messages.
    pub path: PathBuf,
    /// Fields that inference reads.
    pub run: Run,
    /// Notes for the user on differences between the files.
    pub notes: Vec<String>,
}

/// The fields of a configuration that inference reads.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Run {
    pub run_id: Option<String>,
    pub framework: Framework,
    pub datasets: Datasets,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Framework {
    pub name: Option<String>,
    pub qwenvl: QwenVl,
    pub action_model: ActionModel,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct QwenVl {
    pub base_vlm: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ActionModel {
    pub action_model_type: Option<String>,
    pub action_dim: Option<i64>,
    pub action_horizon: Option<i64>,
    pub future_action_window_size: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Datasets {
    pub vla_data: VlaData,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct VlaData {
    #[serde(rename = "CoT_prompt")]
    pub prompt: Option<String>,
    /// Width and height, in the order of Pillow's `resize`.
    pub obs_image_size: Option<Vec<u32>>,
    /// Channels, height and width.
    pub default_image_resolution: Option<Vec<u32>>,
    pub include_state: Option<IncludeState>,
    pub data_mix: Option<String>,
}

/// Setting that StarVLA reads as a boolean or a word.
#[derive(PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum IncludeState {
    Is(bool),
    Word(String),
}

/// Writes the value as in the file.
impl Debug for IncludeState {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Is(on) => on.fmt(f),
            Self::Word(word) => word.fmt(f),
        }
    }
}

impl IncludeState {
    pub fn is_on(&self) -> bool {
        match self {
            Self::Is(on) => *on,
            Self::Word(word) => !["", "false", "False", "none", "None", "no"].contains(&word.as_str()),
        }
    }
}

/// Reports whether a directory holds the configuration of a run.
pub fn is_there(directory: &Path) -> bool {
    directory.join(READ).exists() || directory.join(FULL).exists()
}

/// Reports whether a directory holds the configuration of an old run.
pub fn is_there_as_of_old(directory: &Path) -> bool {
    directory.join(OLD).exists()
}

impl StarVlaSettings {
    /// Reads the files of a run.
    ///
    /// # Errors
    /// When there is no such file, one is damaged, or is of another framework.
    pub fn read(run: &Path) -> Result<Self, ModelError> {
        let [full, read, old] = [FULL, READ, OLD].map(|name| run.join(name));
        let settings = match (full.exists(), read.exists()) {
            (true, true) => {
                let mut merger = Merger::default();
                let merged = merger.run(parse(&full)?, parse(&read)?);
                Self {
                    path: full,
                    run: merged,
                    notes: merger.notes,
                }
            }
            (true, false) => Self::of(full)?,
            (false, false) if old.exists() => Self::of(old)?,
            (false, _) => Self::of(read)?,
        };
        match settings.run.framework.name {
            Some(_) => Ok(settings),
            None => Err(settings.refuse("framework.name: expected QwenOFT, found none")),
        }
    }

    fn of(path: PathBuf) -> Result<Self, ModelError> {
        Ok(Self {
            run: parse(&path)?,
            path,
            notes: Vec::new(),
        })
    }

    /// Returns an error about the file that takes precedence.
    pub fn refuse(&self, message: impl ToString) -> ModelError {
        ModelError::read(&self.path, message)
    }

    /// Returns the base model's directory: the user's, or the path in the file, relative to the run or to the working
    /// directory.
    ///
    /// # Errors
    /// When there is no such directory.
    pub fn base(&self, run: &Path, given: Option<&Path>) -> Result<PathBuf, ModelError> {
        if let Some(base) = given {
            return Ok(base.to_owned());
        }
        let named = self.run.framework.qwenvl.base_vlm.as_ref();
        let here = named.iter().flat_map(|named| [run.join(named), (*named).clone()]);
        let named = || named.map_or("none".into(), |named| named.display().to_string());
        here.into_iter()
            .find(|path| path.join("config.json").exists())
            .ok_or_else(|| {
                self.refuse(format!(
                    "the run has no tokenizer of its own, and framework.qwenvl.base_vlm, {}, is no directory here; name the \
                     base model's directory with --base",
                    named()
                ))
            })
    }

    /// Returns the number of actions in a chunk. The window is an older field with one less; where they disagree
    /// StarVLA uses the horizon.
    ///
    /// # Errors
    /// When the file states neither.
    pub fn chunk_len(&mut self) -> Result<i64, ModelError> {
        let model = &self.run.framework.action_model;
        match (model.action_horizon, model.future_action_window_size) {
            (Some(horizon), window) => {
                if let Some(window) = window.filter(|window| horizon != window + 1) {
                    self.notes.push(format!(
                        "framework.action_model: action_horizon is {horizon}, and future_action_window_size, {window}, is not one \
                         less; action_horizon counts"
                    ));
                }
                Ok(horizon)
            }
            (None, Some(window)) => Ok(window + 1),
            (None, None) => {
                Err(self.refuse("framework.action_model.action_horizon: expected the chunk's length, found none"))
            }
        }
    }

    /// Returns the number of values in an action.
    ///
    /// # Errors
    /// When the file does not state it.
    pub fn action_dim(&self) -> Result<i64, ModelError> {
        let dim = self.run.framework.action_model.action_dim;
        dim.ok_or_else(|| {
            self.refuse("framework.action_model.action_dim: expected the values of an action, found none")
        })
    }

    /// Reports whether the network gets the robot's state.
    pub fn has_state(&self) -> bool {
        let include = self.run.datasets.vla_data.include_state.as_ref();
        include.is_some_and(IncludeState::is_on)
    }

    /// Returns how images are resized for the network.
    ///
    /// # Errors
    /// When a size is invalid.
    pub fn resize(&self) -> Result<Resize, ModelError> {
        let data = &self.run.datasets.vla_data;
        let given = |size: &Option<Vec<u32>>| size.clone().filter(|size| !size.is_empty());
        let (width, height) = match (
            given(&data.obs_image_size).as_deref(),
            given(&data.default_image_resolution).as_deref(),
        ) {
            (Some([width, height]), _) => (*width, *height),
            (Some(size), _) => {
                return Err(self.refuse(format!(
                    "datasets.vla_data.obs_image_size: expected width and height, found {size:?}"
                )));
            }
            (None, Some([.., height, width])) => (*width, *height),
            (None, _) => (SIDE, SIDE),
        };
        if width == 0 || height == 0 {
            return Err(self.refuse(format!(
                "datasets.vla_data: expected a size of images, found {width} x {height} px"
            )));
        }
        Ok(Resize {
            width,
            height,
            filter: Filter::Bicubic,
        })
    }

    /// Returns the name of the weights.
    pub fn name(&self, run: &Path, weights: &Path) -> String {
        let file = weights.file_stem().unwrap_or_default().to_string_lossy();
        let folder = run.file_name().unwrap_or_default().to_string_lossy();
        let run = self.run.run_id.as_deref().unwrap_or(&folder);
        format!("StarVLA {run}, {file}")
    }
}

fn parse(path: &Path) -> Result<Run, ModelError> {
    let text = files::read_text(path, files::CONFIGURATION).map_err(|e| ModelError::read(path, e))?;
    let run: Run = serde_saphyr::from_str(&text).map_err(|e| ModelError::read(path, e))?;
    let head = run.framework.action_model.action_model_type.as_deref();
    for (field, expected, found) in [
        ("framework.name", "QwenOFT", run.framework.name.as_deref()),
        ("framework.action_model.action_model_type", "MLP", head),
    ] {
        if let Some(found) = found.filter(|found| *found != expected) {
            return Err(ModelError::read(
                path,
                format!("{field}: expected {expected}, found {found}"),
            ));
        }
    }
    Ok(run)
}

/// Merges the two files.
#[derive(Debug, Default)]
struct Merger {
    notes: Vec<String>,
}

impl Merger {
    fn run(&mut self, full: Run, read: Run) -> Run {
        let (framework, other) = (full.framework, read.framework);
        let (model, other_model) = (framework.action_model, other.action_model);
        let (data, other_data) = (full.datasets.vla_data, read.datasets.vla_data);
        Run {
            run_id: self.pick("run_id", full.run_id, read.run_id),
            framework: Framework {
                name: self.pick("framework.name", framework.name, other.name),
                qwenvl: QwenVl {
                    base_vlm: self.pick(
                        "framework.qwenvl.base_vlm",
                        framework.qwenvl.base_vlm,
                        other.qwenvl.base_vlm,
                    ),
                },
                action_model: self.action_model(model, other_model),
            },
            datasets: Datasets {
                vla_data: self.vla_data(data, other_data),
            },
        }
    }

    fn action_model(&mut self, full: ActionModel, read: ActionModel) -> ActionModel {
        let mut pick = |field: &str, full, read| self.pick(&format!("framework.action_model.{field}"), full, read);
        ActionModel {
            action_dim: pick("action_dim", full.action_dim, read.action_dim),
            action_horizon: pick("action_horizon", full.action_horizon, read.action_horizon),
            future_action_window_size: pick(
                "future_action_window_size",
                full.future_action_window_size,
                read.future_action_window_size,
            ),
            action_model_type: full.action_model_type.or(read.action_model_type),
        }
    }

    fn vla_data(&mut self, full: VlaData, read: VlaData) -> VlaData {
        const AT: &str = "datasets.vla_data";
        VlaData {
            prompt: self.pick(&format!("{AT}.CoT_prompt"), full.prompt, read.prompt),
            obs_image_size: self.pick(
                &format!("{AT}.obs_image_size"),
                full.obs_image_size,
                read.obs_image_size,
            ),
            default_image_resolution: self.pick(
                &format!("{AT}.default_image_resolution"),
                full.default_image_resolution,
                read.default_image_resolution,
            ),
            include_state: self.pick(&format!("{AT}.include_state"), full.include_state, read.include_state),
            data_mix: self.pick(&format!("{AT}.data_mix"), full.data_mix, read.data_mix),
        }
    }

    fn pick<T: PartialEq + Debug>(&mut self, field: &str, full: Option<T>, read: Option<T>) -> Option<T> {
        if let (Some(full), Some(read)) = (&full, &read)
            && full != read
        {
            self.notes.push(format!(
                "{field} is {full:?} in {FULL} and {read:?} in {READ}; that of {FULL} is taken"
            ));
        }
        full.or(read)
    }
}
