//! Mapping files: what keys, buttons, axes and tracked motion mean. One that cannot work is refused with its line.

mod check;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::control::types::JOINTS;

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
    /// [m/s]
    pub linear_m_s: f64,
    /// [m/s^2]
    pub linear_m_s2: f64,
    /// [rad/s]
    pub angular_rad_s: f64,
    /// [rad/s^2]
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

/// Keys of a terminal.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keyboard {
    /// Frame of the motion.
    pub frame: Frame,
    /// Speed at scale 1.
    pub speed: ToolSpeed,
    /// How long a key counts as held after it was last seen [s]; terminals repeat keys, but never say that one is up.
    pub hold_s: f64,
    /// Keys that move the tool while they are held.
    pub motion: BTreeMap<String, Push>,
    /// Keys that do something once.
    pub commands: BTreeMap<String, Command>,
}

/// A gamepad, joystick or SpaceMouse.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Joy {
    /// Frame of the motion.
    pub frame: Frame,
    /// Speed at scale 1.
    pub speed: ToolSpeed,
    /// Deflection around rest that means nothing.
    pub deadzone: f64,
    /// What each axis drives.
    pub axes: Vec<Axis>,
    /// Deadman and buttons.
    pub pad: Pad,
}

/// An axis that drives the tool.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Axis {
    /// Index in `sensor_msgs/Joy.axes`.
    pub axis: usize,
    /// What it drives.
    pub drives: Along,
    /// Share of the speed at full deflection, with the sign of the direction.
    pub gain: f64,
}

/// Deadman and buttons, from a `sensor_msgs/Joy` topic.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pad {
    /// Topic.
    pub topic: String,
    /// A pad silent for longer counts as let go [s].
    pub timeout_s: f64,
    /// What must be held for the arm to move.
    pub deadman: Deadman,
    /// Axis that gives the gripper's opening.
    #[serde(default)]
    pub gripper: Option<GripperAxis>,
    /// Buttons that do something once.
    #[serde(default)]
    pub buttons: Vec<Button>,
}

/// What must be held.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deadman {
    /// A button, by its index.
    Button(usize),
    /// An axis beyond a value, such as a trigger.
    Axis(AxisHeld),
}

/// An axis that counts as held between two values.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AxisHeld {
    /// Index in `sensor_msgs/Joy.axes`.
    pub index: usize,
    /// Smallest value that is held.
    pub from: f64,
    /// Largest value that is held.
    pub to: f64,
}

/// An axis that gives the gripper's opening.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GripperAxis {
    /// Index in `sensor_msgs/Joy.axes`.
    pub axis: usize,
    /// Value that means closed.
    pub closed: f64,
    /// Value that means open.
    pub open: f64,
}

/// A button that does something once.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Button {
    /// Index in `sensor_msgs/Joy.buttons`.
    pub button: usize,
    /// What it does.
    pub does: Command,
}

/// A leader arm.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leader {
    /// Topic of its `sensor_msgs/JointState`.
    pub topic: String,
    /// A leader silent for longer counts as let go [s].
    pub timeout_s: f64,
    /// Its joints, in the order of this arm's joint1 .. joint7.
    pub joints: Vec<LeaderJoint>,
    /// Its gripper, if it has one.
    #[serde(default)]
    pub gripper: Option<LeaderGripper>,
    /// What happens when it is engaged away from the arm.
    pub engage: Engage,
    /// Largest difference of a joint at which it may be engaged at once [rad].
    pub tolerance_rad: f64,
    /// Speed of each joint at scale 1 [rad/s].
    pub speed_rad_s: f64,
    /// Acceleration of each joint [rad/s^2].
    pub acceleration_rad_s2: f64,
    /// How far behind the leader the arm follows [s].
    pub smoothing_s: f64,
    /// Deadman and buttons.
    pub pad: Pad,
}

/// One joint of a leader arm: ours = sign * theirs + offset.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeaderJoint {
    /// Name in its joint states.
    pub name: String,
    /// 1 or -1.
    pub sign: f64,
    /// [rad]
    pub offset_rad: f64,
}

/// The gripper of a leader arm.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeaderGripper {
    /// Name in its joint states.
    pub name: String,
    /// Position that means closed.
    pub closed: f64,
    /// Position that means open.
    pub open: f64,
}

/// What happens when a leader is engaged away from the arm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Engage {
    /// Nothing moves, and every joint that is too far off is named.
    Refuse,
    /// The arm comes to the leader at the speed of the slowest scale, then follows.
    Ramp,
}

/// A tracked hand.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pose {
    /// Topic of its `geometry_msgs/PoseStamped`.
    pub topic: String,
    /// A hand not seen for longer counts as let go [s].
    pub timeout_s: f64,
    /// Frame its poses must be in; empty takes any.
    pub frame_id: String,
    /// Axes of that frame seen from the base: roll, pitch, yaw [deg].
    pub base_from_input_deg: [f64; 3],
    /// Metres of the tool for a metre of the hand, at scale 1.
    pub translation_gain: f64,
    /// The tool turns with the hand.
    pub rotates: bool,
    /// A hand that moves further between two messages was lost by the tracker [m].
    pub jump_m: f64,
    /// The same for its rotation [rad].
    pub jump_rad: f64,
    /// Speed at scale 1.
    pub speed: ToolSpeed,
    /// How far behind the hand the tool follows [s].
    pub smoothing_s: f64,
    /// Deadman (here the clutch) and buttons.
    pub pad: Pad,
}

/// A direction of the tool, translation or rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Along {
    /// Along x.
    X,
    /// Along y.
    Y,
    /// Along z.
    Z,
    /// About x.
    Rx,
    /// About y.
    Ry,
    /// About z.
    Rz,
}

impl Along {
    /// Place in x, y, z, rx, ry, rz.
    pub fn index(self) -> usize {
        self as usize
    }
}

/// A direction with its sign, written `+x`, `-rz`, …
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Push {
    /// Direction.
    pub along: Along,
    /// Against it.
    pub backwards: bool,
}

impl TryFrom<String> for Push {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || format!("expected + or - and one of x, y, z, rx, ry, rz, such as +x, found {text:?}");
        let (sign, rest) = text.split_at_checked(1).ok_or_else(wrong)?;
        let along = match rest {
            "x" => Along::X,
            "y" => Along::Y,
            "z" => Along::Z,
            "rx" => Along::Rx,
            "ry" => Along::Ry,
            "rz" => Along::Rz,
            _ => return Err(wrong()),
        };
        match sign {
            "+" | "-" => Ok(Self {
                along,
                backwards: sign == "-",
            }),
            _ => Err(wrong()),
        }
    }
}

/// What a key or button does once.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Next larger scale.
    Faster,
    /// Next smaller scale.
    Slower,
    /// Open if closed, close if open; only while the deadman is held.
    ToggleGripper,
    /// Open; only while the deadman is held.
    OpenGripper,
    /// Close; only while the deadman is held.
    CloseGripper,
    /// Brake and hold, a named move too.
    LetGo,
    /// Give the lease back.
    HandBack,
    /// Give the lease back and activate the policy.
    ResumePolicy,
    /// The arm node's latched stop.
    Stop,
    /// Release a latched stop or fault.
    ResetFault,
    /// Arm.
    Arm,
    /// A named move of the arm node.
    MoveTo(String),
    /// A `std_srvs/Trigger` service by its name, e.g. `record_node/start`.
    Call(String),
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
        let text = std::fs::read_to_string(path).map_err(|source| MappingError::Read {
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
