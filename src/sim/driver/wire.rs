//! Messages to and from Realman's driver, with the rounding of the controller's protocol.

use nalgebra::{Quaternion, Translation3, UnitQuaternion};

use crate::control::types::{JOINTS, Joints, Pose};

/// Joint positions travel in thousandths of a degree.
const JOINT_UNIT_DEG: f64 = 1e-3;
/// Positions travel in micrometres.
const LENGTH_UNIT: f64 = 1e-6;
/// Euler angles travel in milliradians.
const EULER_UNIT: f64 = 1e-3;

/// `rm_driver/movej_canfd_cmd`.
#[derive(Debug, Clone, PartialEq)]
pub struct JointFrame {
    /// Positions (rad); the driver reads the first six unchecked, the seventh when `dof` is 7.
    pub joint: Vec<f32>,
    /// High follow.
    pub follow: bool,
    /// Joints in use.
    pub dof: u8,
}

/// `rm_driver/movep_canfd_cmd`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PoseFrame {
    /// Position of the current tool in the current work frame (m).
    pub position: [f64; 3],
    /// Quaternion x, y, z, w; the driver does not normalise it.
    pub orientation: [f64; 4],
    /// High follow.
    pub follow: bool,
}

/// `rm_driver/movej_cmd`.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedMove {
    /// Positions (rad).
    pub joint: Vec<f32>,
    /// 1 to 100 percent.
    pub speed: u8,
    /// The driver's motion callbacks wait for the arrival.
    pub block: bool,
    /// Joints in use.
    pub dof: u8,
}

/// Commands for the driver's motion callbacks, in the order of arrival.
#[derive(Debug, Clone, PartialEq)]
pub enum Motion {
    /// Joint pass-through.
    Joints(JointFrame),
    /// Cartesian pass-through.
    Pose(PoseFrame),
    /// Planned joint move.
    Planned(PlannedMove),
}

/// `rm_driver/set_gripper_position_cmd`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grip {
    /// 1 closed to 1000 open.
    pub position: u16,
    /// Wait for the arrival.
    pub block: bool,
    /// Waiting time (s).
    pub timeout: u16,
}

/// Values that the driver publishes every cycle.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct State {
    /// Joint positions (rad).
    pub joints: Joints,
    /// The current tool in the work frame (m).
    pub pose: Pose,
    /// Error of the controller, 0 for none.
    pub error: u16,
}

/// A `Bool` on one of the driver's result topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// `movej_result`
    Planned(bool),
    /// `move_stop_result`
    Stop(bool),
    /// `set_gripper_position_result`
    Grip(bool),
}

/// A whole number of units as the driver's C code makes it: truncated, and the lowest number of all for what does not
/// fit, NaN included.
fn truncated(value: f64, unit: f64) -> f64 {
    let count = value / unit;
    let fits = count > f64::from(i32::MIN) && count < f64::from(i32::MAX) + 1.0;
    unit * if fits { count.trunc() } else { f64::from(i32::MIN) }
}

/// A joint position (rad) as the controller receives it.
pub fn received_joint(position: f32) -> f64 {
    truncated(f64::from(position).to_degrees(), JOINT_UNIT_DEG).to_radians()
}

/// Joint positions (rad) as the controller reports them.
pub fn reported_joints(joints: &Joints) -> Joints {
    joints.map(|q| ((q.to_degrees() / JOINT_UNIT_DEG).round() * JOINT_UNIT_DEG).to_radians())
}

/// A pose as the controller reports it.
pub fn reported_pose(pose: &Pose) -> Pose {
    let position = pose.translation.vector.map(|v| (v / LENGTH_UNIT).round() * LENGTH_UNIT);
    Pose::from_parts(Translation3::from(position), pose.rotation)
}

/// A Cartesian frame as the controller receives it: quaternion to Euler angles without normalising, then rounded.
pub fn received_pose(frame: &PoseFrame) -> Pose {
    let position = frame.position.map(|v| truncated(v, LENGTH_UNIT));
    let [x, y, z, w] = frame.orientation;
    let roll = (2.0 * (w * x + y * z)).atan2(1.0 - 2.0 * (x * x + y * y));
    let pitch = (2.0 * (w * y - z * x)).clamp(-1.0, 1.0).asin();
    let yaw = (2.0 * (w * z + x * y)).atan2(1.0 - 2.0 * (y * y + z * z));
    let [roll, pitch, yaw] = [roll, pitch, yaw].map(|angle| truncated(angle, EULER_UNIT));
    Pose::from_parts(
        Translation3::from(position),
        UnitQuaternion::from_euler_angles(roll, pitch, yaw),
    )
}

/// A rotation as a quaternion message holds it: x, y, z, w.
pub fn xyzw(rotation: &UnitQuaternion<f64>) -> [f64; 4] {
    let Quaternion { coords } = *rotation.quaternion();
    coords.into()
}

/// Joint positions (rad) as the driver reads them from a message: what is not there is whatever lay in memory, which
/// `undefined` makes up.
pub fn read_joints(joint: &[f32], dof: u8, mut undefined: impl FnMut() -> f32) -> Joints {
    let read = (0..JOINTS).map(|i| match joint.get(i) {
        Some(position) if i < 6 || dof == 7 => *position,
        _ => undefined(),
    });
    Joints::from_iterator(read.map(received_joint))
}
