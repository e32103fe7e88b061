//! Configuration file of a training run. A file may name another as its `base` and contain only the differences.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::files;
use crate::model::config::Precision;
use crate::model::error::ModelError;
use crate::model::init::variant::FieldChoice;
use crate::model::layers::device::DeviceChoice;

use self::settings::{GeometrySettings, MethodSettings, OptimiserSettings, ScheduleSettings};
use super::error::RunError;
use crate::model::trainable::Selection;

mod check;
mod data;
pub mod settings;
mod text;

pub(super) use check::{SettingProblem, first_of, unless};
pub use data::{DataSettings, DatasetShare};
pub use text::{TextSettings, TextSource};

/// Maximum number of files in a chain of bases.
const MAX_DEPTH: usize = 16;

/// Configuration of a training run. Relative paths, except `base`, are relative to the working directory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainingConfig {
    /// Configuration with the values that this one does not set; relative to this file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<PathBuf>,
    /// Stages of the run, in order: each sets what differs from the rest of this file, and trains the result of the one
    /// before. Without any, the file itself is the run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<Stage>,
    /// Directory of the checkpoint that is trained.
    pub checkpoint: PathBuf,
    /// Directory that training writes to.
    pub out: PathBuf,
    /// Name of the weights, for people.
    pub name: String,
    /// Number of steps of the whole schedule.
    pub steps: u64,
    /// Seed of sampling, of dropped conditions, and of low-rank differences.
    pub seed: u64,
    /// `auto`, `cpu`, `cuda` or `cuda:N`.
    pub device: String,
    /// Type in which the backbone computes; `None` takes the checkpoint's.
    pub compute: Option<Precision>,
    /// CPU threads of one operation; `None` leaves libtorch's choice.
    pub threads: Option<u16>,
    /// Fields of the checkpoint's `thinkvla` object that are set before training, by path (`reasoning.fusion`), as in
    /// `thinkvla init-checkpoint --set`; null removes a field.
    pub network: BTreeMap<String, Value>,
    /// Weights that are trained.
    pub selection: Selection,
    /// Losses.
    pub method: MethodSettings,
    /// Geometry teacher.
    pub geometry: GeometrySettings,
    /// AdamW.
    pub optimiser: OptimiserSettings,
    /// Learning rates over the steps.
    pub schedule: ScheduleSettings,
    /// Demonstrations.
    pub data: DataSettings,
    /// Questions and answers beside the demonstrations.
    pub text: TextSettings,
    /// Measurements on held-out episodes.
    pub validation: ValidationSettings,
    /// Intervals and retention of checkpoints.
    pub checkpoints: CheckpointSettings,
}

impl Default for TrainingConfig {
    fn default() -> Self {
        Self {
            base: None,
            stages: Vec::new(),
            checkpoint: PathBuf::new(),
            out: PathBuf::new(),
            name: "trained".into(),
            steps: 80_000,
            seed: 42,
            device: "auto".into(),
            compute: None,
            threads: None,
            network: BTreeMap::new(),
            selection: Selection::default(),
            method: MethodSettings::default(),
            geometry: GeometrySettings::default(),
            optimiser: OptimiserSettings::default(),
            schedule: ScheduleSettings::default(),
            data: DataSettings::default(),
            text: TextSettings::default(),
            validation: ValidationSettings::default(),
            checkpoints: CheckpointSettings::default(),
        }
    }
}

/// Stage of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// Name of the stage, and of its directory under the run's.
    pub stage: String,
    /// Fields of [`TrainingConfig`] that it sets.
    #[serde(flatten)]
    pub settings: serde_json::Map<String, Value>,
}

fn one() -> f64 {
    1.0
}

/// Measurements on held-out episodes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ValidationSettings {
    /// Fraction of each dataset's episodes that is held out; 0 holds none out and measures nothing.
    pub share: f64,
    /// Steps between measurements.
    pub every_steps: u64,
    /// Batches of a measurement; always the same ones.
    pub batches: u64,
    /// Steps between comparisons of the two streams' gradients; 0 disables them.
    pub similarity_every: u64,
}

impl Default for ValidationSettings {
    fn default() -> Self {
        Self {
            share: 0.0,
            every_steps: 500,
            batches: 4,
            similarity_every: 0,
        }
    }
}

/// Intervals and retention of checkpoints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CheckpointSettings {
    /// Steps between checkpoints.
    pub every_steps: u64,
    /// Maximum time between checkpoints (min); 0 for no limit.
    pub every_minutes: f64,
    /// Number of latest checkpoints that are kept; the one of the smallest held-out error is kept as well.
    pub keep: usize,
}

impl Default for CheckpointSettings {
    fn default() -> Self {
        Self {
            every_steps: 1000,
            every_minutes: 20.0,
            keep: 3,
        }
    }
}

impl TrainingConfig {
    /// Reads a file and its bases.
    ///
    /// # Errors
    /// When one is missing, has an unknown field (the error has the line), or has a value of a wrong type.
    pub fn load(path: &Path) -> Result<Self, RunError> {
        let mut values = Vec::new();
        let mut next = Some(path.to_owned());
        while let Some(file) = next {
            if values.len() == MAX_DEPTH {
                return Err(RunError::config(
                    path,
                    format!("base: expected at most {MAX_DEPTH} files behind one another, found more"),
                ));
            }
            let text = files::read_description(&file, files::CONFIGURATION).map_err(RunError::file("read", &file))?;
            let parse = |e: serde_saphyr::Error| RunError::config(&file, e.to_string());
            // Each file is parsed alone first: its lines are known only now.
            let alone: Self = serde_saphyr::from_str(&text).map_err(parse)?;
            values.push(serde_saphyr::from_str::<Value>(&text).map_err(parse)?);
            next = alone.base.map(|base| file.parent().unwrap_or(Path::new("")).join(base));
        }
        let mut whole = Value::Object(serde_json::Map::new());
        for value in values.into_iter().rev() {
            overlay(&mut whole, value);
        }
        if let Some(fields) = whole.as_object_mut() {
            fields.remove("base");
        }
        serde_json::from_value(whole).map_err(|e| RunError::config(path, e.to_string()))
    }

    /// Returns each stage as a run of its own, or the file itself without stages. The checkpoint of a later stage is
    /// not known yet.
    ///
    /// # Errors
    /// When a stage sets an unknown field or one that cannot work; names the stage.
    pub fn stages(&self, path: &Path) -> Result<Vec<Self>, RunError> {
        if self.stages.is_empty() {
            return Ok(vec![self.clone()]);
        }
        let mut common = self.clone();
        common.stages.clear();
        let of = |stage: &Stage| -> Result<Self, RunError> {
            let refuse = |message: String| RunError::config(path, format!("stage {}: {message}", stage.stage));
            if stage.stage.is_empty()
                || !stage
                    .stage
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
            {
                return Err(refuse("expected a name of letters, digits, - and _".into()));
            }
            let mut whole = serde_json::to_value(&common).map_err(|e| refuse(e.to_string()))?;
            overlay(&mut whole, Value::Object(stage.settings.clone()));
            let mut config: Self = serde_json::from_value(whole).map_err(|e| refuse(e.to_string()))?;
            config.out = self.out.join(&stage.stage);
            config.validate(path).map_err(|e| refuse(e.to_string()))?;
            Ok(config)
        };
        self.stages.iter().map(of).collect()
    }

    /// Returns the fields of [`Self::network`].
    pub fn choices(&self) -> Vec<FieldChoice> {
        let choice = |(field, value): (&String, &Value)| FieldChoice {
            field: field.clone(),
            value: value.clone(),
        };
        self.network.iter().map(choice).collect()
    }

    /// Returns the device to train on.
    ///
    /// # Errors
    /// When `device` is not the name of one.
    pub fn device(&self) -> Result<DeviceChoice, ModelError> {
        self.device.parse()
    }
}

/// Merges `over` into `under`. A selection is replaced as a whole, since its fields depend on its kind.
fn overlay(under: &mut Value, over: Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (key, value) in over {
                match under.get_mut(&key) {
                    Some(old) if key != "selection" => overlay(old, value),
                    _ => drop(under.insert(key, value)),
                }
            }
        }
        (under, over) => *under = over,
    }
}

#[cfg(test)]
mod tests;
