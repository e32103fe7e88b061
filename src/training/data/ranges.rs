//! Ranges that actions and states of the training data are normalised by.

use crate::contract::{DimensionStatistics, Normalisation};
use crate::dataset::statistics::Statistics;

/// Range below which a dimension counts as one that never moved (m, rad, or share of the gripper's stroke). Kinematics leaves
/// rounding errors of 1e-16 in rotations that stay as they are, and 32 bits of 1e-7 in joint angles; normalised to such a range
/// they would be taken for motion.
const NEVER_MOVED: f64 = 1e-6;

/// Fills in the exact statistics of rows; how each dimension is normalised stays. One that never moved keeps the range it had
/// where its value lies inside: the same value is learned in any range, and a range of nothing could not be run. One
/// without finite values keeps its range too.
pub(super) fn fill(dimensions: &mut [DimensionStatistics], rows: &[f32]) {
    let all = Statistics::of_rows(rows, dimensions.len());
    let [q01, .., q99] = &all.quantiles;
    for (at, of) in dimensions.iter_mut().enumerate() {
        let value = |list: &[f64]| list.get(at).copied().unwrap_or_default();
        let (low, high) = (value(&all.min), value(&all.max));
        let middle = 0.5 * (low + high);
        let never_moved = high - low < NEVER_MOVED;
        if !middle.is_finite() || (never_moved && covers(of, middle)) {
            continue;
        }
        let steady = |low: f64, high: f64| match high - low < NEVER_MOVED {
            true => (0.5 * (low + high), 0.5 * (low + high)),
            false => (low, high),
        };
        (of.min, of.max) = steady(low, high);
        (of.q01, of.q99) = steady(value(q01), value(q99));
        (of.mean, of.std) = match never_moved {
            true => (middle, 0.0),
            false => (value(&all.mean), value(&all.std)),
        };
    }
}

/// Whether a value lies inside the range that the normalisation of a dimension spans.
fn covers(of: &DimensionStatistics, value: f64) -> bool {
    let inside = |low: f64, high: f64| low < value && value < high && high - low >= NEVER_MOVED;
    match of.normalisation {
        Normalisation::MinMax => inside(of.min, of.max),
        Normalisation::Q99 => inside(of.q01, of.q99),
        Normalisation::MeanStd => of.std >= NEVER_MOVED,
        Normalisation::None | Normalisation::Binary => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(normalisation: Normalisation, [low, high]: [f64; 2]) -> DimensionStatistics {
        let (mean, std) = (0.5 * (low + high), 0.3 * (high - low));
        let (name, min, max, q01, q99) = ("rx".into(), low, high, low, high);
        DimensionStatistics {
            name,
            normalisation,
            min,
            max,
            mean,
            std,
            q01,
            q99,
        }
    }

    #[test]
    fn rounding_errors_are_no_motion() {
        use Normalisation::{MeanStd, MinMax, Q99};
        for normalisation in [MinMax, Q99, MeanStd] {
            let known = of(normalisation, [-0.004, 0.005]);
            let mut kept = [known.clone()];
            fill(&mut kept, &[1e-16, -4e-16, 5e-16]);
            assert_eq!(kept, [known]);
            // Where the value lies elsewhere, nothing is known of a range.
            let mut still = [of(normalisation, [0.1, 0.1])];
            fill(&mut still, &[0.25, 0.25 + 1e-7, 0.25]);
            let [still] = still;
            assert!(
                still.min == still.max && still.q01 == still.q99 && still.std == 0.0,
                "{still:?}"
            );
            assert!((still.min - 0.25).abs() < 1e-6, "{still:?}");
        }
    }

    #[test]
    fn dimensions_without_values_keep_their_range() {
        let known = of(Normalisation::Q99, [-0.004, 0.005]);
        for rows in [&[f32::NAN, f32::INFINITY][..], &[]] {
            let mut kept = [known.clone()];
            fill(&mut kept, rows);
            assert_eq!(kept, std::slice::from_ref(&known));
        }
    }

    #[test]
    fn quantiles_of_a_dimension_that_hardly_ever_moves_are_equal() {
        let mut rows = vec![3e-16; 1000];
        rows[500] = 0.02;
        rows[2] = -2e-16;
        let mut moved = [of(Normalisation::Q99, [-0.004, 0.005])];
        fill(&mut moved, &rows);
        let [moved] = moved;
        assert_eq!(moved.q01, moved.q99);
        assert!(moved.max > 0.019 && moved.std > 0.0, "{moved:?}");
    }
}
