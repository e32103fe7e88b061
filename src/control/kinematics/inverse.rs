//! Joints from a pose: which branch, which swivel.

use nalgebra::Vector3;

use super::feasible::{Search, Turns};
use super::forward::Axes;
use super::swivel::{Circle, SwivelFrame, Turning, wrap};
use super::{Branch, Rm75, Sign};
use crate::control::types::{Joints, Pose};

/// Nearer to a limit than this [rad], a joint makes the swivel drift to where it has this much room.
pub const SWIVEL_COMFORT: f64 = 0.10;

/// Most the swivel drifts for comfort in one call [rad].
pub const MAX_SWIVEL_DRIFT: f64 = 0.005;

/// Share of the way to comfort taken in one call [1], so that the drift comes to rest softly.
const DRIFT_GAIN: f64 = 0.05;

/// Farthest the swivel may move in one call to keep joints inside their limits [rad]; beyond it the elbow would flip.
pub const MAX_SWIVEL_JUMP: f64 = 0.35;

/// Angles of joints 2 and 6 [rad] within which joint 1 or 7 is kept rather than the swivel, and beyond which the swivel
/// is.
const ALIGNMENT: (f64, f64) = (0.15, 0.40);

/// Swings of upper arm or forearm across a plane [1] below which the swivel has no effect on it, and beyond which it has
/// enough.
const EFFECT: (f64, f64) = (0.01, 0.05);

/// Slants of the shoulder-wrist line [1] within which the elbow is carried along rather than kept upright, and beyond
/// which it is kept upright.
const UPRIGHT: (f64, f64) = (0.10, 0.30);

/// Why a pose has no joints.
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
        /// Distance asked for [m].
        distance: f64,
        /// Least distance, at the limit of joint 4 [m].
        nearest: f64,
        /// Greatest distance, arm straight [m].
        farthest: f64,
    },
    /// No swivel that can be reached without a flip keeps every joint inside its limits.
    #[error(
        "expected a swivel with all joints inside their limits, found joint {joint} beyond its limit by {beyond:.4} rad \
         at the swivel held; turn the pose away from that limit or plan from other joints"
    )]
    NoSwivel {
        /// The joint farthest out, 1 to 7.
        joint: usize,
        /// How far it stands out [rad].
        beyond: f64,
    },
}

/// One way to reach a pose.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BranchSolution {
    /// Its signs.
    pub branch: Branch,
    /// Its joints [rad], inside the limits.
    pub joints: Joints,
}

impl Rm75 {
    /// The joints [rad] that reach `base_from_flange` as a smooth continuation of `near`, for following a path.
    ///
    /// The bend of the elbow stays as in `near`, and so do the signs of joints 2 and 6 unless they pass through zero.
    /// The swivel stays as in `near`, with three exceptions. Where joint 2 or 6 is small, holding the swivel would spin
    /// its neighbours, so joint 1 or 7 keeps its angle to the line from shoulder to wrist instead; where the wrist passes over the shoulder, "upright" turns
    /// about, so the elbow is carried along; and where a joint comes within [`SWIVEL_COMFORT`] of a limit the swivel
    /// drifts away by at most [`MAX_SWIVEL_DRIFT`] a call. Away from all three the joints are a function of the pose, so
    /// a closed path closes in the joints. Joints that go round continue the turn they are in.
    ///
    /// # Errors
    /// When the pose is out of reach, when only a swivel more than [`MAX_SWIVEL_JUMP`] away is inside the limits, or
    /// when something is not finite. For a target far from `near`, use [`Rm75::inverse_nearest`].
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

    /// The joints [rad] that reach `base_from_flange` on any branch at any swivel inside the limits, about as near to
    /// `near` as there are; for planning a move, as nothing promises a smooth way there.
    ///
    /// # Errors
    /// When the pose is out of reach, no swivel at all is inside the limits, or something is not finite.
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

    /// The joints [rad] that reach `base_from_flange` at `swivel` [rad] on `branch`; where two joints are aligned the
    /// first is zero.
    ///
    /// # Errors
    /// When the pose is out of reach, a joint is outside its limits at that swivel, or something is not finite.
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

    /// The up to eight ways inside the limits to reach `base_from_flange` at `swivel` [rad].
    pub fn all_branches(&self, base_from_flange: &Pose, swivel: f64) -> impl Iterator<Item = BranchSolution> {
        Branch::all().filter_map(move |branch| {
            let joints = self.inverse_at_swivel(base_from_flange, swivel, branch).ok()?;
            Some(BranchSolution { branch, joints })
        })
    }

    /// The swivel of joints [rad]: the angle of joint 4's axis about the line from shoulder to wrist, counted from the
    /// horizontal; 0 with the elbow straight above the line and joint 4 positive.
    pub fn swivel(&self, joints: &Joints) -> f64 {
        let NearFrame { frame, elbow_axis, .. } = self.near_frame(joints);
        frame.swivel_of(&elbow_axis)
    }

    fn near_frame(&self, joints: &Joints) -> NearFrame {
        let chain = self.chain(joints);
        let reach = chain.wrist - chain.shoulder;
        NearFrame {
            frame: SwivelFrame::new(reach / reach.norm()),
            elbow_axis: chain.upper_arm.y,
            flange: chain.flange,
        }
    }

    fn finite_frame(&self, near: &Joints) -> Result<NearFrame, InverseError> {
        if near.iter().all(|q| q.is_finite()) {
            Ok(self.near_frame(near))
        } else {
            Err(InverseError::NonFiniteNear)
        }
    }

    /// The swivel that continues `near` before any limit is looked at.
    fn held_swivel(&self, circle: &Circle, near_frame: &NearFrame, near: &Joints) -> f64 {
        let upright = near_frame.frame.swivel_of(&near_frame.elbow_axis);
        let slant = near_frame.frame.slant.min(circle.frame.slant);
        let mut held = upright;
        if let Some(carried) = near_frame.carried_to(&circle.frame) {
            held += fading(slant, UPRIGHT) * wrap(circle.frame.swivel_of(&carried) - upright);
        }
        let [q1, q2, _, _, _, q6, q7]: [f64; 7] = (*near).into();
        let shoulder = fading(q2.abs(), ALIGNMENT);
        let wrist = fading(q6.abs(), ALIGNMENT);
        if shoulder + wrist > 0.0 {
            let still_1 = still(&circle.upper_arm, held, &{
                let turn = bearing_change(&near_frame.frame.line, &Axes::base(), &circle.frame.line, &Axes::base());
                circle.normal_of_joint1(q1 + turn)
            });
            let still_7 = still(&circle.forearm, held, &{
                let turn = bearing_change(
                    &near_frame.frame.line,
                    &near_frame.flange,
                    &circle.frame.line,
                    &circle.flange,
                );
                circle.normal_of_joint7(q7 - turn)
            });
            held += (shoulder * still_1 + wrist * still_7) / (shoulder + wrist).max(1.0);
        }
        wrap(held)
    }
}

/// How far to turn the swivel from `held` to bring `link` into the plane with `normal`; nothing where no swivel can,
/// the arm being straight or the link passing the plane sideways.
fn still(link: &Turning, held: f64, normal: &Vector3<f64>) -> f64 {
    let [a, b] = link.swivels(normal, 0.0).map(|swivel| wrap(swivel - held));
    let nearer = if a.abs() <= b.abs() { a } else { b };
    (1.0 - fading(link.swing(normal), EFFECT)) * nearer
}

/// How far a line's bearing about the z axis of a frame changes from one pose to another; fades to nothing where the
/// line runs along that axis and has no bearing.
fn bearing_change(line: &Vector3<f64>, axes: &Axes, next_line: &Vector3<f64>, next_axes: &Axes) -> f64 {
    let (x, y) = (line.dot(&axes.x), line.dot(&axes.y));
    let (next_x, next_y) = (next_line.dot(&next_axes.x), next_line.dot(&next_axes.y));
    let slant = x.hypot(y).min(next_x.hypot(next_y));
    (1.0 - fading(slant, UPRIGHT)) * wrap(next_y.atan2(next_x) - y.atan2(x))
}

/// How `near` holds its elbow.
struct NearFrame {
    frame: SwivelFrame,
    elbow_axis: Vector3<f64>,
    flange: Axes,
}

impl NearFrame {
    /// The elbow axis carried along by the smallest turn that takes the line onto `target`'s; none for opposite lines.
    fn carried_to(&self, target: &SwivelFrame) -> Option<Vector3<f64>> {
        let (from, to) = (&self.frame.line, &target.line);
        let halved = 1.0 + from.dot(to);
        (halved > 1e-6).then(|| self.elbow_axis - (from + to) * (to.dot(&self.elbow_axis) / halved))
    }
}

/// 1 up to the first bound, 0 from the second on, smooth between.
fn fading(value: f64, (full, none): (f64, f64)) -> f64 {
    let t = ((none - value) / (none - full)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// `branch` with the signs of joints 2 and 6 that continue `near` where they may be passing through zero.
fn nearest_signs(circle: &Circle, swivel: f64, branch: Branch, near: &Joints) -> Branch {
    let other = Branch {
        shoulder: branch.shoulder.flipped(),
        wrist: branch.wrist.flipped(),
        ..branch
    };
    let away = |branch| -> [f64; 7] {
        (circle.joints_at(swivel, branch, near) - near)
            .map(|d| wrap(d).abs())
            .into()
    };
    let ([a1, a2, a3, _, a5, a6, a7], [b1, b2, b3, _, b5, b6, b7]) = (away(branch), away(other));
    let [_, q2, _, _, _, q6, _]: [f64; 7] = (*near).into();
    let pick = |q: f64, kept: Sign, as_is: f64, turned: f64| {
        if q.abs() < ALIGNMENT.1 && turned < as_is {
            kept.flipped()
        } else {
            kept
        }
    };
    Branch {
        shoulder: pick(q2, branch.shoulder, a1 + a2 + a3, b1 + b2 + b3),
        wrist: pick(q6, branch.wrist, a5 + a6 + a7, b5 + b6 + b7),
        ..branch
    }
}

/// `held`, moved a little towards where no joint is close to a limit.
fn drifted(search: &Search, held: f64) -> f64 {
    let comfort = Search {
        limits: search.limits.shrunk(SWIVEL_COMFORT),
        ..*search
    };
    if comfort.is_feasible(held) {
        return held;
    }
    let Some(target) = comfort.nearest(held) else {
        return held;
    };
    let step = DRIFT_GAIN * wrap(target - held);
    wrap(held + step.clamp(-MAX_SWIVEL_DRIFT, MAX_SWIVEL_DRIFT))
}
