//! Inverse kinematics: joint positions from a pose, with the choice of branch and swivel.

use super::feasible::{Search, Turns};
use super::redundancy::{NearFrame, drifted, nearest_signs};
use super::swivel_functions::wrap;
use super::{Branch, Rm75};
use crate::types::{Joints, Pose};

/// Largest change of the swivel in one call to keep joints inside their limits (rad); beyond it the elbow would flip.
pub const MAX_SWIVEL_JUMP: f64 = 0.35;

/// Errors of a pose without a joint solution.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum InverseError {
    /// The pose holds NaN or infinity.
    #[error("expected a finite pose, found NaN or infinity; check what computed it")]
    NonFinitePose,
    /// The joints to stay near hold NaN or infinity.
    #[error("expected finite joints to stay near, found NaN or infinity; check the joint state")]
    NonFiniteNear,
    /// The wrist centre is farther from, or closer to, the shoulder than the arm can stretch or fold.
    #[error(
        "expected the wrist centre {nearest:.4} m to {farthest:.4} m from the shoulder, found {distance:.4} m; \
         move the pose inside the reach of the arm"
    )]
    OutOfReach {
        /// Requested distance (m).
        distance: f64,
        /// Smallest distance, at the limit of joint 4 (m).
        nearest: f64,
        /// Largest distance, with the arm straight (m).
        farthest: f64,
    },
    /// No swivel that can be reached without a flip keeps every joint inside its limits.
    #[error(
        "expected a swivel with all joints inside their limits, found joint {joint} beyond its limit by {beyond:.4} rad \
         at the swivel held; turn the pose away from that limit or plan from other joints"
    )]
    NoSwivel {
        /// Joint farthest outside its limits, 1 to 7.
        joint: usize,
        /// Angle beyond its limit (rad).
        beyond: f64,
    },
}

/// Solution for a pose on one branch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BranchSolution {
    /// Branch of the solution.
    pub branch: Branch,
    /// Joint positions (rad), inside the limits.
    pub joints: Joints,
}

impl Rm75 {
    /// Computes the joint positions (rad) that reach `base_from_flange` as a smooth continuation of `near`, for following a
    /// path.
    ///
    /// The sign of joint 4 stays as in `near`, and so do the signs of joints 2 and 6 unless they pass through zero. The swivel
    /// stays as in `near`, with three exceptions. Where joint 2 or 6 is small, holding the swivel would spin the neighbouring
    /// joints, so joint 1 or 7 keeps its angle to the line from shoulder to wrist instead. Where the wrist passes over the
    /// shoulder, the reference direction of the swivel turns round, so the elbow is carried along. Where a joint comes within
    /// [`super::SWIVEL_COMFORT`] of a limit, the swivel drifts away by at most [`super::MAX_SWIVEL_DRIFT`] a call. Away from
    /// all three the joints are a function of the pose, so a closed path closes in the joints. Joints 1, 3, 5 and 7 continue
    /// the full turn they are in.
    ///
    /// # Errors
    /// When the pose is out of reach, when only a swivel more than [`MAX_SWIVEL_JUMP`] away is inside the limits, or
    /// when the pose or `near` is not finite. For a target far from `near`, use [`Rm75::inverse_nearest`].
    pub fn inverse(&self, base_from_flange: &Pose, near: &Joints) -> Result<Joints, InverseError> {
        let near_frame = self.finite_frame(near)?;
        let mut branch = Branch::of(near);
        let circle = self.circle(base_from_flange, branch.elbow)?;
        let held = self.held_swivel(&circle, &near_frame, near);
        branch = nearest_signs(&circle, held, branch, near);

        let search = Search {
            circle: &circle,
            branch,
            limits: self.limits,
            near,
            turns: Turns::Continuous,
        };
        let swivel = drifted(&search, held);
        let joints = search.joints_at(swivel);
        if search.admits(&joints) {
            return Ok(search.settled(&joints));
        }
        let worst = search.worst(&joints);
        match search.nearest(swivel) {
            Some(inside) if wrap(inside - swivel).abs() <= MAX_SWIVEL_JUMP => {
                Ok(search.settled(&search.joints_at(inside)))
            }
            _ => Err(InverseError::NoSwivel {
                joint: worst.joint,
                beyond: worst.beyond,
            }),
        }
    }

    /// Computes joint positions (rad) that reach `base_from_flange` on any branch at any swivel inside the limits, approximately
    /// the nearest to `near`; for planning a move, since no smooth path to them is guaranteed.
    ///
    /// # Errors
    /// When the pose is out of reach, no swivel is inside the limits, or the pose or `near` is not finite.
    pub fn inverse_nearest(&self, base_from_flange: &Pose, near: &Joints) -> Result<Joints, InverseError> {
        let near_frame = self.finite_frame(near)?;
        let mut best: Result<Joints, InverseError> = Err(InverseError::NoSwivel {
            joint: 1,
            beyond: f64::INFINITY,
        });
        for branch in Branch::all() {
            let circle = match self.circle(base_from_flange, branch.elbow) {
                Ok(circle) => circle,
                Err(error) => {
                    best = best.or(Err(error));
                    continue;
                }
            };
            let search = Search {
                circle: &circle,
                branch,
                limits: self.limits,
                near,
                turns: Turns::Any,
            };
            let held = self.held_swivel(&circle, &near_frame, near);
            search.for_each_span(|span| {
                for swivel in [
                    span.nearest(held),
                    span.nearest(held + std::f64::consts::PI),
                    span.middle(),
                ] {
                    let joints = search.joints_at(swivel);
                    let distance = |joints: &Joints| (joints - near).norm_squared();
                    let nearer = best.map_or(true, |b| distance(&joints) < distance(&b));
                    if nearer && search.admits(&joints) {
                        best = Ok(search.settled(&joints));
                    }
                }
            });
            if let Err(InverseError::NoSwivel { beyond, .. }) = best {
                let worst = search.worst(&search.joints_at(held));
                if worst.beyond < beyond {
                    best = Err(InverseError::NoSwivel {
                        joint: worst.joint,
                        beyond: worst.beyond,
                    });
                }
            }
        }
        best
    }

    /// Computes the joint positions (rad) that reach `base_from_flange` at `swivel` (rad) on `branch`; where two joints are
    /// aligned the first is zero.
    ///
    /// # Errors
    /// When the pose is out of reach, a joint is outside its limits at that swivel, or the pose or swivel is not finite.
    pub fn inverse_at_swivel(
        &self,
        base_from_flange: &Pose,
        swivel: f64,
        branch: Branch,
    ) -> Result<Joints, InverseError> {
        if !swivel.is_finite() {
            return Err(InverseError::NonFinitePose);
        }
        let circle = self.circle(base_from_flange, branch.elbow)?;
        let near = Joints::zeros();
        let search = Search {
            circle: &circle,
            branch,
            limits: self.limits,
            near: &near,
            turns: Turns::Any,
        };
        let joints = search.joints_at(swivel);
        if search.admits(&joints) {
            return Ok(search.settled(&joints));
        }
        let worst = search.worst(&joints);
        Err(InverseError::NoSwivel {
            joint: worst.joint,
            beyond: worst.beyond,
        })
    }

    /// Returns the up to eight solutions inside the limits that reach `base_from_flange` at `swivel` (rad).
    pub fn all_branches(&self, base_from_flange: &Pose, swivel: f64) -> impl Iterator<Item = BranchSolution> {
        Branch::all().filter_map(move |branch| {
            let joints = self.inverse_at_swivel(base_from_flange, swivel, branch).ok()?;
            Some(BranchSolution { branch, joints })
        })
    }

    /// Computes the swivel of joint positions (rad): the angle of joint 4's axis about the line from shoulder to wrist, counted
    /// from the horizontal; 0 with the elbow straight above the line and joint 4 positive.
    pub fn swivel(&self, joints: &Joints) -> f64 {
        let NearFrame { frame, elbow_axis, .. } = self.near_frame(joints);
        frame.swivel_of(&elbow_axis)
    }
}
