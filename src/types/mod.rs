//! Types of robot and time that all of the package shares.

pub mod time;

use nalgebra::{Isometry3, SVector};

/// Number of joints of the arm.
pub const JOINTS: usize = 7;

/// One value per joint, joint1 first: positions (rad), velocities (rad/s) or accelerations (rad/s^2).
pub type Joints = SVector<f64, JOINTS>;

/// Pose (m). A name such as `base_from_tool` means the tool frame seen from the base frame.
pub type Pose = Isometry3<f64>;
