//! Mapping files: what keys, buttons, axes and tracked motion mean. One that cannot work is refused with its line.

mod check;
mod command;
mod inputs;

use std::path::{Path, PathBuf};

use serde::Deserialize;

pub use command::{Along, Command, Push};
pub use inputs::{
    Axis, AxisHeld, Button, Deadman, Engage, GripperAxis, Joy, Keyboard, Leader, LeaderGripper, LeaderJoint, Pad, Pose,
};

use crate::control::types::JOINTS;
use crate::files;

/// A mapping; see `config/teleop/*.yaml` for the meaning of each value.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// The input and what it means.
    pub input: Input,
    /// Speed scales.
    pub scale: Scale,
    /// Speed of named moves, a fraction of the arm's velocity limits.
    pub move_speed: f64,
    /// Gripper opening the first engagement starts with when nobody has commanded the gripper yet.
    pub gripper_start: f64,
}

/// The input.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Input {
    /// Keys of the terminal the node runs in.
    Keyboard(Keyboard),
    /// A gamepad, joystick or SpaceMouse.
    Joy(Joy),
    /// A leader arm.
    Leader(Leader),
    /// A tracked hand.
    Pose(Pose),
}

/// Shares of full speed a person steps through.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scale {
    /// Shares, slowest first.
    pub steps: Vec<f64>,
    /// Share at the start; one of `steps`.
    pub start: f64,
}

/// Speed of the tool at scale 1.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolSpeed {
    /// (m/s)
    pub linear_m_s: f64,
    /// (m/s^2)
    pub linear_m_s2: f64,
    /// (rad/s)
    pub angular_rad_s: f64,
    /// (rad/s^2)
    pub angular_rad_s2: f64,
}

/// Frame a velocity is meant in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Frame {
    /// Axes of the arm's base.
    Base,
    /// Axes of the tool.
    Tool,
}

/// Why a mapping was refused.
#[derive(Debug, thiserror::Error)]
pub enum MappingError {
    /// The file could not be read.
    #[error("cannot read the mapping {path}: {source}; give the path of a file like config/teleop/keyboard.yaml")]
    Read {
        /// File that was opened.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The text is no mapping.
    #[error("mapping {path}: {message}")]
    Parse {
        /// File.
        path: PathBuf,
        /// Parser's message, with line and column.
        message: String,
    },
    /// A value cannot work.
    #[error("mapping {path}, line {line}: {field}: expected {expected}, found {found}")]
    Impossible {
        /// File.
        path: PathBuf,
        /// Line the field stands on, from 1.
        line: usize,
        /// Field, e.g. `input.keyboard.hold_s`.
        field: String,
        /// What would work.
        expected: String,
        /// What stands there.
        found: String,
    },
}

impl Mapping {
    /// Reads and checks a mapping file.
    ///
    /// # Errors
    /// When the file cannot be read, is no mapping, or holds a value that cannot work.
    pub fn load(path: &Path) -> Result<Self, MappingError> {
        let text = files::read_description(path, files::CONFIGURATION).map_err(|source| MappingError::Read {
            path: path.to_path_buf(),
            source,
        })?;
        Self::parse(&text, path)
    }

    /// Reads and checks a mapping; `path` is named in errors.
    ///
    /// # Errors
    /// When the text is no mapping, or holds a value that cannot work.
    pub fn parse(text: &str, path: &Path) -> Result<Self, MappingError> {
        let mapping: Self = serde_saphyr::from_str(text).map_err(|error| MappingError::Parse {
            path: path.to_path_buf(),
            message: error.to_string(),
        })?;
        check::check(&mapping).map_err(|fault| fault.at(text, path))?;
        Ok(mapping)
    }

    /// Deadman and buttons, where they come from a joystick topic.
    pub fn pad(&self) -> Option<&Pad> {
        match &self.input {
            Input::Keyboard(_) => None,
            Input::Joy(joy) => Some(&joy.pad),
            Input::Leader(leader) => Some(&leader.pad),
            Input::Pose(pose) => Some(&pose.pad),
        }
    }

    /// Everything keys and buttons do.
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
    /// Speed of the tool at scale 1; a leader drives joints.
    pub fn tool_speed(&self) -> Option<ToolSpeed> {
        match self {
            Self::Keyboard(keyboard) => Some(keyboard.speed),
            Self::Joy(joy) => Some(joy.speed),
            Self::Pose(pose) => Some(pose.speed),
            Self::Leader(_) => None,
        }
    }

    /// Frame a velocity is meant in.
    pub fn frame(&self) -> Frame {
        match self {
            Self::Keyboard(keyboard) => keyboard.frame,
            Self::Joy(joy) => joy.frame,
            Self::Leader(_) | Self::Pose(_) => Frame::Base,
        }
    }
}

/// Joints a leader must name.
pub(super) const LEADER_JOINTS: usize = JOINTS;

#[cfg(test)]
#[path = "mapping/tests.rs"]
pub(crate) mod tests;
