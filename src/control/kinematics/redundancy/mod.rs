//! Choice of the swivel and of the signs that continue the present joint positions.

use nalgebra::Vector3;

use super::branch::{Branch, Sign};
use super::feasible::Search;
use super::forward::Axes;
use super::swivel::Circle;
use super::swivel_functions::{SwivelFrame, Turning, wrap};
use super::{InverseError, Rm75};
use crate::types::Joints;

/// Distance to a joint limit (rad) below which the swivel drifts until the joint has this much room.
pub const SWIVEL_COMFORT: f64 = 0.10;

/// Largest drift of the swivel away from joint limits in one call (rad).
pub const MAX_SWIVEL_DRIFT: f64 = 0.005;

/// Approximate largest motion of a joint by this drift in one call (rad).
const MAX_JOINT_DRIFT: f64 = 0.01;

/// Fraction of the remaining drift taken in one call, so that the drift ends smoothly.
const DRIFT_GAIN: f64 = 0.05;

/// Thresholds between which a share falls from 1 to 0.
struct Fade {
    /// Value up to which the share is 1.
    whole: f64,
    /// Value from which on it is 0.
    none: f64,
}

/// Thresholds for the angles of joints 2 and 6 (rad): below the first, joint 1 or 7 is held rather than the swivel; beyond
/// the second, the swivel is held.
const ALIGNMENT: Fade = Fade {
    whole: 0.15,
    none: 0.40,
};

/// Thresholds for the swing of the upper arm or forearm across a plane (ratio): below the first, the swivel has no effect
/// on it; beyond the second, it has enough.
const EFFECT: Fade = Fade {
    whole: 0.01,
    none: 0.05,
};

/// Thresholds for the slant of the shoulder-wrist line (sine of its angle to axis 1): below the first, the elbow is carried
/// along with the line; beyond the second, the swivel is held.
const UPRIGHT: Fade = Fade {
    whole: 0.10,
    none: 0.30,
};

impl Rm75 {
    pub(super) fn near_frame(&self, joints: &Joints) -> NearFrame {
        let chain = self.chain(joints);
        let reach = chain.wrist - chain.shoulder;
        NearFrame {
            frame: SwivelFrame::new(reach / reach.norm()),
            elbow_axis: chain.upper_arm.y,
            flange: chain.flange,
        }
    }

    pub(super) fn finite_frame(&self, near: &Joints) -> Result<NearFrame, InverseError> {
        if near.iter().all(|q| q.is_finite()) {
            Ok(self.near_frame(near))
        } else {
            Err(InverseError::NonFiniteNear)
        }
    }

    /// Swivel that continues `near`, before joint limits are considered (rad).
    pub(super) fn held_swivel(&self, circle: &Circle, near_frame: &NearFrame, near: &Joints) -> f64 {
        let upright = near_frame.frame.swivel_of(&near_frame.elbow_axis);
        let slant = near_frame.frame.slant.min(circle.frame.slant);
        let mut held = upright;
        if let Some(carried) = near_frame.carried_to(&circle.frame) {
            held += UPRIGHT.at(slant) * wrap(circle.frame.swivel_of(&carried) - upright);
        }
        let [q1, q2, _, _, _, q6, q7]: [f64; 7] = (*near).into();
        let shoulder = ALIGNMENT.at(q2.abs());
        let wrist = ALIGNMENT.at(q6.abs());
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

/// Change of the swivel from `held` that brings `link` into the plane with `normal` (rad). Fades to 0 where no swivel does,
/// because the arm is straight or the link passes the plane sideways.
fn still(link: &Turning, held: f64, normal: &Vector3<f64>) -> f64 {
    let [a, b] = link.swivels(normal, 0.0).map(|swivel| wrap(swivel - held));
    let nearer = if a.abs() <= b.abs() { a } else { b };
    (1.0 - EFFECT.at(link.swing(normal))) * nearer
}

/// Change of a line's bearing about the z axis of a frame from one pose to another (rad). Fades to 0 where the line runs
/// along that axis and has no bearing.
fn bearing_change(line: &Vector3<f64>, axes: &Axes, next_line: &Vector3<f64>, next_axes: &Axes) -> f64 {
    let (x, y) = (line.dot(&axes.x), line.dot(&axes.y));
    let (next_x, next_y) = (next_line.dot(&next_axes.x), next_line.dot(&next_axes.y));
    let slant = x.hypot(y).min(next_x.hypot(next_y));
    (1.0 - UPRIGHT.at(slant)) * wrap(next_y.atan2(next_x) - y.atan2(x))
}

/// Swivel frame, elbow axis and flange axes at the joints `near`.
pub(super) struct NearFrame {
    pub frame: SwivelFrame,
    pub elbow_axis: Vector3<f64>,
    flange: Axes,
}

impl NearFrame {
    /// Elbow axis rotated by the smallest rotation that takes the line onto `target`'s; `None` for opposite lines.
    fn carried_to(&self, target: &SwivelFrame) -> Option<Vector3<f64>> {
        let (from, to) = (&self.frame.line, &target.line);
        let halved = 1.0 + from.dot(to);
        (halved > 1e-6).then(|| self.elbow_axis - (from + to) * (to.dot(&self.elbow_axis) / halved))
    }
}

impl Fade {
    /// Share at a value: a smooth step.
    fn at(&self, value: f64) -> f64 {
        let t = ((self.none - value) / (self.none - self.whole)).clamp(0.0, 1.0);
        t * t * (3.0 - 2.0 * t)
    }
}

/// Returns `branch` with the signs of joints 2 and 6 that continue `near` where these joints may pass through zero.
pub(super) fn nearest_signs(circle: &Circle, swivel: f64, branch: Branch, near: &Joints) -> Branch {
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
        if q.abs() < ALIGNMENT.none && turned < as_is {
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

/// Moves the swivel `held` a little towards the nearest one at which no joint is close to a limit (rad).
pub(super) fn drifted(search: &Search, held: f64) -> f64 {
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
    let step = (DRIFT_GAIN * wrap(target - held)).clamp(-MAX_SWIVEL_DRIFT, MAX_SWIVEL_DRIFT);
    // Where joint axes are nearly aligned, a small change of the swivel moves a joint far.
    let moved = (search.joints_at(held + step) - search.joints_at(held)).amax();
    let share = if moved > MAX_JOINT_DRIFT {
        MAX_JOINT_DRIFT / moved
    } else {
        1.0
    };
    wrap(held + share * step)
}

#[cfg(test)]
mod tests;
