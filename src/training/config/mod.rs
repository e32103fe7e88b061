//! Configuration file of a training run. A file may name another as its `base` and contain only the differences.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::files;
use crate::model::config::Precision;
use crate::model::init::variant::FieldChoice;
use crate::model::layers::device::DeviceChoice;

use self::settings::{Distill, GeometrySettings, MethodSettings, OptimiserSettings, ScheduleSettings};
use super::data::augment::Augmentation;
use super::error::RunError;
use crate::model::trainable::{Selection, lies_under};

pub mod settings;
mod text;

pub use text::{TextSettings, TextSource};

/// Modules of the vision tower that `data.keep_vision` needs frozen.
const TOWER: [&str; 3] = [
    "model.visual.patch_embed",
    "model.visual.pos_embed",
    "model.visual.blocks",
];
/// Maximum number of files in a chain of bases.
const DEEPEST: usize = 16;

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

/// Settings of the demonstrations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataSettings {
    /// Datasets of the mixture.
    pub datasets: Vec<DatasetShare>,
    /// Samples of one forward pass.
    pub batch: usize,
    /// Forward passes of one step.
    pub accumulate: usize,
    /// Threads that decode and resize.
    pub workers: usize,
    /// Batches that each thread may be ahead.
    pub ahead: usize,
    /// Whether actions after the end of an episode are learned, as in StarVLA, or masked.
    pub learn_padding: bool,
    /// Fraction of samples that are not shown the geometry condition.
    pub drop_geometry: f64,
    /// Fraction of samples that are not shown the reasoning condition.
    pub drop_reasoning: f64,
    /// Random augmentation of the images.
    pub augment: Augmentation,
    /// Whether the outputs of the vision blocks are computed once for every row and kept in memory; for a selection
    /// that leaves patch embedding and blocks frozen.
    pub keep_vision: bool,
}

impl Default for DataSettings {
    fn default() -> Self {
        Self {
            datasets: Vec::new(),
            batch: 32,
            accumulate: 1,
            workers: 2,
            ahead: 2,
            learn_padding: true,
            drop_geometry: 0.0,
            drop_reasoning: 0.0,
            augment: Augmentation::default(),
            keep_vision: false,
        }
    }
}

/// Dataset of a mixture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatasetShare {
    /// Folder of the dataset.
    pub path: PathBuf,
    /// Sampling weight, relative to the other datasets.
    #[serde(default = "one")]
    pub weight: f64,
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
            if values.len() == DEEPEST {
                return Err(refuse(
                    path,
                    format!("base: expected at most {DEEPEST} files behind one another, found more"),
                ));
            }
            let text = files::read_description(&file, files::CONFIGURATION).map_err(RunError::file("read", &file))?;
            let parse = |e: serde_saphyr::Error| refuse(&file, e.to_string());
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
        serde_json::from_value(whole).map_err(|e| refuse(path, e.to_string()))
    }

    /// Refuses settings that cannot work; `path` is named in the error.
    ///
    /// # Errors
    /// When a setting cannot work; names the field, what was expected and what was found.
    pub fn validate(&self, path: &Path) -> Result<(), RunError> {
        let share = |v: f64| (0.0..1.0).contains(&v);
        let rates = &self.optimiser.learning_rates;
        let positive = |v: f64| v.is_finite() && v > 0.0;
        let weights = &self.data.datasets;
        let checks = [
            (
                !self.checkpoint.as_os_str().is_empty(),
                "checkpoint",
                "a directory",
                "none".into(),
            ),
            (
                !self.out.as_os_str().is_empty(),
                "out",
                "a directory (or --out)",
                "none".into(),
            ),
            (self.steps > 0, "steps", "at least 1", self.steps.to_string()),
            (!weights.is_empty(), "data.datasets", "at least one", "none".into()),
            (
                weights.iter().all(|one| positive(one.weight)),
                "data.datasets.weight",
                "positive numbers",
                format!("{:?}", weights.iter().map(|one| one.weight).collect::<Vec<_>>()),
            ),
            (
                self.method.privileged_every > 0 && self.method.privileged_tokens > 0,
                "method",
                "privileged_every and privileged_tokens of at least 1",
                "0".into(),
            ),
            (self.data.batch > 0, "data.batch", "at least 1", "0".into()),
            (self.data.accumulate > 0, "data.accumulate", "at least 1", "0".into()),
            (self.data.workers > 0, "data.workers", "at least 1", "0".into()),
            (
                share(self.data.drop_geometry),
                "data.drop_geometry",
                "0 or more and less than 1",
                self.data.drop_geometry.to_string(),
            ),
            (
                share(self.data.drop_reasoning),
                "data.drop_reasoning",
                "0 or more and less than 1",
                self.data.drop_reasoning.to_string(),
            ),
            (
                share(self.validation.share),
                "validation.share",
                "0 or more and less than 1",
                self.validation.share.to_string(),
            ),
            (
                self.validation.every_steps > 0 && self.validation.batches > 0,
                "validation",
                "every_steps and batches of at least 1",
                "0".into(),
            ),
            (
                self.checkpoints.every_steps > 0,
                "checkpoints.every_steps",
                "at least 1",
                "0".into(),
            ),
            (self.checkpoints.keep > 0, "checkpoints.keep", "at least 1", "0".into()),
            (
                [rates.base, rates.qwen_vl_interface, rates.action_model]
                    .into_iter()
                    .all(positive),
                "optimiser.learning_rates",
                "positive numbers",
                format!("{rates:?}"),
            ),
        ];
        let wrong = checks.into_iter().find(|(works, ..)| !works);
        let wrong = wrong.map(|(_, field, expected, found)| (field, expected, found));
        let wrong = wrong
            .or_else(|| self.text.problem())
            .or_else(|| self.data.augment.problem());
        if let Some((field, expected, found)) = wrong.or_else(|| self.vision_problem()) {
            return Err(refuse(path, format!("{field}: expected {expected}, found {found}")));
        }
        self.device()
            .map(drop)
            .map_err(|e| refuse(path, format!("device: {e}")))
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
            let refuse = |message: String| refuse(path, format!("stage {}: {message}", stage.stage));
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

    /// Returns the setting that does not fit kept vision, or a run without the action loss.
    fn vision_problem(&self) -> Option<(&'static str, &'static str, String)> {
        let frozen = |key: &str| match &self.selection {
            Selection::Everything => false,
            Selection::Added { also } => !also.iter().any(|path| touches(path, key)),
            Selection::Only { modules } => !modules.iter().any(|path| touches(path, key)),
            Selection::AllBut { modules } => modules.iter().any(|path| lies_under(key, path)),
            Selection::Lora { .. } => false,
        };
        let moving = TOWER.iter().find(|key| !frozen(key));
        match (self.data.keep_vision, moving) {
            (true, Some(key)) => Some((
                "data.keep_vision",
                "a selection that leaves the vision tower's patch_embed, pos_embed and blocks as they are",
                format!("one that trains {key}"),
            )),
            (true, None) if !self.data.augment.is_off() => Some((
                "data.augment",
                "nothing, since data.keep_vision sees every picture once",
                format!("{:?}", self.data.augment),
            )),
            (true, None) if self.method.geometry_weight != 0.0 => Some((
                "method.geometry_weight",
                "0 with data.keep_vision, since the tower cannot be aligned any more",
                self.method.geometry_weight.to_string(),
            )),
            (true, None) if self.method.distill == Distill::Privileged => Some((
                "method.distill",
                "none or anchor with data.keep_vision, since the privileged teacher needs the pictures",
                format!("{:?}", self.method.distill),
            )),
            (false, _) if self.method.action_weight == 0.0 && self.method.distill != Distill::None => Some((
                "method.distill",
                "none, since method.action_weight is 0 and nothing behind the vision tower is computed",
                format!("{:?}", self.method.distill),
            )),
            _ => None,
        }
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
    pub fn device(&self) -> Result<DeviceChoice, String> {
        self.device.parse()
    }
}

/// Returns whether one of two module paths lies under the other, or they are the same.
fn touches(path: &str, module: &str) -> bool {
    lies_under(module, path) || lies_under(path, module)
}

fn refuse(path: &Path, message: String) -> RunError {
    RunError::Config {
        path: path.to_owned(),
        message,
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
