//! Mapping files: the meaning of keys, buttons, axes and tracked motion. One that cannot work is refused with its line.

mod check;
mod command;
mod inputs;

use std::path::{Path, PathBuf};

use serde::Deserialize;

pub use command::{Command, SignedAxis, ToolAxis, UnknownAxis};
pub use inputs::{
    Axis, AxisHeld, Button, Deadman, Engage, GripperAxis, Joy, Keyboard, Leader, LeaderGripper, LeaderJoint, Pad, Pose,
};

use crate::files;
use crate::files::yaml::InvalidValue;
use crate::types::JOINTS;

/// Mapping; see `config/teleop/*.yaml` for the meaning of each value.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// Input device and its meaning.
    pub input: Input,
    /// Speed scales.
    pub scale: Scale,
    /// Speed of named moves, a fraction of the arm's velocity limits.
    pub move_speed: f64,
    /// Gripper opening at the first engagement, if the gripper has not been commanded yet.
    pub gripper_start: f64,
}

/// Input device.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Input {
    /// Keys of the terminal the node runs in.
    Keyboard(Keyboard),
    /// Gamepad, joystick or SpaceMouse.
    Joy(Joy),
    /// Leader arm.
    Leader(Leader),
    /// Tracked hand.
    Pose(Pose),
}

/// Speed scales that the operator steps through.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scale {
    /// Scales as fractions of full speed, in ascending order.
    pub steps: Vec<f64>,
    /// Scale at the start; one of `steps`.
    pub start: f64,
}

/// Speed of the tool at scale 1.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolSpeed {
    /// Linear speed (m/s).
    pub linear_m_s: f64,
    /// Linear acceleration (m/s^2).
    pub linear_m_s2: f64,
    /// Angular speed (rad/s).
    pub angular_rad_s: f64,
    /// Angular acceleration (rad/s^2).
    pub angular_rad_s2: f64,
}

/// Frame of a velocity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VelocityFrame {
    /// Axes of the arm's base.
    Base,
    /// Axes of the tool.
    Tool,
}

/// Error of loading a mapping.
#[derive(Debug, thiserror::Error)]
pub enum MappingError {
    /// The file could not be read.
    #[error("cannot read the mapping {path}: {source}; give the path of a file like config/teleop/keyboard.yaml")]
    Read {
        /// File that was opened.
        path: PathBuf,
        /// Error of the operating system.
        source: std::io::Error,
    },
    /// The text is not a mapping.
    #[error("mapping {path}: {message}")]
    Parse {
        /// File.
        path: PathBuf,
        /// Parser's message, with line and column.
        message: String,
    },
    /// A value cannot work.
    #[error("mapping {path}, line {line}: {value}")]
    Impossible {
        /// File.
        path: PathBuf,
        /// Line of the field, from 1.
        line: usize,
        /// Field and value.
        value: InvalidValue,
    },
}

impl Mapping {
    /// Reads and checks a mapping file.
    ///
    /// # Errors
    /// When the file cannot be read, is not a mapping, or holds a value that cannot work.
    pub fn load(path: &Path) -> Result<Self, MappingError> {
        let text = files::read_description(path, files::CONFIGURATION).map_err(|source| MappingError::Read {
            path: path.to_path_buf(),
            source,
        })?;
        Self::parse(&text, path)
    }

    /// Parses and checks a mapping; `path` is named in errors.
    ///
    /// # Errors
    /// When the text is not a mapping, or holds a value that cannot work.
    pub fn parse(text: &str, path: &Path) -> Result<Self, MappingError> {
        let mapping: Self = serde_saphyr::from_str(text).map_err(|error| MappingError::Parse {
            path: path.to_path_buf(),
            message: error.to_string(),
        })?;
        check::check(&mapping).map_err(|value| MappingError::Impossible {
            path: path.to_path_buf(),
            line: value.line_in(text),
            value,
        })?;
        Ok(mapping)
    }

    /// Returns deadman and buttons, if they come from a joystick topic.
    pub fn pad(&self) -> Option<&Pad> {
        match &self.input {
            Input::Keyboard(_) => None,
            Input::Joy(joy) => Some(&joy.pad),
            Input::Leader(leader) => Some(&leader.pad),
            Input::Pose(pose) => Some(&pose.pad),
        }
    }

    /// Returns all commands of keys and buttons.
    pub fn commands(&self) -> Vec<&Command> {
        match &self.input {
            Input::Keyboard(keyboard) => keyboard.commands.values().collect(),
            _ => self
                .pad()
                .into_iter()
                .flat_map(|pad| pad.buttons.iter().map(|b| &b.does))
                .collect(),
        }
    }
}

impl Input {
    /// Returns the speed of the tool at scale 1; `None` for a leader, which moves joints.
    pub fn tool_speed(&self) -> Option<ToolSpeed> {
        match self {
            Self::Keyboard(keyboard) => Some(keyboard.speed),
            Self::Joy(joy) => Some(joy.speed),
            Self::Pose(pose) => Some(pose.speed),
            Self::Leader(_) => None,
        }
    }

    /// Returns the frame of velocities.
    pub fn frame(&self) -> VelocityFrame {
        match self {
            Self::Keyboard(keyboard) => keyboard.frame,
            Self::Joy(joy) => joy.frame,
            Self::Leader(_) | Self::Pose(_) => VelocityFrame::Base,
        }
    }
}

/// Number of joints that a leader must name.
pub(super) const LEADER_JOINTS: usize = JOINTS;

#[cfg(test)]
pub(crate) mod tests;
