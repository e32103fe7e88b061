//! Plans requested motion as steps within limits of speed and acceleration; each plan ends at rest.

use nalgebra::SVector;

/// Time between steps (s); the arm node reports at this period, and a new plan follows every report.
pub const STEP_S: f64 = 0.05;
/// Number of steps that a plan takes from the last one: it reaches the arm while the first of them is executed, and
/// joins there without a discontinuity.
const KEPT_STEPS: usize = 1;
/// Number of steps that follow the request before the plan brakes: a report may be late by one.
const LEAD: usize = 2;
/// Minimum and maximum number of steps of a plan.
const SHORTEST: usize = 4;
const LONGEST: usize = 60;

/// Limits of speed and acceleration of one kind of motion, in its unit per second (squared).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MotionLimits {
    /// Maximum speed.
    pub fastest: f64,
    /// Maximum acceleration.
    pub acceleration: f64,
}

/// One kind of motion in progress: translation, rotation, or joints.
#[derive(Debug, Clone, PartialEq)]
pub struct MotionProfile<const N: usize> {
    /// Velocity at the start of the last plan, and after each of its steps.
    planned: Vec<SVector<f64, N>>,
}

impl<const N: usize> Default for MotionProfile<N> {
    fn default() -> Self {
        Self { planned: Vec::new() }
    }
}

impl<const N: usize> MotionProfile<N> {
    /// Plans offsets from the current position, one per step, `elapsed` (s) after the last plan. The first step
    /// continues that plan, or rests if there is none.
    ///
    /// `wanted` gives the requested velocity at an offset. Speed and change of velocity stay within the pace; motion
    /// that is already faster is slowed down to it.
    pub fn plan(
        &mut self,
        elapsed: f64,
        pace: MotionLimits,
        wanted: impl Fn(&SVector<f64, N>) -> SVector<f64, N>,
    ) -> Vec<SVector<f64, N>> {
        let last = std::mem::take(&mut self.planned);
        let mut velocity = velocity_of(&last, elapsed);
        let mut offset = SVector::zeros();
        let mut offsets = Vec::new();
        self.planned.push(velocity);
        let change = pace.acceleration * STEP_S;
        while offsets.len() < LONGEST {
            let (step, before) = (offsets.len(), velocity);
            velocity = if step < KEPT_STEPS {
                velocity_of(&last, elapsed + STEP_S * (step + 1) as f64)
            } else if step < KEPT_STEPS + LEAD {
                before + shortened(shortened(wanted(&offset), pace.fastest) - before, change)
            } else {
                before + shortened(-before, change)
            };
            // Distance under constant acceleration: a spline through the steps then needs no higher one.
            offset += (before + velocity) * (0.5 * STEP_S);
            offsets.push(offset);
            self.planned.push(velocity);
            if offsets.len() >= SHORTEST && velocity.norm() < 1e-12 {
                break;
            }
        }
        offsets
    }
}

/// Velocity of a plan `elapsed` (s) after its start; zero after its end.
fn velocity_of<const N: usize>(planned: &[SVector<f64, N>], elapsed: f64) -> SVector<f64, N> {
    let step = (elapsed / STEP_S).round().max(0.0) as usize;
    planned.get(step).copied().unwrap_or_else(SVector::zeros)
}

/// Returns the length of the longest plan of a pace.
pub fn longest_way(pace: MotionLimits) -> f64 {
    let full = SVector::<f64, 1>::new(pace.fastest);
    let mut course = MotionProfile {
        planned: vec![full; KEPT_STEPS + 1],
    };
    course.plan(0.0, pace, |_| full).last().map_or(0.0, |way| way.norm())
}

/// Shortens a vector to the length `longest` if it is longer; zero if it is not finite.
pub fn shortened<const N: usize>(vector: SVector<f64, N>, longest: f64) -> SVector<f64, N> {
    let norm = vector.norm();
    if !norm.is_finite() {
        return SVector::zeros();
    }
    if norm <= longest {
        vector
    } else {
        vector * (longest / norm)
    }
}

#[cfg(test)]
mod tests {
    use nalgebra::Vector3;
    use proptest::prelude::*;

    use super::*;

    const PACE: MotionLimits = MotionLimits {
        fastest: 0.2,
        acceleration: 1.0,
    };

    #[test]
    fn a_plan_nobody_renews_ends_at_rest() {
        let mut course = MotionProfile::<3>::default();
        for _ in 0..10 {
            course.plan(STEP_S, PACE, |_| Vector3::x());
        }
        let offsets = course.plan(STEP_S, PACE, |_| Vector3::x());
        assert!((offsets[0].x - 0.2 * STEP_S).abs() < 1e-12, "full speed is reached");
        let end = STEP_S * offsets.len() as f64;
        assert!(velocity_of(&course.planned, end).norm() < 1e-12, "{:?}", course.planned);
        assert!(velocity_of(&course.planned, 10.0).norm() == 0.0);
    }

    #[test]
    fn a_target_is_come_to_and_not_passed() {
        let target = Vector3::new(0.03, -0.02, 0.01);
        let (mut at, mut course) = (Vector3::zeros(), MotionProfile::<3>::default());
        for _ in 0..100 {
            let offsets = course.plan(STEP_S, PACE, |offset| (target - at - offset) / 0.15);
            at += offsets[0];
            assert!((at - target).dot(&target) <= 1e-6, "passed at {at:?}");
        }
        assert!((at - target).norm() < 1e-6, "{at:?}");
    }

    proptest! {
        #[test]
        fn no_step_is_longer_than_the_pace_and_none_is_jerked(
            wants in prop::collection::vec(prop::array::uniform3(-10.0..10.0f64), 1..20),
            elapsed in 0.0..0.3f64,
        ) {
            let mut course = MotionProfile::<3>::default();
            for want in wants {
                let before = velocity_of(&course.planned, elapsed);
                let offsets = course.plan(elapsed, PACE, |_| Vector3::from(want));
                let (mut last, mut velocity) = (Vector3::zeros(), before);
                for (offset, planned) in offsets.iter().zip(course.planned.iter().skip(1)) {
                    let step: Vector3<f64> = offset - last;
                    prop_assert!(step.norm() <= PACE.fastest * STEP_S + 1e-12);
                    prop_assert!((planned - velocity).norm() <= PACE.acceleration * STEP_S + 1e-9);
                    prop_assert!((step / STEP_S - (planned + velocity) / 2.0).norm() < 1e-9);
                    (last, velocity) = (*offset, *planned);
                }
                prop_assert!(velocity.norm() < 1e-9, "it does not end at rest");
            }
        }
    }
}
