//! Bounds that every step of a plan is checked with.

use std::f64::consts::PI;

use nalgebra::{Point3, Vector3};

use super::PlanError;
use crate::control::config::{Limits, Tool, Workspace};
use crate::control::kinematics::Kinematics;
use crate::types::{Joints, Pose};

/// Tolerance of a joint target outside its limits or beyond what its speed limit permits in a step (rad): such a target is
/// moved inside, or reached a little later. Beyond the tolerance it counts as a mistake, such as degrees for radians.
const JOINT_TOLERANCE_RAD: f64 = 0.05;

/// Bounds and kinematics that a plan is checked with.
#[derive(Debug, Clone, Copy)]
pub struct PlanBounds<'a> {
    /// Box of the tool and height of the table.
    pub workspace: &'a Workspace,
    /// Tool on the flange.
    pub tool: &'a Tool,
    /// Limits of the joints.
    pub limits: &'a Limits,
    /// Kinematics of the arm.
    pub kinematics: &'a dyn Kinematics,
}

impl PlanBounds<'_> {
    /// Translation that moves a waypoint inside the workspace (m); an error if it is longer than the tolerance.
    pub(super) fn correction(&self, step: usize, base_from_tool: &Pose) -> Result<Vector3<f64>, PlanError> {
        let tool = Point3::from(base_from_tool.translation.vector);
        let offset = self.tool.offset();
        let lowest = self.tool.points_m.iter().fold(tool.z, |low, point| {
            low.min((base_from_tool * Point3::from(Vector3::from(*point) - offset)).z)
        });
        let correction = self.workspace.correction(&tool, lowest);
        let (distance, tolerance) = (correction.norm(), self.workspace.tolerance_m);
        if distance > tolerance {
            return Err(PlanError::OutOfWorkspace {
                step,
                tool,
                distance,
                tolerance,
            });
        }
        Ok(correction)
    }

    /// Moves a joint target that lies `change` from the previous one inside the joint limits (rad).
    pub(super) fn joints_inside(
        &self,
        step: usize,
        asked: &Joints,
        change: &Joints,
        period: f64,
    ) -> Result<Joints, PlanError> {
        let farthest = (self.limits.velocity() * period).add_scalar(JOINT_TOLERANCE_RAD);
        for (i, (change, limit)) in change.iter().zip(farthest.iter()).enumerate() {
            if change.abs() > *limit {
                return Err(PlanError::JointTooFast {
                    step,
                    joint: i + 1,
                    limit: *limit,
                    found: change.abs(),
                });
            }
        }
        let (lowest, highest) = (self.limits.lowest(), self.limits.highest());
        let inside = asked.sup(&lowest).inf(&highest);
        for (i, (asked, inside)) in asked.iter().zip(inside.iter()).enumerate() {
            if (asked - inside).abs() > JOINT_TOLERANCE_RAD {
                let at = |limits: &Joints| limits.get(i).copied().unwrap_or_default();
                return Err(PlanError::OutOfJointLimits {
                    step,
                    joint: i + 1,
                    lowest: at(&lowest),
                    highest: at(&highest),
                    found: *asked,
                });
            }
        }
        Ok(inside)
    }

    /// Refuses a rotation of the tool that all joints together could not make in a step.
    pub(super) fn check_turn(&self, step: usize, found: f64, period: f64) -> Result<(), PlanError> {
        // A rotation beyond half a turn does not tell its direction.
        let limit = (self.limits.velocity().sum() * period).min(PI) + JOINT_TOLERANCE_RAD;
        if found > limit {
            return Err(PlanError::TurnTooFast { step, limit, found });
        }
        Ok(())
    }
}
