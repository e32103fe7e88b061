//! How motion asked for becomes steps: never faster than its pace, and each plan ends at rest by itself.

use nalgebra::SVector;

/// Time from one step to the next (s); the arm node reports as often, and a new plan follows every report.
pub const STEP_S: f64 = 0.05;
/// Steps of the last plan that a plan begins with: it comes to the arm while the first of them is under way, and joins
/// there without a seam.
const KEPT: usize = 1;
/// Steps with what is asked for, then it brakes: a report may come late by one.
const LEAD: usize = 2;
/// Steps of the shortest and of the longest plan.
const SHORTEST: usize = 4;
const LONGEST: usize = 60;

/// Speed and acceleration of one kind of motion, in its unit a second (squared).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// Largest speed.
    pub fastest: f64,
    /// Largest acceleration.
    pub acceleration: f64,
}

/// One kind of motion under way: translation, rotation, or joints.
#[derive(Debug, Clone, PartialEq)]
pub struct Course<const N: usize> {
    /// Velocity at the start of the last plan, then after each of its steps.
    planned: Vec<SVector<f64, N>>,
}

impl<const N: usize> Default for Course<N> {
    fn default() -> Self {
        Self { planned: Vec::new() }
    }
}

impl<const N: usize> Course<N> {
    /// Offsets from where the arm is now, one a step, `elapsed` (s) after the last plan. The first goes on with that
    /// plan, or rests.
    ///
    /// `wanted` gives the velocity that is asked for at an offset. Speed and change of velocity stay within the pace,
    /// except that what moves faster already is brought down to it.
    pub fn plan(
        &mut self,
        elapsed: f64,
        pace: Pace,
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
            velocity = if step < KEPT {
                velocity_of(&last, elapsed + STEP_S * (step + 1) as f64)
            } else if step < KEPT + LEAD {
                before + shortened(shortened(wanted(&offset), pace.fastest) - before, change)
            } else {
                before + shortened(-before, change)
            };
            // As far as constant acceleration goes: a spline through the steps then needs no more of it.
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

/// Velocity a plan has `elapsed` (s) after its start; none after its end.
fn velocity_of<const N: usize>(planned: &[SVector<f64, N>], elapsed: f64) -> SVector<f64, N> {
    let step = (elapsed / STEP_S).round().max(0.0) as usize;
    planned.get(step).copied().unwrap_or_else(SVector::zeros)
}

/// How far the longest plan of a pace leads.
pub fn longest_way(pace: Pace) -> f64 {
    let full = SVector::<f64, 1>::new(pace.fastest);
    let mut course = Course {
        planned: vec![full; KEPT + 1],
    };
    course.plan(0.0, pace, |_| full).last().map_or(0.0, |way| way.norm())
}

/// The vector, or one of its direction and the length `longest`; none where it is no number.
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

    const PACE: Pace = Pace {
        fastest: 0.2,
        acceleration: 1.0,
    };

    #[test]
    fn a_plan_nobody_renews_ends_at_rest() {
        let mut course = Course::<3>::default();
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
        let (mut at, mut course) = (Vector3::zeros(), Course::<3>::default());
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
            let mut course = Course::<3>::default();
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
