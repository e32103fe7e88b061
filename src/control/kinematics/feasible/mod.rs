//! Swivels that keep every joint inside its limits.

use std::f64::consts::{PI, TAU};

use super::swivel::Circle;
use super::swivel_functions::wrap;
use super::{Branch, JointLimits};
use crate::types::Joints;

/// Tolerance within which a joint beyond its limit counts as on it (rad).
const ON_LIMIT: f64 = 1e-9;

/// Index of joint 4, which depends only on the distance from shoulder to wrist.
const ELBOW: usize = 3;

/// Largest number of swivels at which a joint meets a limit: six per joint for 1, 3, 5 and 7, four for 2 and 6.
const MEETINGS: usize = 4 * 6 + 2 * 4;

/// Choice among the equivalent angles, full turns apart, of joints 1, 3, 5 and 7.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turns {
    /// The angle nearest to `near`, inside the limits or not; for following a path.
    Continuous,
    /// The angle inside the limits nearest to `near`; for planning a move of an arm at rest.
    Any,
}

/// Parameters that decide whether a swivel is feasible.
#[derive(Debug, Clone, Copy)]
pub(super) struct Search<'a> {
    pub circle: &'a Circle,
    pub branch: Branch,
    pub limits: JointLimits,
    pub near: &'a Joints,
    pub turns: Turns,
}

/// Joint that is farthest outside its limits, or closest to one if none is outside.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Excess {
    /// Joint, 1 to 7.
    pub joint: usize,
    /// Angle beyond the limit (rad); negative if inside.
    pub beyond: f64,
}

/// Range of feasible swivels (rad), `start` within -pi .. pi.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Span {
    pub start: f64,
    pub length: f64,
}

impl Span {
    /// Swivel in this span nearest to `swivel` (rad).
    pub fn nearest(&self, swivel: f64) -> f64 {
        let half = 0.5 * self.length;
        let from_middle = wrap(swivel - self.middle());
        // Slightly inside, so that the joint that bounds the span keeps its limit after rounding.
        let hair = (0.25 * self.length).min(1e-9);
        wrap(self.middle() + from_middle.clamp(hair - half, half - hair))
    }

    pub fn middle(&self) -> f64 {
        wrap(self.start + 0.5 * self.length)
    }
}

impl Search<'_> {
    /// Joint positions (rad) at `swivel` with full turns chosen; limits are not checked.
    pub fn joints_at(&self, swivel: f64) -> Joints {
        let mut joints = self.circle.joints_at(swivel, self.branch, self.near);
        let ranges = self.limits.lower.iter().zip(self.limits.upper.iter());
        for (joint, ((q, near), (lower, upper))) in joints.iter_mut().zip(self.near.iter()).zip(ranges).enumerate() {
            // Joints 2, 4 and 6 cannot turn all the way round.
            if joint % 2 == 1 {
                continue;
            }
            let continued = near + wrap(*q - near);
            *q = match self.turns {
                Turns::Continuous => continued,
                Turns::Any => [continued, wrap(*q), wrap(*q) - TAU, wrap(*q) + TAU]
                    .into_iter()
                    .filter(|q| (lower - ON_LIMIT..=upper + ON_LIMIT).contains(q))
                    .min_by(|a, b| (a - near).abs().total_cmp(&(b - near).abs()))
                    .unwrap_or(continued),
            };
        }
        joints
    }

    /// Finds the joint that is farthest outside its limits, or closest to one.
    pub fn worst(&self, joints: &Joints) -> Excess {
        let (below, above) = (self.limits.lower - joints, joints - self.limits.upper);
        let mut worst = Excess {
            joint: 1,
            beyond: f64::NEG_INFINITY,
        };
        for (joint, beyond) in (1..).zip(below.sup(&above).iter().copied()) {
            if beyond > worst.beyond {
                worst = Excess { joint, beyond };
            }
        }
        worst
    }

    /// Whether every joint that depends on the swivel is inside the limits at `swivel`.
    pub fn is_feasible(&self, swivel: f64) -> bool {
        self.admits(&self.joints_at(swivel))
    }

    /// Whether every joint that depends on the swivel is inside the limits.
    pub fn admits(&self, joints: &Joints) -> bool {
        let ranges = self.limits.lower.iter().zip(self.limits.upper.iter());
        joints
            .iter()
            .zip(ranges)
            .enumerate()
            .filter(|(joint, _)| *joint != ELBOW)
            .all(|(_, (q, (lower, upper)))| (lower - ON_LIMIT..=upper + ON_LIMIT).contains(q))
    }

    /// Moves joints onto the limits that they exceed by rounding (rad).
    pub fn settled(&self, joints: &Joints) -> Joints {
        joints.sup(&self.limits.lower).inf(&self.limits.upper)
    }

    /// Calls `visit` with every span of feasible swivels between two swivels at which a joint meets a limit; neighbouring
    /// spans may touch.
    pub fn for_each_span(&self, mut visit: impl FnMut(Span)) {
        let mut store = [0.0; MEETINGS];
        for span in spans_between(self.meetings(&mut store)) {
            if self.is_feasible(span.middle()) {
                visit(span);
            }
        }
    }

    /// Feasible swivel nearest to `swivel` (rad).
    pub fn nearest(&self, swivel: f64) -> Option<f64> {
        let mut store = [0.0; MEETINGS];
        let distance = |s: f64| wrap(s - swivel).abs();
        let mut best: Option<f64> = None;
        for span in spans_between(self.meetings(&mut store)) {
            let candidate = span.nearest(swivel);
            // The distance is compared first because it is cheap and rules out most spans.
            if best.is_none_or(|b| distance(candidate) < distance(b)) && self.is_feasible(span.middle()) {
                best = Some(candidate);
            }
        }
        best
    }

    /// Swivels at which a joint meets a limit, or at which the choice between its equivalent angles changes (rad).
    fn meetings<'s>(&self, store: &'s mut [f64; MEETINGS]) -> &'s mut [f64] {
        type Solver = fn(&Circle, f64) -> [f64; 2];
        let circle = self.circle;
        let [lower, upper, near]: [[f64; 7]; 3] =
            [self.limits.lower.into(), self.limits.upper.into(), (*self.near).into()];
        let round: [(Solver, [f64; 3]); 4] = [
            (Circle::swivels_of_joint1, [lower[0], upper[0], near[0]]),
            (Circle::swivels_of_joint3, [lower[2], upper[2], near[2]]),
            (Circle::swivels_of_joint5, [lower[4], upper[4], near[4]]),
            (Circle::swivels_of_joint7, [lower[6], upper[6], near[6]]),
        ];
        let bent: [(Solver, [f64; 2]); 2] = [
            (Circle::swivels_of_joint2, [lower[1], upper[1]]),
            (Circle::swivels_of_joint6, [lower[5], upper[5]]),
        ];
        let of_round = round.into_iter().flat_map(|(solve, [lower, upper, near])| {
            let seam = match self.turns {
                Turns::Continuous => near + PI,
                Turns::Any => PI,
            };
            [lower, upper, seam]
                .into_iter()
                .flat_map(move |angle| solve(circle, angle))
        });
        let of_bent = bent
            .into_iter()
            .flat_map(|(solve, range)| range.into_iter().flat_map(move |angle| solve(circle, angle)));
        let mut count = 0;
        for (slot, swivel) in store.iter_mut().zip(of_round.chain(of_bent)) {
            *slot = swivel;
            count += 1;
        }
        store.split_at_mut(count).0
    }
}

/// Spans between neighbouring swivels around the whole circle.
fn spans_between(meetings: &mut [f64]) -> impl Iterator<Item = Span> {
    meetings.sort_unstable_by(f64::total_cmp);
    let meetings = &*meetings;
    let next = meetings
        .iter()
        .skip(1)
        .copied()
        .chain(meetings.first().map(|first| first + TAU));
    meetings
        .iter()
        .zip(next)
        .map(|(start, end)| Span {
            start: *start,
            length: end - start,
        })
        .filter(|span| span.length > 1e-12)
}

#[cfg(test)]
mod tests;
