//! Kinematics of an arm as the control loop uses it, and the arms that can be configured.

use std::fmt::{self, Debug, Display};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{InverseError, Jacobian, Rm75};
use crate::types::{Joints, Pose};

/// Range of every joint (rad).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct JointLimits {
    /// Lower bounds.
    pub lower: Joints,
    /// Upper bounds.
    pub upper: Joints,
}

impl JointLimits {
    /// Whether every joint (rad) lies inside, bounds included; false for NaN.
    pub fn contain(&self, joints: &Joints) -> bool {
        joints
            .iter()
            .zip(self.lower.iter().zip(self.upper.iter()))
            .all(|(q, (lower, upper))| (lower..=upper).contains(&q))
    }

    /// Returns the limits narrowed by `margin` (rad) on both sides.
    pub fn shrunk(&self, margin: f64) -> Self {
        Self {
            lower: self.lower.add_scalar(margin),
            upper: self.upper.add_scalar(-margin),
        }
    }
}

/// Placement of an arm's links in the base frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LinkPlacement {
    /// Pose of the flange, `base_from_flange` (m).
    pub base_from_flange: Pose,
    /// Height of the lowest joint between links, or of the flange, that can come near a table (m).
    pub lowest_m: f64,
}

/// Kinematics of an arm with seven joints, from its base to its flange; the flange's z axis points out of the arm.
pub trait Kinematics: Debug + Send + Sync {
    /// Joint limits that solutions keep (rad).
    fn limits(&self) -> &JointLimits;

    /// Returns the same arm with other joint limits.
    fn with_limits(&self, limits: JointLimits) -> Arc<dyn Kinematics>;

    /// Computes `base_from_flange` (m) for joint positions (rad).
    fn forward(&self, joints: &Joints) -> Pose;

    /// Computes where the flange and the lowest link are for joint positions (rad).
    fn links(&self, joints: &Joints) -> LinkPlacement;

    /// Computes the geometric Jacobian at the origin of the flange for joint positions (rad).
    fn jacobian(&self, joints: &Joints) -> Jacobian;

    /// Computes the joint positions (rad) that reach `base_from_flange` (m) as a smooth continuation of `near` (rad); of the
    /// many that reach it, successive calls along a path choose without jumps.
    ///
    /// # Errors
    /// When the pose is out of reach, no continuation of `near` is inside the limits, or an argument is not finite.
    fn inverse(&self, base_from_flange: &Pose, near: &Joints) -> Result<Joints, InverseError>;

    /// Computes joint positions (rad) that reach `base_from_flange` (m), approximately the nearest to `near` (rad), to plan a
    /// move; no smooth path to them is guaranteed.
    ///
    /// # Errors
    /// When the pose is out of reach, no solution is inside the limits, or an argument is not finite.
    fn inverse_nearest(&self, base_from_flange: &Pose, near: &Joints) -> Result<Joints, InverseError>;
}

/// Arm whose kinematics are known, by its name in the arm's parameters.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ArmModel {
    /// Realman RM75-B.
    #[serde(rename = "rm75")]
    Rm75,
}

impl ArmModel {
    /// Returns the kinematics of the arm, with the joint limits of its manual.
    pub fn kinematics(self) -> Arc<dyn Kinematics> {
        match self {
            Self::Rm75 => Arc::new(Rm75::b()),
        }
    }
}

impl Debug for ArmModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl Display for ArmModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}
