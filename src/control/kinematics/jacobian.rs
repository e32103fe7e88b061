//! Jacobian (velocities from joint rates) and its condition number near singularities.

use nalgebra::{SMatrix, Vector3, Vector6};

use super::Rm75;
use crate::types::{Joints, Pose};

/// Geometric Jacobian in the base frame: rows are linear velocity (m/s) then angular velocity (rad/s), columns are
/// joint rates (rad/s).
pub type Jacobian = SMatrix<f64, 6, 7>;

/// Extreme singular values of a Jacobian.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conditioning {
    /// Largest singular value.
    pub largest: f64,
    /// Smallest singular value; 0 at a singularity.
    pub smallest: f64,
}

impl Conditioning {
    /// Computes the extreme singular values of a Jacobian whose linear rows are divided by `length` (m), so that metres and
    /// radians compare.
    ///
    /// With 1 m this is the plain SI matrix, the definition MoveIt Servo uses and its thresholds of 17 (slow down) and
    /// 30 (halt) mean: the RM75-B gives 19.1 at joints 0, 30, 0, 60, 0, 90, 0 degrees and 13.5 at
    /// 0, 0, 0, 90, 0, 90, 0. A shorter length, such as the arm's reach of 0.61 m, weighs translation up and gives
    /// smaller numbers that do not depend on the unit of length.
    pub fn new(jacobian: &Jacobian, length: f64) -> Self {
        let mut scaled = *jacobian;
        scaled.fixed_view_mut::<3, 7>(0, 0).scale_mut(1.0 / length);
        let values = scaled.transpose().singular_values_unordered();
        Self {
            largest: values.max(),
            smallest: values.min(),
        }
    }

    /// Condition number: largest over smallest singular value; infinite at a singularity, never NaN for finite input.
    pub fn number(&self) -> f64 {
        if self.smallest > 0.0 {
            self.largest / self.smallest
        } else {
            f64::INFINITY
        }
    }
}

impl Rm75 {
    /// Computes the geometric Jacobian at the origin of the flange for joint positions (rad).
    pub fn jacobian(&self, joints: &Joints) -> Jacobian {
        self.jacobian_at(joints, &Pose::identity())
    }

    /// Computes the geometric Jacobian at the origin of a tool at `flange_from_tool` for joint positions (rad).
    pub fn jacobian_at(&self, joints: &Joints, flange_from_tool: &Pose) -> Jacobian {
        let chain = self.chain(joints);
        let offset = &flange_from_tool.translation.vector;
        let tip = chain.tip + chain.flange.x * offset.x + chain.flange.y * offset.y + chain.flange.z * offset.z;
        let column = |axis: &Vector3<f64>, through: &Vector3<f64>| {
            let linear = axis.cross(&(tip - through));
            Vector6::new(linear.x, linear.y, linear.z, axis.x, axis.y, axis.z)
        };
        Jacobian::from_columns(&[
            column(&Vector3::z(), &chain.shoulder),
            column(&chain.after_1.y, &chain.shoulder),
            column(&chain.upper_arm.z, &chain.shoulder),
            column(&chain.upper_arm.y, &chain.elbow),
            column(&chain.forearm.z, &chain.wrist),
            column(&chain.forearm.y, &chain.wrist),
            column(&chain.flange.z, &chain.wrist),
        ])
    }
}
