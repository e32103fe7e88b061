//! Reasons for which a chunk cannot be followed.

use nalgebra::Point3;

use crate::control::event::Check;
use crate::control::kinematics::InverseError;

/// Errors of a chunk that cannot be followed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PlanError {
    /// A waypoint is far outside the workspace.
    #[error(
        "step {step}: expected the tool within {tolerance} m of the workspace, found ({:.3}, {:.3}, {:.3}) m, {distance:.3} m \
         outside; the chunk is dropped whole", tool.x, tool.y, tool.z
    )]
    OutOfWorkspace {
        /// Index of the step, from 0.
        step: usize,
        /// Position the tool would have (m).
        tool: Point3<f64>,
        /// Distance outside (m).
        distance: f64,
        /// Largest distance that is moved inside (m).
        tolerance: f64,
    },
    /// A joint target is far outside the joint's limits.
    #[error(
        "step {step}: expected joint {joint} from {lowest:.3} to {highest:.3} rad, found {found:.3} rad; the chunk is dropped \
         whole, check that joints are in radians"
    )]
    OutOfJointLimits {
        /// Index of the step, from 0.
        step: usize,
        /// Joint, 1 to 7.
        joint: usize,
        /// Lowest value that may be commanded (rad).
        lowest: f64,
        /// Highest value that may be commanded (rad).
        highest: f64,
        /// Requested value (rad).
        found: f64,
    },
    /// A joint would have to move much faster than its speed limit.
    #[error(
        "step {step}: expected joint {joint} to move at most {limit:.3} rad, found {found:.3} rad; the chunk is dropped whole, \
         check that steps are in radians and how long one takes"
    )]
    JointTooFast {
        /// Index of the step, from 0.
        step: usize,
        /// Joint, 1 to 7.
        joint: usize,
        /// Largest change that the speed limit permits in a step, including the tolerance (rad).
        limit: f64,
        /// Requested change (rad).
        found: f64,
    },
    /// The tool would have to rotate faster than all joints together permit.
    #[error(
        "step {step}: expected a turn of the tool of at most {limit:.3} rad, found {found:.3} rad; the chunk is dropped whole, \
         check that rotation vectors are in radians and how long a step takes"
    )]
    TurnTooFast {
        /// Index of the step, from 0.
        step: usize,
        /// Largest rotation that the speed limits of the joints permit in a step, including the tolerance (rad).
        limit: f64,
        /// Requested rotation (rad).
        found: f64,
    },
    /// The plan leads far beyond the reachable poses.
    #[error("step {step}: the arm cannot take up the pose, {error}; the chunk is dropped whole")]
    OutOfReach {
        /// Index of the step in progress, from 0.
        step: usize,
        /// Error of the inverse kinematics.
        error: InverseError,
    },
}

impl PlanError {
    /// Check under which the error is reported.
    pub fn check(&self) -> Check {
        match self {
            Self::OutOfWorkspace { .. } => Check::Workspace,
            Self::OutOfJointLimits { .. } => Check::JointLimit,
            Self::JointTooFast { .. } | Self::TurnTooFast { .. } => Check::Velocity,
            Self::OutOfReach { .. } => Check::Reach,
        }
    }
}
