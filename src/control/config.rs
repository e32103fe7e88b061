//! Parameters of one arm, read from YAML; a file that cannot work is refused with the line it stands on.

pub(crate) mod validate;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use nalgebra::{Point3, Vector3};
use serde::{Deserialize, Serialize};

use super::types::{JOINTS, Joints};
use crate::files;

/// Everything the control side must know about an arm; see `config/rm75.yaml` for the meaning of each value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArmConfig {
    /// Arm model, compared with the contract.
    pub arm: String,
    /// Frame end-effector actions are expressed in.
    pub base_frame: String,
    /// Frame at the tool centre point.
    pub tool_frame: String,
    /// Commands are computed and shown, not sent.
    pub dry_run: bool,
    /// Commands a second (Hz).
    pub command_rate_hz: f64,
    /// How the driver is spoken to.
    pub driver: DriverConfig,
    /// Limits of the joints and of the tool's speed.
    pub limits: Limits,
    /// What is mounted on the flange.
    pub tool: Tool,
    /// Where the tool and the links may be.
    pub workspace: Workspace,
    /// When to slow down near singular configurations.
    pub singularity: Singularity,
    /// Ages after which something counts as lost (s).
    pub timeouts: Timeouts,
    /// How far the measured arm may be from the commanded one.
    pub tracking: Tracking,
    /// Seams between chunks.
    pub executor: ExecutorConfig,
    /// Gripper commands.
    pub gripper: GripperConfig,
    /// Configurations that can be moved to by name (deg).
    pub named_deg: BTreeMap<String, [f64; JOINTS]>,
}

/// How the driver is spoken to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DriverConfig {
    /// Driver generation, or `auto`.
    pub api: ApiChoice,
    /// Joint or Cartesian pass-through.
    pub command: CommandMode,
    /// High follow when true.
    pub follow: bool,
    /// Name of the node that drives the arm, without its namespace; empty takes any.
    #[serde(default)]
    pub node: String,
}

/// Which driver generation to expect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApiChoice {
    /// Found from the graph.
    Auto,
    /// Drivers up to 1.2.
    V1,
    /// Drivers from 1.3.
    V2,
}

/// What is passed through to the controller.
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
    /// Lower end of each joint (rad).
    pub lower_rad: [f64; JOINTS],
    /// Upper end of each joint (rad).
    pub upper_rad: [f64; JOINTS],
    /// Distance kept from both ends (rad).
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

/// What is mounted on the flange.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    /// Tool centre point seen from the flange (m).
    pub offset_m: [f64; 3],
    /// Further points of the tool that must stay above the table, seen from the flange (m).
    pub points_m: Vec<[f64; 3]>,
}

impl Tool {
    /// Tool centre point seen from the flange (m).
    pub fn offset(&self) -> Vector3<f64> {
        Vector3::from(self.offset_m)
    }

    /// Further points of the tool, seen from the flange (m).
    pub fn points(&self) -> Vec<Point3<f64>> {
        self.points_m.iter().map(|p| Point3::from(*p)).collect()
    }
}

/// Where the tool and the links may be, in the base frame.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workspace {
    /// Corner of the tool centre point's box with the smallest coordinates (m).
    pub tool_min_m: [f64; 3],
    /// Corner with the largest coordinates (m).
    pub tool_max_m: [f64; 3],
    /// Waypoints outside by less are moved inside, further out the chunk is refused (m).
    pub tolerance_m: f64,
    /// Height of the table (m).
    pub table_height_m: f64,
    /// Height the points of the tool keep above the table (m).
    pub tool_clearance_m: f64,
    /// Height elbow, wrist and flange keep above the table (m).
    pub link_clearance_m: f64,
}

/// When to slow down near singular configurations: condition numbers of the Jacobian in metres and radians.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Singularity {
    /// Velocity limits start to shrink here.
    pub slow: f64,
    /// Motion that leads further in ends here.
    pub halt: f64,
}

/// Ages after which something counts as lost (s).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timeouts {
    /// Heartbeat of the lease holder.
    pub heartbeat_s: f64,
    /// Joint state from the driver.
    pub state_s: f64,
    /// Silence after which a lease ends.
    pub lease_s: f64,
    /// Observation of a chunk that is to start.
    pub observation_s: f64,
    /// Observation of a chunk that is being followed.
    pub plan_s: f64,
    /// Bit-identical joint values while motion is commanded.
    pub frozen_s: f64,
}

/// How far the measured arm may be from the commanded one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tracking {
    /// Further apart than this: brake and fault (rad).
    pub error_rad: f64,
    /// Further apart than this nothing starts from rest (rad).
    pub start_rad: f64,
}

/// Seams between chunks.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExecutorConfig {
    /// Length of a seam (s).
    pub blend_s: f64,
    /// Longest a seam is stretched to (s).
    pub blend_max_s: f64,
}

/// Gripper commands.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GripperConfig {
    /// Smallest change that is sent, as a fraction of the range.
    pub hysteresis: f64,
    /// Most commands a second (Hz).
    pub rate_hz: f64,
}

/// Why an arm's parameters were refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("cannot read the arm parameters {path}: {source}; give the path of a file like config/rm75.yaml")]
    Read {
        /// File that was opened.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The text is not the parameters of an arm.
    #[error("arm parameters: {message}")]
    Parse {
        /// Parser's message, with line and column.
        message: String,
    },
    /// A value cannot work.
    #[error("arm parameters, line {line}: {field}: expected {expected}, found {found}")]
    Impossible {
        /// Line the field stands on, from 1.
        line: usize,
        /// Field, e.g. `limits.margin_rad`.
        field: String,
        /// What would work.
        expected: String,
        /// What stands there.
        found: String,
    },
}

/// The parameters that come with the package.
const SHIPPED: &str = include_str!("../../config/rm75.yaml");

impl ArmConfig {
    /// The parameters that come with the package.
    ///
    /// # Errors
    /// None, as its test shows.
    pub fn shipped() -> Result<Self, ConfigError> {
        Self::parse(SHIPPED)
    }

    /// Reads and checks a parameter file.
    ///
    /// # Errors
    /// When the file cannot be read, is not the parameters of an arm, or holds a value that cannot work.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = files::read_description(path, files::CONFIGURATION).map_err(|source| ConfigError::Read {
            path: path.to_path_buf(),
            source,
        })?;
        Self::parse(&text)
    }

    /// Reads and checks parameters.
    ///
    /// # Errors
    /// When the text is not the parameters of an arm, or holds a value that cannot work.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let config: Self = serde_saphyr::from_str(text).map_err(|e| ConfigError::Parse { message: e.to_string() })?;
        config.check().map_err(|fault| fault.at(text))?;
        Ok(config)
    }

    /// Time from one command to the next (s).
    pub fn period(&self) -> f64 {
        self.command_rate_hz.recip()
    }

    /// A configuration by name (rad).
    pub fn named(&self, name: &str) -> Option<Joints> {
        self.named_deg
            .get(name)
            .map(|deg| Joints::from(*deg).map(f64::to_radians))
    }
}
