//! Quantities shared by the parts of control.

use nalgebra::{Isometry3, SVector};

/// Joints of the arm.
pub const JOINTS: usize = 7;

/// One value a joint, joint1 first: positions (rad), velocities (rad/s) or accelerations (rad/s^2).
pub type Joints = SVector<f64, JOINTS>;

/// A pose; names read `base_from_tool`: the tool frame seen from the base frame (m).
pub type Pose = Isometry3<f64>;
