//! Contract: the facts that recording, training and inference must agree on.
//!
//! It has three parts. The recorder writes [`Robot`] and [`Data`] into a dataset, training adds [`Model`] and copies all
//! three into the checkpoint, and the policy compares them with the live robot. These facts are defined nowhere else in
//! the code.

mod error;
mod instruction_text;
mod robot;
mod settings;

pub use error::ContractError;
pub use instruction_text::has_words;
pub use robot::{Camera, Robot};
pub use settings::{SettingDifference, step_differences};

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::files;

/// File name of a contract inside a checkpoint or dataset directory.
pub const FILE_NAME: &str = "contract.yaml";

/// The whole contract. `model` is absent in a dataset, present in a checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contract {
    /// The robot the data was recorded on.
    pub robot: Robot,
    /// Recording and preprocessing of the data.
    pub data: Data,
    /// Facts added by training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Model>,
}

/// Recording of the data, and its preprocessing for the network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// Steps per second of the action sequence (Hz).
    pub fps: f64,
    /// Resize applied to every camera frame before the network's own preprocessing.
    pub resize: Resize,
    /// Content of one action step.
    pub action_space: ActionSpace,
    /// Composition of the steps.
    pub composition: Composition,
    /// Pose that the first step is relative to.
    pub reference: Reference,
    /// Statistics and normalisation of each action dimension; the length is the action dimension.
    pub statistics: Vec<DimensionStatistics>,
    /// Statistics and normalisation of each value of the robot's state, in the order the network reads them; empty if the
    /// state was not recorded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub state: Vec<DimensionStatistics>,
}

impl Data {
    /// Default description of a recording with `fps` rows per second; all statistics are 0.
    pub fn unrecorded(fps: f64) -> Self {
        let dimension = |name: &str| DimensionStatistics {
            name: name.into(),
            normalisation: match name {
                "gripper" => Normalisation::None,
                _ => Normalisation::MinMax,
            },
            min: 0.0,
            max: 0.0,
            mean: 0.0,
            std: 0.0,
            q01: 0.0,
            q99: 0.0,
        };
        Self {
            fps,
            resize: Resize {
                width: 224,
                height: 224,
                filter: Filter::Bicubic,
            },
            action_space: ActionSpace::Ee7,
            composition: Composition::Sequential,
            reference: Reference::Commanded,
            statistics: ["x", "y", "z", "rx", "ry", "rz", "gripper"].map(dimension).to_vec(),
            state: Vec::new(),
        }
    }
}

/// Resize rule of the recorded frames. It must be the rule of the code that made the training data, since another filter
/// or size shifts what the network sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resize {
    /// Width (px).
    pub width: u32,
    /// Height (px).
    pub height: u32,
    /// Filter of the training data.
    pub filter: Filter,
}

/// Resampling filters used by training code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// PIL `BICUBIC`, antialiased (a = -0.5).
    Bicubic,
    /// PIL `BILINEAR`, antialiased.
    Bilinear,
    /// OpenCV `INTER_AREA`.
    Area,
}

/// Content of one action step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionSpace {
    /// x, y, z (m), rotation vector (rad), gripper 0 closed .. 1 open.
    Ee7,
    /// Seven joints (rad), gripper 0 closed .. 1 open.
    Joint8,
}

impl ActionSpace {
    /// Number of values in one step.
    pub fn dim(self) -> usize {
        match self {
            Self::Ee7 => 7,
            Self::Joint8 => 8,
        }
    }
}

/// Composition of the steps of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Composition {
    /// Step k is relative to step k-1.
    Sequential,
    /// Every step is an offset from the anchor.
    FromAnchor,
}

/// Anchor of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reference {
    /// The pose commanded at the observation's time.
    Commanded,
    /// The pose measured at the observation's time.
    Measured,
}

/// Statistics and normalisation of one dimension, as LeRobot and StarVLA datasets state them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DimensionStatistics {
    /// Name, e.g. `x`, `gripper`.
    pub name: String,
    /// Mapping of values to the network's range.
    pub normalisation: Normalisation,
    /// Smallest value seen.
    pub min: f64,
    /// Largest value seen.
    pub max: f64,
    /// Mean.
    pub mean: f64,
    /// Standard deviation.
    pub std: f64,
    /// 1 % quantile.
    pub q01: f64,
    /// 99 % quantile.
    pub q99: f64,
}

/// Mapping of one dimension to the network's range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Normalisation {
    /// min..max to -1..1; a constant dimension maps to 0.
    MinMax,
    /// q01..q99 to -1..1.
    Q99,
    /// (x - mean) / std.
    MeanStd,
    /// Unchanged.
    None,
    /// 0 or 1, split at 0.5.
    Binary,
}

/// Facts added by training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Number of steps in a chunk, K.
    pub chunk_len: usize,
    /// Name of the weights, or `untrained`.
    pub weights: String,
}

impl Contract {
    /// Loads and validates the contract of a checkpoint or dataset directory.
    ///
    /// # Errors
    /// When the file is missing, is not a contract, or holds an invalid value.
    pub fn load(directory: &Path) -> Result<Self, ContractError> {
        Self::read(&directory.join(FILE_NAME))
    }

    /// Loads and validates a contract from a file of any name.
    ///
    /// # Errors
    /// When the file is missing, is not a contract, or holds an invalid value.
    pub fn read(path: &Path) -> Result<Self, ContractError> {
        let text = files::read_description(path, files::CONFIGURATION).map_err(|source| ContractError::Read {
            path: path.to_owned(),
            source,
        })?;
        let contract: Self = serde_saphyr::from_str(&text).map_err(|e| ContractError::Parse {
            path: path.to_owned(),
            message: e.to_string(),
        })?;
        contract.validate(path)?;
        Ok(contract)
    }

    /// Writes the contract into a checkpoint or dataset directory.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, directory: &Path) -> Result<(), ContractError> {
        let path = directory.join(FILE_NAME);
        let text = self.to_yaml(&path)?;
        std::fs::write(&path, text).map_err(|source| ContractError::Write { path, source })
    }

    /// Serialises the contract as YAML; `path` only names the file in the error.
    ///
    /// # Errors
    /// When the contract cannot be expressed as YAML.
    pub fn to_yaml(&self, path: &Path) -> Result<String, ContractError> {
        serde_saphyr::to_string(self).map_err(|e| ContractError::Parse {
            path: path.to_owned(),
            message: e.to_string(),
        })
    }

    /// Refuses a contract without cameras, with a gripper stroke or rate that is not positive, with too few or many
    /// statistics, with statistics that its normalisation cannot use, or with an empty chunk; `path` only names the
    /// file in the error.
    fn validate(&self, path: &Path) -> Result<(), ContractError> {
        let invalid = |message: String| ContractError::Invalid {
            path: path.to_owned(),
            message,
        };
        let positive = |name: &str, value: f64| {
            (value.is_finite() && value > 0.0)
                .then_some(())
                .ok_or_else(|| invalid(format!("{name}: expected a positive number, found {value}")))
        };
        if self.robot.cameras.is_empty() {
            return Err(invalid(
                "robot.cameras: expected at least one camera, found none".into(),
            ));
        }
        positive("robot.gripper_stroke_m", self.robot.gripper_stroke_m)?;
        positive("data.fps", self.data.fps)?;
        let dim = self.data.action_space.dim();
        if self.data.statistics.len() != dim {
            return Err(invalid(format!(
                "data.statistics: expected {dim} entries, one for each dimension of {:?}, found {}",
                self.data.action_space,
                self.data.statistics.len()
            )));
        }
        for (list, dimensions) in [
            ("data.statistics", &self.data.statistics),
            ("data.state", &self.data.state),
        ] {
            if let Some(unusable) = dimensions.iter().find_map(DimensionStatistics::unusable) {
                return Err(invalid(format!("{list} of {unusable}")));
            }
        }
        match &self.model {
            Some(model) if model.chunk_len == 0 => Err(invalid("model.chunk_len: expected at least 1, found 0".into())),
            _ => Ok(()),
        }
    }
}

impl DimensionStatistics {
    /// Describes values that the normalisation cannot use; `None` where all can be.
    fn unusable(&self) -> Option<String> {
        let used = match self.normalisation {
            Normalisation::MinMax => [self.min, self.max],
            Normalisation::Q99 => [self.q01, self.q99],
            Normalisation::MeanStd => [self.mean, self.std],
            Normalisation::None | Normalisation::Binary => [0.0, 0.0],
        };
        let [low, high] = used;
        let ordered = match self.normalisation {
            Normalisation::MeanStd => high >= 0.0,
            _ => low <= high,
        };
        if used.iter().all(|v| v.is_finite()) && ordered {
            return None;
        }
        Some(format!(
            "{}: {:?} needs finite, ordered values, found {low} and {high}",
            self.name, self.normalisation
        ))
    }
}
