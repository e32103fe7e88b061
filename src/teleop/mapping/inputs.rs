//! Sections of a mapping for the kinds of input.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Command, SignedAxis, ToolAxis, ToolSpeed, VelocityFrame};

/// Keys of a terminal.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keyboard {
    /// Frame of the motion.
    pub frame: VelocityFrame,
    /// Speed at scale 1.
    pub speed: ToolSpeed,
    /// Time for which a key counts as held after it was last received (s); terminals repeat keys, but do not report
    /// releases.
    pub hold_s: f64,
    /// Keys that move the tool while they are held.
    pub motion: BTreeMap<String, SignedAxis>,
    /// Keys with a command.
    pub commands: BTreeMap<String, Command>,
}

/// Gamepad, joystick or SpaceMouse.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Joy {
    /// Frame of the motion.
    pub frame: VelocityFrame,
    /// Speed at scale 1.
    pub speed: ToolSpeed,
    /// Deflection around rest that is ignored.
    pub deadzone: f64,
    /// Axes that drive the tool.
    pub axes: Vec<Axis>,
    /// Deadman and buttons.
    pub pad: Pad,
}

/// Axis that drives the tool.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Axis {
    /// Index in `sensor_msgs/Joy.axes`.
    pub axis: usize,
    /// Direction that it drives.
    pub drives: ToolAxis,
    /// Fraction of the speed at full deflection, with the sign of the direction.
    pub gain: f64,
}

/// Deadman and buttons, from a `sensor_msgs/Joy` topic.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pad {
    /// Name of the topic.
    pub topic: String,
    /// Time without messages after which the pad counts as released (s).
    pub timeout_s: f64,
    /// Control that must be held for the arm to move.
    pub deadman: Deadman,
    /// Axis that gives the gripper's opening.
    #[serde(default)]
    pub gripper: Option<GripperAxis>,
    /// Buttons with a command.
    #[serde(default)]
    pub buttons: Vec<Button>,
}

/// Control that must be held.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deadman {
    /// Button, by its index.
    Button(usize),
    /// Axis beyond a value, such as a trigger.
    Axis(AxisHeld),
}

/// Axis that counts as held between two values.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AxisHeld {
    /// Index in `sensor_msgs/Joy.axes`.
    pub index: usize,
    /// Smallest value that counts as held.
    pub from: f64,
    /// Largest value that counts as held.
    pub to: f64,
}

/// Axis that gives the gripper's opening.
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

/// Button with a command.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Button {
    /// Index in `sensor_msgs/Joy.buttons`.
    pub button: usize,
    /// Command of the button.
    pub does: Command,
}

/// Leader arm.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leader {
    /// Topic of its `sensor_msgs/JointState`.
    pub topic: String,
    /// Time without messages after which the leader counts as released (s).
    pub timeout_s: f64,
    /// Joints of the leader, in the order of this arm's joint1 to joint7.
    pub joints: Vec<LeaderJoint>,
    /// Gripper of the leader, if it has one.
    #[serde(default)]
    pub gripper: Option<LeaderGripper>,
    /// Behaviour if it is engaged while it is away from the arm.
    pub engage: Engage,
    /// Maximum difference of a joint at which it can be engaged directly (rad).
    pub tolerance_rad: f64,
    /// Speed of each joint at scale 1 (rad/s).
    pub speed_rad_s: f64,
    /// Acceleration of each joint (rad/s^2).
    pub acceleration_rad_s2: f64,
    /// Time constant with which the arm follows the leader (s).
    pub smoothing_s: f64,
    /// Deadman and buttons.
    pub pad: Pad,
}

/// Joint of a leader arm: position of this arm = `sign` * position of the leader + `offset_rad`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeaderJoint {
    /// Name in the leader's joint states.
    pub name: String,
    /// Direction: 1 or -1.
    pub sign: f64,
    /// Offset (rad).
    pub offset_rad: f64,
}

/// Gripper of a leader arm.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeaderGripper {
    /// Name in the leader's joint states.
    pub name: String,
    /// Position that means closed.
    pub closed: f64,
    /// Position that means open.
    pub open: f64,
}

/// Behaviour if a leader is engaged while it is away from the arm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Engage {
    /// Does not move, and names every joint that is too far off.
    Refuse,
    /// Moves the arm to the leader at the speed of the slowest scale, then follows.
    Ramp,
}

/// Tracked hand.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pose {
    /// Topic of its `geometry_msgs/PoseStamped`.
    pub topic: String,
    /// Time without poses after which the hand counts as released (s).
    pub timeout_s: f64,
    /// Frame that its poses must have; empty accepts any.
    pub frame_id: String,
    /// Orientation of that frame's axes in the base frame: roll, pitch, yaw (deg).
    pub base_from_input_deg: [f64; 3],
    /// Ratio of the tool's translation to the hand's, at scale 1.
    pub translation_gain: f64,
    /// Whether the tool turns with the hand.
    pub rotates: bool,
    /// Translation between two messages beyond which the tracker has lost the hand (m).
    pub jump_m: f64,
    /// Rotation between two messages beyond which the tracker has lost the hand (rad).
    pub jump_rad: f64,
    /// Speed at scale 1.
    pub speed: ToolSpeed,
    /// Time constant with which the tool follows the hand (s).
    pub smoothing_s: f64,
    /// Deadman (here the clutch) and buttons.
    pub pad: Pad,
}
