//! Parameters of one arm, read from YAML; an invalid value is refused with its line.

pub(crate) mod validate;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use nalgebra::{Point3, Vector3};
use serde::{Deserialize, Serialize};

use super::kinematics::ArmModel;
use crate::files;
use crate::files::yaml::InvalidValue;
use crate::types::{JOINTS, Joints};

/// Parameters of an arm and its controller; see `config/robots/rm75.yaml` for the meaning of each value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArmConfig {
    /// Arm model.
    pub arm: ArmModel,
    /// Frame end-effector actions are expressed in.
    pub base_frame: String,
    /// Frame at the tool centre point.
    pub tool_frame: String,
    /// Whether commands are computed and published for display but not sent to the driver.
    pub dry_run: bool,
    /// Command rate (Hz).
    pub command_rate_hz: f64,
    /// Interface to the driver.
    pub driver: DriverConfig,
    /// Limits of the joints and of the tool's speed.
    pub limits: Limits,
    /// Tool mounted on the flange.
    pub tool: Tool,
    /// Permitted space of the tool and the links.
    pub workspace: Workspace,
    /// Slow-down near singular configurations.
    pub singularity: Singularity,
    /// Ages after which an input counts as lost (s).
    pub timeouts: Timeouts,
    /// Limits of the distance between measured and commanded joints.
    pub tracking: Tracking,
    /// Blending between chunks.
    pub executor: ExecutorConfig,
    /// Gripper commands.
    pub gripper: GripperConfig,
    /// Named joint configurations to move to (deg).
    pub named_deg: BTreeMap<String, [f64; JOINTS]>,
}

/// Interface to the driver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DriverConfig {
    /// Driver generation, or `auto`.
    pub api: ApiChoice,
    /// Joint or Cartesian pass-through.
    pub command: CommandMode,
    /// Whether to use the driver's high-follow mode.
    pub follow: bool,
    /// Name of the driver's node without its namespace; empty accepts any.
    #[serde(default)]
    pub node: String,
}

/// Expected driver generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApiChoice {
    /// Detected from the ROS graph.
    Auto,
    /// Drivers up to 1.2.
    V1,
    /// Drivers from 1.3.
    V2,
}

/// Quantity that is passed through to the controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandMode {
    /// Joint positions.
    Joint,
    /// Tool poses; the controller solves the inverse kinematics.
    Cartesian,
}

/// Limits of the joints and of the tool's speed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Lower limit of each joint (rad).
    pub lower_rad: [f64; JOINTS],
    /// Upper limit of each joint (rad).
    pub upper_rad: [f64; JOINTS],
    /// Distance kept from both limits (rad).
    pub margin_rad: f64,
    /// Largest speed of each joint (rad/s).
    pub velocity_rad_s: [f64; JOINTS],
    /// Largest acceleration of each joint (rad/s^2).
    pub acceleration_rad_s2: [f64; JOINTS],
    /// Largest change of a joint in one command (rad).
    pub step_rad: f64,
    /// Largest speed of the tool centre point (m/s).
    pub tool_speed_m_s: f64,
}

impl Limits {
    /// Lowest joint values that may be commanded (rad).
    pub fn lowest(&self) -> Joints {
        Joints::from(self.lower_rad).add_scalar(self.margin_rad)
    }

    /// Highest joint values that may be commanded (rad).
    pub fn highest(&self) -> Joints {
        Joints::from(self.upper_rad).add_scalar(-self.margin_rad)
    }

    /// Largest joint speeds (rad/s).
    pub fn velocity(&self) -> Joints {
        Joints::from(self.velocity_rad_s)
    }

    /// Largest joint accelerations (rad/s^2).
    pub fn acceleration(&self) -> Joints {
        Joints::from(self.acceleration_rad_s2)
    }
}

/// Tool mounted on the flange.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    /// Tool centre point in the flange frame (m).
    pub offset_m: [f64; 3],
    /// Further points of the tool that must stay above the table, in the flange frame (m).
    pub points_m: Vec<[f64; 3]>,
}

impl Tool {
    /// Tool centre point in the flange frame (m).
    pub fn offset(&self) -> Vector3<f64> {
        Vector3::from(self.offset_m)
    }

    /// Further points of the tool, in the flange frame (m).
    pub fn points(&self) -> Vec<Point3<f64>> {
        self.points_m.iter().map(|p| Point3::from(*p)).collect()
    }
}

/// Permitted space of the tool and the links, in the base frame.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workspace {
    /// Corner of the tool centre point's box with the smallest coordinates (m).
    pub tool_min_m: [f64; 3],
    /// Corner with the largest coordinates (m).
    pub tool_max_m: [f64; 3],
    /// Largest distance (m) at which a waypoint outside is moved inside; beyond it the chunk is refused.
    pub tolerance_m: f64,
    /// Height of the table (m).
    pub table_height_m: f64,
    /// Minimum height of the tool's points above the table (m).
    pub tool_clearance_m: f64,
    /// Minimum height of elbow, wrist and flange above the table (m).
    pub link_clearance_m: f64,
}

/// Slow-down near singular configurations, by the condition number of the Jacobian in metres and radians.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Singularity {
    /// Condition number above which velocity limits shrink.
    pub slow: f64,
    /// Condition number at which motion further into the singularity stops.
    pub halt: f64,
}

/// Ages after which an input counts as lost (s).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timeouts {
    /// Heartbeat of the lease holder.
    pub heartbeat_s: f64,
    /// Joint state from the driver.
    pub state_s: f64,
    /// Time without a heartbeat after which a lease ends.
    pub lease_s: f64,
    /// Observation of a chunk that is to start.
    pub observation_s: f64,
    /// Observation of a chunk that is being followed.
    pub plan_s: f64,
    /// Bit-identical joint values while motion is commanded.
    pub frozen_s: f64,
}

/// Limits of the distance between measured and commanded joints.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tracking {
    /// Distance beyond which the arm brakes and latches a fault (rad).
    pub error_rad: f64,
    /// Distance beyond which no motion starts from rest (rad).
    pub start_rad: f64,
}

/// Blending between chunks.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExecutorConfig {
    /// Shortest blend (s).
    pub blend_s: f64,
    /// Longest blend (s).
    pub blend_max_s: f64,
}

/// Gripper commands.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GripperConfig {
    /// Smallest change of the opening that is sent, as a fraction of the range.
    pub hysteresis: f64,
    /// Highest command rate (Hz).
    pub rate_hz: f64,
}

/// Errors of an arm's parameters.
#[derive(Debug, thiserror::Error)]
pub enum ArmConfigError {
    /// The file could not be read.
    #[error("cannot read the arm parameters {path}: {source}; give the path of a file like config/robots/rm75.yaml")]
    Read {
        /// File that was opened.
        path: PathBuf,
        /// Error of the operating system.
        source: std::io::Error,
    },
    /// The text is not the parameters of an arm.
    #[error("arm parameters: {message}")]
    Parse {
        /// Parser's message, with line and column.
        message: String,
    },
    /// A value is invalid.
    #[error("arm parameters, line {line}: {value}")]
    Impossible {
        /// Line of the field, from 1.
        line: usize,
        /// Field and value.
        value: InvalidValue,
    },
}

/// Parameters that come with the package.
const SHIPPED: &str = include_str!("../../../config/robots/rm75.yaml");

impl ArmConfig {
    /// Parameters that come with the package.
    ///
    /// # Errors
    /// Never for the parameters as shipped; a test loads them.
    pub fn shipped() -> Result<Self, ArmConfigError> {
        Self::parse(SHIPPED)
    }

    /// Reads and checks a parameter file.
    ///
    /// # Errors
    /// When the file cannot be read, does not hold the parameters of an arm, or holds an invalid value.
    pub fn load(path: &Path) -> Result<Self, ArmConfigError> {
        let text = files::read_description(path, files::CONFIGURATION).map_err(|source| ArmConfigError::Read {
            path: path.to_path_buf(),
            source,
        })?;
        Self::parse(&text)
    }

    /// Reads and checks parameters.
    ///
    /// # Errors
    /// When the text does not hold the parameters of an arm, or holds an invalid value.
    pub fn parse(text: &str) -> Result<Self, ArmConfigError> {
        let config: Self =
            serde_saphyr::from_str(text).map_err(|e| ArmConfigError::Parse { message: e.to_string() })?;
        config.check().map_err(|value| ArmConfigError::Impossible {
            line: value.line_in(text),
            value,
        })?;
        Ok(config)
    }

    /// Period of the commands (s).
    pub fn period(&self) -> f64 {
        self.command_rate_hz.recip()
    }

    /// Joint positions of a named configuration (rad); `None` if there is no such name.
    pub fn named(&self, name: &str) -> Option<Joints> {
        self.named_deg
            .get(name)
            .map(|deg| Joints::from(*deg).map(f64::to_radians))
    }
}
