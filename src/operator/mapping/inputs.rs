//! What each kind of input says in its part of a mapping.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Along, Command, Frame, Push, ToolSpeed};

/// Keys of a terminal.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keyboard {
    /// Frame of the motion.
    pub frame: Frame,
    /// Speed at scale 1.
    pub speed: ToolSpeed,
    /// How long a key counts as held after it was last seen (s); terminals repeat keys, but never say that one is up.
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
    /// A pad silent for longer counts as let go (s).
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
    /// A leader silent for longer counts as let go (s).
    pub timeout_s: f64,
    /// Its joints, in the order of this arm's joint1 .. joint7.
    pub joints: Vec<LeaderJoint>,
    /// Its gripper, if it has one.
    #[serde(default)]
    pub gripper: Option<LeaderGripper>,
    /// What happens when it is engaged away from the arm.
    pub engage: Engage,
    /// Largest difference of a joint at which it may be engaged at once (rad).
    pub tolerance_rad: f64,
    /// Speed of each joint at scale 1 (rad/s).
    pub speed_rad_s: f64,
    /// Acceleration of each joint (rad/s^2).
    pub acceleration_rad_s2: f64,
    /// How far behind the leader the arm follows (s).
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
    /// (rad)
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
    /// A hand not seen for longer counts as let go (s).
    pub timeout_s: f64,
    /// Frame its poses must be in; empty takes any.
    pub frame_id: String,
    /// Axes of that frame seen from the base: roll, pitch, yaw (deg).
    pub base_from_input_deg: [f64; 3],
    /// Metres of the tool for a metre of the hand, at scale 1.
    pub translation_gain: f64,
    /// The tool turns with the hand.
    pub rotates: bool,
    /// A hand that moves further between two messages was lost by the tracker (m).
    pub jump_m: f64,
    /// The same for its rotation (rad).
    pub jump_rad: f64,
    /// Speed at scale 1.
    pub speed: ToolSpeed,
    /// How far behind the hand the tool follows (s).
    pub smoothing_s: f64,
    /// Deadman (here the clutch) and buttons.
    pub pad: Pad,
}
