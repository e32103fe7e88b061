//! Errors of chunks against recorded ones, and their statistics over rows.

use serde::Serialize;

use crate::contract::Composition;
use crate::control::composition::Offset;
use crate::stats::percentile;

/// Values of an action of the tool: translation (m), rotation vector (rad), gripper.
pub const WIDTH: usize = 7;
/// Gripper values from this one on count as open.
const OPEN: f64 = 0.5;

/// Difference between two motions of the tool.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MotionError {
    /// Length of the difference of the translations (m).
    pub translation_m: f64,
    /// Angle between the rotations (rad).
    pub rotation_rad: f64,
}

/// Error of a chunk against the recorded one, over the recorded steps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChunkDeviation {
    /// Error of the first action.
    pub first: MotionError,
    /// Error of the displacement of the tool over all steps together.
    pub whole: MotionError,
    /// Whether the first action opens or closes the gripper as recorded.
    pub first_gripper: bool,
    /// Share of the steps whose gripper does, 0 to 1.
    pub whole_gripper: f64,
}

impl ChunkDeviation {
    /// Compares as many steps as were recorded; returns `None` where none was.
    ///
    /// # Shapes
    /// given, recorded: (steps, `WIDTH`), row major; of `given` there may be more.
    pub fn of(given: &[f64], recorded: &[f64], composition: Composition) -> Option<Self> {
        let steps = || given.chunks_exact(WIDTH).zip(recorded.chunks_exact(WIDTH));
        let (first_given, first_recorded) = steps().next()?;
        let start = [Offset::none(); 2];
        let end = steps().fold(start, |[a, b], (given, recorded)| {
            [a.then(given, composition), b.then(recorded, composition)]
        });
        let open = |step: &[f64]| step.last().is_some_and(|gripper| *gripper >= OPEN);
        let agree = steps()
            .filter(|(given, recorded)| open(given) == open(recorded))
            .count();
        Some(Self {
            first: MotionError::between([Offset::of(first_given), Offset::of(first_recorded)]),
            whole: MotionError::between(end),
            first_gripper: open(first_given) == open(first_recorded),
            whole_gripper: agree as f64 / steps().count() as f64,
        })
    }
}

impl MotionError {
    fn between([a, b]: [Offset; 2]) -> Self {
        Self {
            translation_m: (a.translation - b.translation).norm(),
            rotation_rad: a.rotation.angle_to(&b.rotation),
        }
    }
}

/// Median and 95th percentile.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// Median.
    pub p50: f64,
    /// 95th percentile.
    pub p95: f64,
}

impl Spread {
    fn of(values: &[f64]) -> Self {
        let at = |p| percentile(values, p).unwrap_or_default();
        Self {
            p50: at(50.0),
            p95: at(95.0),
        }
    }
}

/// Errors of one motion over all rows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct MotionErrors {
    /// Translation error (mm).
    pub translation_mm: Spread,
    /// Rotation error (degrees).
    pub rotation_deg: Spread,
    /// Share of steps whose gripper is open or closed as recorded, 0 to 1.
    pub gripper_agreement: f64,
}

/// Errors of chunks over all rows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ChunkErrors {
    /// Errors of the first action.
    pub first: MotionErrors,
    /// Errors of the displacement of the tool over all steps together.
    pub whole: MotionErrors,
}

impl ChunkErrors {
    /// Summarises rows, each with the same weight.
    pub fn of(rows: &[ChunkDeviation]) -> Self {
        let errors = |motion: &dyn Fn(&ChunkDeviation) -> MotionError, gripper: &dyn Fn(&ChunkDeviation) -> f64| {
            let of = |value: &dyn Fn(MotionError) -> f64| {
                Spread::of(&rows.iter().map(|row| value(motion(row))).collect::<Vec<_>>())
            };
            MotionErrors {
                translation_mm: of(&|error| 1e3 * error.translation_m),
                rotation_deg: of(&|error| error.rotation_rad.to_degrees()),
                gripper_agreement: rows.iter().map(gripper).sum::<f64>() / rows.len().max(1) as f64,
            }
        };
        Self {
            first: errors(&|row| row.first, &|row| f64::from(u8::from(row.first_gripper))),
            whole: errors(&|row| row.whole, &|row| row.whole_gripper),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPOSITION: Composition = Composition::Sequential;

    fn step(x: f64, rz: f64, gripper: f64) -> [f64; WIDTH] {
        [x, 0.0, 0.0, 0.0, 0.0, rz, gripper]
    }

    #[test]
    fn errors_that_cancel_over_the_chunk_count_in_its_first_action_only() {
        let given = [step(0.010, 0.2, 1.0), step(0.020, 0.0, 1.0)].concat();
        let recorded = [step(0.014, 0.1, 1.0), step(0.016, 0.1, 0.0)].concat();
        let error = ChunkDeviation::of(&given, &recorded, COMPOSITION).unwrap();
        assert!((error.first.translation_m - 0.004).abs() < 1e-12 && (error.first.rotation_rad - 0.1).abs() < 1e-9);
        assert!(error.whole.translation_m < 1e-12 && error.whole.rotation_rad < 1e-7);
        assert!(error.first_gripper && error.whole_gripper == 0.5);
    }

    #[test]
    fn steps_behind_the_end_of_an_episode_do_not_count() {
        let given = [step(0.3, 0.0, 1.0), step(5.0, 1.0, 0.0)].concat();
        let error = ChunkDeviation::of(&given, &step(0.29, 0.0, 1.0), COMPOSITION).unwrap();
        assert_eq!(error.first, error.whole);
        assert!((error.whole.translation_m - 0.01).abs() < 1e-12 && error.whole_gripper == 1.0);
        assert_eq!(ChunkDeviation::of(&given, &[], COMPOSITION), None);
    }

    #[test]
    fn figures_are_in_millimetres_and_degrees() {
        let half = std::f64::consts::FRAC_PI_2;
        let row = |x: f64| ChunkDeviation::of(&step(x, half, 1.0), &step(0.0, 0.0, 0.0), COMPOSITION).unwrap();
        let rows: Vec<_> = (1..=100).map(|mm| row(f64::from(mm) * 1e-3)).collect();
        let first = ChunkErrors::of(&rows).first;
        assert!((first.translation_mm.p50 - 50.0).abs() < 1e-9 && (first.translation_mm.p95 - 95.0).abs() < 1e-9);
        assert!((first.rotation_deg.p50 - 90.0).abs() < 1e-9);
        assert_eq!(first.gripper_agreement, 0.0);
    }
}
