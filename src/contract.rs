//! What recording, training and inference must agree on.
//!
//! One struct in three parts. The recorder writes [`Robot`] and [`Data`] into a dataset, training adds [`Model`] and
//! copies all three into the checkpoint, the policy compares them with the live robot. No other place in the code
//! defines any of these facts.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// File name of a contract inside a checkpoint or dataset directory.
pub const FILE_NAME: &str = "contract.yaml";

/// The whole contract. `model` is absent in a dataset, present in a checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contract {
    /// The robot the data was recorded on.
    pub robot: Robot,
    /// How the data was recorded and is fed to the network.
    pub data: Data,
    /// What training added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Model>,
}

/// The physical robot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Robot {
    /// Arm model, e.g. `rm75`.
    pub arm: String,
    /// Cameras in the order the network sees them.
    pub cameras: Vec<Camera>,
    /// Frame end-effector actions are expressed in.
    pub base_frame: String,
    /// Frame that moves with the tool centre point.
    pub tool_frame: String,
    /// Opening between the fingers at gripper value 1 [m].
    pub gripper_stroke_m: f64,
}

/// One camera.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Camera {
    /// Name, e.g. `top`, `wrist`.
    pub name: String,
    /// Optical frame (z forward, x right).
    pub frame: String,
    /// Image width [px].
    pub width: u32,
    /// Image height [px].
    pub height: u32,
    /// Frames per second.
    pub rate_hz: f64,
}

/// How data was recorded and is fed to the network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// Steps per second of the action sequence.
    pub fps: f64,
    /// Resize applied to every camera frame before the network's own preprocessing.
    pub resize: Resize,
    /// What one action step holds.
    pub action_space: ActionSpace,
    /// How steps compose.
    pub composition: Composition,
    /// What the first step is relative to.
    pub reference: Reference,
    /// How each action dimension was normalised; its length is the action dimension.
    pub statistics: Vec<DimensionStatistics>,
    /// How each value of the robot's own state was normalised, by name and in the order the network reads them; empty
    /// where the state was not recorded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub state: Vec<DimensionStatistics>,
}

/// Resize rule of the recorded frame (MODEL.md 2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resize {
    /// Width [px].
    pub width: u32,
    /// Height [px].
    pub height: u32,
    /// Filter of the training data.
    pub filter: Filter,
}

/// Resampling filters in use by training code.
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

/// What one action step holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionSpace {
    /// x, y, z [m], rotation vector [rad], gripper 0 closed .. 1 open.
    Ee7,
    /// Seven joints [rad], gripper 0 closed .. 1 open.
    Joint8,
}

impl ActionSpace {
    /// Values in one step.
    pub fn dim(self) -> usize {
        match self {
            Self::Ee7 => 7,
            Self::Joint8 => 8,
        }
    }
}

/// How the steps of a chunk compose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Composition {
    /// Step k is relative to step k-1.
    Sequential,
    /// Every step is an offset from the anchor.
    FromAnchor,
}

/// What a chunk's anchor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reference {
    /// The pose commanded at the observation's time.
    Commanded,
    /// The pose measured at the observation's time.
    Measured,
}

/// Statistics and normalisation of one action dimension (MODEL.md 7.3, 11.1).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DimensionStatistics {
    /// Name, e.g. `x`, `gripper`.
    pub name: String,
    /// How values are mapped to the network's range.
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

/// How one dimension is mapped to the network's range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Normalisation {
    /// min..max to -1..1; a constant dimension maps to 0.
    MinMax,
    /// q01..q99 to -1..1.
    Q99,
    /// (x - mean) / std.
    MeanStd,
    /// Left as it is.
    None,
    /// 0 or 1, split at 0.5.
    Binary,
}

/// What training adds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Steps in a chunk, K.
    pub chunk_len: usize,
    /// `untrained`, or the name people know the weights by.
    pub weights: String,
}

impl Contract {
    /// Reads the contract of a checkpoint or dataset directory.
    ///
    /// # Errors
    /// When the file is missing, is not a contract, or states something that cannot work.
    pub fn load(directory: &Path) -> Result<Self, ContractError> {
        Self::read(&directory.join(FILE_NAME))
    }

    /// Reads a contract, whatever the file is called.
    ///
    /// # Errors
    /// When the file is missing, is not a contract, or states something that cannot work.
    pub fn read(path: &Path) -> Result<Self, ContractError> {
        let text = std::fs::read_to_string(path).map_err(|source| ContractError::Read {
            path: path.to_owned(),
            source,
        })?;
        let parse = |message| ContractError::Parse {
            path: path.to_owned(),
            message,
        };
        let contract: Self = serde_saphyr::from_str(&text).map_err(|e| parse(e.to_string()))?;
        contract.validate().map_err(parse)?;
        Ok(contract)
    }

    /// Writes the contract into a checkpoint or dataset directory.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, directory: &Path) -> Result<(), ContractError> {
        let path = directory.join(FILE_NAME);
        let text = serde_saphyr::to_string(self).map_err(|e| ContractError::Parse {
            path: path.clone(),
            message: e.to_string(),
        })?;
        std::fs::write(&path, text).map_err(|source| ContractError::Write { path, source })
    }

    /// Refuses what cannot work, whoever wrote it.
    fn validate(&self) -> Result<(), String> {
        let positive = |name: &str, value: f64| {
            (value.is_finite() && value > 0.0)
                .then_some(())
                .ok_or_else(|| format!("{name}: expected a positive number, found {value}"))
        };
        if self.robot.cameras.is_empty() {
            return Err("robot.cameras: expected at least one camera, found none".into());
        }
        positive("robot.gripper_stroke_m", self.robot.gripper_stroke_m)?;
        positive("data.fps", self.data.fps)?;
        let dim = self.data.action_space.dim();
        if self.data.statistics.len() != dim {
            return Err(format!(
                "data.statistics: expected {dim} entries, one for each dimension of {:?}, found {}",
                self.data.action_space,
                self.data.statistics.len()
            ));
        }
        self.data
            .statistics
            .iter()
            .try_for_each(|dimension| dimension.validate("data.statistics"))?;
        self.data
            .state
            .iter()
            .try_for_each(|dimension| dimension.validate("data.state"))?;
        match &self.model {
            Some(model) if model.chunk_len == 0 => Err("model.chunk_len: expected at least 1, found 0".into()),
            _ => Ok(()),
        }
    }
}

impl DimensionStatistics {
    fn validate(&self, list: &str) -> Result<(), String> {
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
            return Ok(());
        }
        Err(format!(
            "{list} of {}: {:?} needs finite, ordered values, found {low} and {high}",
            self.name, self.normalisation
        ))
    }
}

impl Robot {
    /// Compares the robot the data was recorded on with the live one.
    ///
    /// # Errors
    /// Names the first field that differs, with both values.
    pub fn require_same(&self, live: &Self) -> Result<(), ContractError> {
        let same = |field: &str, expected: String, found: String| {
            if expected == found {
                return Ok(());
            }
            Err(ContractError::Mismatch {
                field: format!("robot.{field}"),
                expected,
                found,
                remedy: "start the robot as it was recorded, or use a checkpoint trained on this one",
            })
        };
        same("arm", self.arm.clone(), live.arm.clone())?;
        same("base_frame", self.base_frame.clone(), live.base_frame.clone())?;
        same("tool_frame", self.tool_frame.clone(), live.tool_frame.clone())?;
        same(
            "gripper_stroke_m",
            self.gripper_stroke_m.to_string(),
            live.gripper_stroke_m.to_string(),
        )?;
        same(
            "cameras (number)",
            self.cameras.len().to_string(),
            live.cameras.len().to_string(),
        )?;
        for (i, (expected, found)) in self.cameras.iter().zip(&live.cameras).enumerate() {
            let field = |name: &str| format!("cameras[{i}].{name}");
            same(&field("name"), expected.name.clone(), found.name.clone())?;
            same(&field("frame"), expected.frame.clone(), found.frame.clone())?;
            same(&field("width"), expected.width.to_string(), found.width.to_string())?;
            same(&field("height"), expected.height.to_string(), found.height.to_string())?;
        }
        Ok(())
    }
}

impl Robot {
    /// Compares camera rates, which are measured and never quite equal.
    ///
    /// # Errors
    /// Names the first camera whose rate differs from the recorded one by more than `tolerance` of it.
    pub fn require_rates(&self, live: &Self, tolerance: f64) -> Result<(), ContractError> {
        for (i, (expected, found)) in self.cameras.iter().zip(&live.cameras).enumerate() {
            if (found.rate_hz - expected.rate_hz).abs() > tolerance * expected.rate_hz {
                return Err(ContractError::Mismatch {
                    field: format!("robot.cameras[{i}].rate_hz"),
                    expected: format!("{} within {:.0} %", expected.rate_hz, tolerance * 100.0),
                    found: format!("{:.1}", found.rate_hz),
                    remedy: "set the camera driver to the recorded rate, or use a checkpoint trained at this one",
                });
            }
        }
        Ok(())
    }
}

/// Why a contract could not be read or does not fit.
#[derive(Debug, thiserror::Error)]
pub enum ContractError {
    /// The file could not be read.
    #[error("cannot read the contract {path}: {source}; a checkpoint or dataset directory must hold {FILE_NAME}")]
    Read {
        /// File that was opened.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file could not be written.
    #[error("cannot write the contract {path}: {source}")]
    Write {
        /// File that was opened.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not a contract.
    #[error("{path} is not a contract: {message}")]
    Parse {
        /// File that was read.
        path: PathBuf,
        /// Parser's message with line and column.
        message: String,
    },
    /// Two sides disagree.
    #[error("contract mismatch in {field}: expected {expected}, found {found}; {remedy}")]
    Mismatch {
        /// Field, e.g. `robot.cameras[1].width`.
        field: String,
        /// Value in the contract.
        expected: String,
        /// Value on the other side.
        found: String,
        /// What the user can do.
        remedy: &'static str,
    },
}
