//! Realman RM75: link lengths, joint limits, and what the control loop asks of an arm.

use std::sync::Arc;

use nalgebra::Vector3;

use super::{InverseError, Jacobian, JointLimits, Kinematics, LinkPlacement};
use crate::types::{Joints, Pose};

/// Joint limits of the RM75 from its manual (degrees); they are symmetric.
const LIMITS_DEG: [f64; 7] = [178.0, 130.0, 178.0, 135.0, 178.0, 128.0, 360.0];

/// Last-link variants of the RM75; they differ in the distance from wrist to flange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkVariant {
    /// RM75-B, the standard flange.
    B,
    /// RM75-6F, six-axis force sensor.
    SixF,
    /// RM75-6FB, integrated six-axis force sensor.
    SixFb,
}

/// Offsets along the joint axes (m), Craig's modified Denavit-Hartenberg convention.
///
/// Row i is `Rx(alpha) Rz(q_i) Tz(d_i)` with all link lengths and joint offsets zero and twists of exactly
/// 0, -90, 90, -90, 90, -90, 90 degrees (the vendor's URDF rounds them to five digits). Hence
/// `base_from_flange = Tz(shoulder) Rz(q1) Ry(q2) Rz(q3) Tz(upper_arm) Ry(q4) Rz(q5) Tz(forearm) Ry(q6) Rz(q7) Tz(wrist_to_flange)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DhOffsets {
    /// Base to shoulder, d1.
    pub shoulder_height: f64,
    /// Shoulder to elbow, d3.
    pub upper_arm: f64,
    /// Elbow to wrist, d5.
    pub forearm: f64,
    /// Wrist to flange, d7.
    pub wrist_to_flange: f64,
}

/// Kinematic parameters of a Realman RM75.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rm75 {
    /// Link lengths.
    pub geometry: DhOffsets,
    /// Joint limits; the manual's unless narrowed by the caller.
    pub limits: JointLimits,
}

impl Rm75 {
    /// Returns the arm with the flange of `variant` and the joint limits of the manual.
    pub fn new(variant: LinkVariant) -> Self {
        let upper = Joints::from(LIMITS_DEG.map(f64::to_radians));
        Self {
            geometry: DhOffsets {
                shoulder_height: 0.2405,
                upper_arm: 0.256,
                forearm: 0.210,
                wrist_to_flange: match variant {
                    LinkVariant::B => 0.144,
                    LinkVariant::SixF => 0.1725,
                    LinkVariant::SixFb => 0.1612,
                },
            },
            limits: JointLimits { lower: -upper, upper },
        }
    }

    /// Returns the RM75-B.
    pub fn b() -> Self {
        Self::new(LinkVariant::B)
    }
}

impl Kinematics for Rm75 {
    fn limits(&self) -> &JointLimits {
        &self.limits
    }

    fn with_limits(&self, limits: JointLimits) -> Arc<dyn Kinematics> {
        Arc::new(Self { limits, ..*self })
    }

    fn forward(&self, joints: &Joints) -> Pose {
        self.forward(joints)
    }

    fn links(&self, joints: &Joints) -> LinkPlacement {
        let base_from_flange = self.forward(joints);
        let flange = base_from_flange.translation.vector;
        let wrist = flange - base_from_flange.rotation * Vector3::new(0.0, 0.0, self.geometry.wrist_to_flange);
        let elbow_height = self.geometry.shoulder_height + self.geometry.upper_arm * joints[1].cos();
        LinkPlacement {
            base_from_flange,
            lowest_m: elbow_height.min(wrist.z).min(flange.z),
        }
    }

    fn jacobian(&self, joints: &Joints) -> Jacobian {
        self.jacobian(joints)
    }

    fn inverse(&self, base_from_flange: &Pose, near: &Joints) -> Result<Joints, InverseError> {
        self.inverse(base_from_flange, near)
    }

    fn inverse_nearest(&self, base_from_flange: &Pose, near: &Joints) -> Result<Joints, InverseError> {
        self.inverse_nearest(base_from_flange, near)
    }
}
