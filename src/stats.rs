//! Percentiles, and confidence intervals of success rates.

use serde::Serialize;

/// Returns the p-th percentile of values that need not be sorted, by nearest rank; `None` without values.
///
/// `p` is in per cent, 0 to 100.
pub fn percentile(values: &[f64], p: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (p / 100.0 * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).copied()
}

/// Success rate with its 95 % confidence interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct SuccessRate {
    /// Number of successful trials.
    pub successes: u32,
    /// Number of trials.
    pub trials: u32,
    /// Lower end of Wilson's 95 % score interval, 0 to 1.
    pub low: f64,
    /// Upper end of Wilson's 95 % score interval, 0 to 1.
    pub high: f64,
}

impl SuccessRate {
    /// Computes Wilson's score interval (Wilson 1927), which is valid for few trials and for rates at 0 and 1.
    pub fn of(successes: u32, trials: u32) -> Self {
        let z = 1.959_963_984_540_054;
        let n = f64::from(trials.max(1));
        let rate = f64::from(successes) / n;
        let scale = 1.0 / (1.0 + z * z / n);
        let centre = scale * (rate + z * z / (2.0 * n));
        let half = scale * z * (rate * (1.0 - rate) / n + z * z / (4.0 * n * n)).sqrt();
        let (low, high) = if trials == 0 {
            (0.0, 1.0)
        } else {
            (centre - half, centre + half)
        };
        Self {
            successes,
            trials,
            low: low.max(0.0),
            high: high.min(1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let values = [5.0, 1.0, 4.0, 2.0, 3.0];
        assert_eq!(percentile(&values, 50.0), Some(3.0));
        assert_eq!(percentile(&values, 99.0), Some(5.0));
        assert_eq!(percentile(&values, 0.0), Some(1.0));
        assert_eq!(percentile(&[], 50.0), None);
    }

    #[test]
    fn wilson_interval_matches_published_values() {
        // 19 of 20: 0.764 to 0.991; 20 of 20: 0.839 to 1.
        let nineteen = SuccessRate::of(19, 20);
        assert!(
            (nineteen.low - 0.7639).abs() < 1e-3 && (nineteen.high - 0.9911).abs() < 1e-3,
            "{nineteen:?}"
        );
        let all = SuccessRate::of(20, 20);
        assert!((all.low - 0.8389).abs() < 1e-3 && all.high == 1.0, "{all:?}");
    }

    #[test]
    fn no_trials_tell_nothing() {
        let none = SuccessRate::of(0, 0);
        assert_eq!((none.low, none.high), (0.0, 1.0));
    }
}
