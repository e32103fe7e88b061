//! Forward kinematics: pose of the flange and points along the arm from joint positions.

use nalgebra::{Matrix3, Point3, Rotation3, Translation3, UnitQuaternion, Vector3};

use super::Rm75;
use crate::types::{Joints, Pose};

/// Points along the arm in the base frame (m), to check the whole arm against a table or a workspace.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ArmPoints {
    /// Intersection of axes 1, 2 and 3.
    pub shoulder: Point3<f64>,
    /// Intersection of axes 3, 4 and 5.
    pub elbow: Point3<f64>,
    /// Intersection of axes 5, 6 and 7.
    pub wrist: Point3<f64>,
    /// Origin of the flange.
    pub flange: Point3<f64>,
    /// Origin of the tool.
    pub tool: Point3<f64>,
}

/// Rotation of a frame along the chain; the columns are its axes in the base frame.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axes {
    pub x: Vector3<f64>,
    pub y: Vector3<f64>,
    pub z: Vector3<f64>,
}

impl Axes {
    pub fn base() -> Self {
        Self {
            x: Vector3::x(),
            y: Vector3::y(),
            z: Vector3::z(),
        }
    }

    pub fn about_z(&self, angle: f64) -> Self {
        let (sin, cos) = angle.sin_cos();
        Self {
            x: self.x * cos + self.y * sin,
            y: self.y * cos - self.x * sin,
            z: self.z,
        }
    }

    pub fn about_y(&self, angle: f64) -> Self {
        let (sin, cos) = angle.sin_cos();
        Self {
            x: self.x * cos - self.z * sin,
            y: self.y,
            z: self.z * cos + self.x * sin,
        }
    }

    fn rotation(&self) -> UnitQuaternion<f64> {
        let matrix = Matrix3::from_columns(&[self.x, self.y, self.z]);
        UnitQuaternion::from_rotation_matrix(&Rotation3::from_matrix_unchecked(matrix))
    }
}

/// Frames and points along the chain; joint axes are `z` of odd and `y` of even joints' frames.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chain {
    /// Base frame rotated by joint 1: `y` is the axis of joint 2.
    pub after_1: Axes,
    /// Frame rotated by joints 1 to 3: `z` runs along the upper arm, `y` is the axis of joint 4.
    pub upper_arm: Axes,
    /// Frame rotated by joints 1 to 5: `z` runs along the forearm, `y` is the axis of joint 6.
    pub forearm: Axes,
    /// Frame rotated by all joints: the axes of the flange.
    pub flange: Axes,
    pub shoulder: Vector3<f64>,
    pub elbow: Vector3<f64>,
    pub wrist: Vector3<f64>,
    pub tip: Vector3<f64>,
}

impl Rm75 {
    pub(super) fn chain(&self, joints: &Joints) -> Chain {
        let [q1, q2, q3, q4, q5, q6, q7]: [f64; 7] = (*joints).into();
        let lengths = &self.geometry;
        let after_1 = Axes::base().about_z(q1);
        let upper_arm = after_1.about_y(q2).about_z(q3);
        let forearm = upper_arm.about_y(q4).about_z(q5);
        let flange = forearm.about_y(q6).about_z(q7);
        let shoulder = Vector3::z() * lengths.shoulder_height;
        let elbow = shoulder + upper_arm.z * lengths.upper_arm;
        let wrist = elbow + forearm.z * lengths.forearm;
        let tip = wrist + flange.z * lengths.wrist_to_flange;
        Chain {
            after_1,
            upper_arm,
            forearm,
            flange,
            shoulder,
            elbow,
            wrist,
            tip,
        }
    }

    /// Computes `base_from_flange` (m) for joint positions (rad); the flange's z axis points out of the arm.
    pub fn forward(&self, joints: &Joints) -> Pose {
        let chain = self.chain(joints);
        Pose::from_parts(Translation3::from(chain.tip), chain.flange.rotation())
    }

    /// Computes points along the arm (m) for joint positions (rad) and a tool at `flange_from_tool`.
    pub fn points(&self, joints: &Joints, flange_from_tool: &Pose) -> ArmPoints {
        let chain = self.chain(joints);
        let offset = &flange_from_tool.translation.vector;
        let tool = chain.tip + chain.flange.x * offset.x + chain.flange.y * offset.y + chain.flange.z * offset.z;
        ArmPoints {
            shoulder: chain.shoulder.into(),
            elbow: chain.elbow.into(),
            wrist: chain.wrist.into(),
            flange: chain.tip.into(),
            tool: tool.into(),
        }
    }
}
