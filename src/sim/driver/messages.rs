//! Messages to and from Realman's driver, with the rounding of the controller's protocol.

use nalgebra::{Quaternion, Translation3, UnitQuaternion};

use crate::types::{JOINTS, Joints, Pose};

/// Resolution of transmitted joint positions (degrees).
const JOINT_UNIT_DEG: f64 = 1e-3;
/// Resolution of transmitted positions (m).
const LENGTH_UNIT: f64 = 1e-6;
/// Resolution of transmitted Euler angles (rad).
const EULER_UNIT: f64 = 1e-3;

/// Message of `rm_driver/movej_canfd_cmd`.
#[derive(Debug, Clone, PartialEq)]
pub struct JointFrame {
    /// Positions (rad); the driver reads the first six without bounds checks, and the seventh when `dof` is 7.
    pub joint: Vec<f32>,
    /// Whether to use high follow.
    pub follow: bool,
    /// Number of joints.
    pub dof: u8,
}

/// Message of `rm_driver/movep_canfd_cmd`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PoseFrame {
    /// Position of the current tool in the current work frame (m).
    pub position: [f64; 3],
    /// Quaternion x, y, z, w; the driver does not normalise it.
    pub orientation: [f64; 4],
    /// Whether to use high follow.
    pub follow: bool,
}

/// Message of `rm_driver/movej_cmd`.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedMove {
    /// Positions (rad).
    pub joint: Vec<f32>,
    /// Speed, 1 to 100 percent.
    pub speed: u8,
    /// Whether the driver's motion callbacks wait for the arrival.
    pub block: bool,
    /// Number of joints.
    pub dof: u8,
}

/// Commands for the driver's motion callbacks, in the order of arrival.
#[derive(Debug, Clone, PartialEq)]
pub enum DriverMotion {
    /// Joint pass-through.
    Joints(JointFrame),
    /// Cartesian pass-through.
    Pose(PoseFrame),
    /// Planned joint move.
    Planned(PlannedMove),
}

/// Message of `rm_driver/set_gripper_position_cmd`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grip {
    /// Position, 1 closed to 1000 open.
    pub position: u16,
    /// Whether to wait for the arrival.
    pub block: bool,
    /// Waiting time (s).
    pub timeout: u16,
}

/// State that the driver publishes every cycle.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DriverState {
    /// Joint positions (rad).
    pub joints: Joints,
    /// Pose of the current tool in the work frame (m).
    pub pose: Pose,
    /// Error code of the controller, 0 for none.
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

/// Quantises a value as the driver's C code does: truncates towards zero; values out of range and NaN become the
/// smallest integer.
fn truncated(value: f64, unit: f64) -> f64 {
    let count = value / unit;
    let fits = count > f64::from(i32::MIN) && count < f64::from(i32::MAX) + 1.0;
    unit * if fits { count.trunc() } else { f64::from(i32::MIN) }
}

/// Returns a joint position (rad) as the controller receives it.
pub fn received_joint(position: f32) -> f64 {
    truncated(f64::from(position).to_degrees(), JOINT_UNIT_DEG).to_radians()
}

/// Returns joint positions (rad) as the controller reports them.
pub fn reported_joints(joints: &Joints) -> Joints {
    joints.map(|q| ((q.to_degrees() / JOINT_UNIT_DEG).round() * JOINT_UNIT_DEG).to_radians())
}

/// Returns a pose as the controller reports it.
pub fn reported_pose(pose: &Pose) -> Pose {
    let position = pose.translation.vector.map(|v| (v / LENGTH_UNIT).round() * LENGTH_UNIT);
    Pose::from_parts(Translation3::from(position), pose.rotation)
}

/// Returns the pose of a Cartesian frame as the controller receives it: quaternion to Euler angles without
/// normalisation, then truncated.
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

/// Returns a rotation in the order of a quaternion message: x, y, z, w.
pub fn xyzw(rotation: &UnitQuaternion<f64>) -> [f64; 4] {
    let Quaternion { coords } = *rotation.quaternion();
    coords.into()
}

/// Returns joint positions (rad) as the driver reads them from a message. Missing values are undefined memory in the
/// driver; `undefined` supplies them here.
pub fn read_joints(joint: &[f32], dof: u8, mut undefined: impl FnMut() -> f32) -> Joints {
    let read = (0..JOINTS).map(|i| match joint.get(i) {
        Some(position) if i < 6 || dof == 7 => *position,
        _ => undefined(),
    });
    Joints::from_iterator(read.map(received_joint))
}
