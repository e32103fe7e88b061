//! Metrics of the policy.

use std::collections::VecDeque;
use std::time::Duration;

/// Number of chunks whose durations are kept.
const WINDOW: usize = 200;

/// Counters since start and recent durations.
#[derive(Debug, Clone, Default)]
pub struct PolicyMetrics {
    /// Chunks published.
    pub chunks: u64,
    /// Number of inferences without a chunk.
    pub failures: u64,
    /// Observations not used because their stamps are too old or in the future.
    pub stale: u64,
    /// Reason of the last one.
    pub last_stale: String,
    /// Reason of the last failure.
    pub last_failure: String,
    /// Questions answered.
    pub answers: u64,
    /// Longest step of an answer since start (ms), which is the longest time an answer has delayed a chunk.
    pub longest_answer_step_ms: f64,
    recent_ms: VecDeque<f64>,
}

impl PolicyMetrics {
    /// Records the duration of a chunk, from images to actions.
    pub fn record(&mut self, duration: Duration) {
        if self.recent_ms.len() == WINDOW {
            self.recent_ms.pop_front();
        }
        self.recent_ms.push_back(duration.as_secs_f64() * 1e3);
    }

    /// Records the duration of a step of an answer.
    pub fn answer_step(&mut self, duration: Duration) {
        self.longest_answer_step_ms = self.longest_answer_step_ms.max(duration.as_secs_f64() * 1e3);
    }

    /// A quantile of the recent durations (ms), `quantile` from 0 to 1; `None` before the first.
    pub fn quantile_ms(&self, quantile: f64) -> Option<f64> {
        let mut sorted: Vec<f64> = self.recent_ms.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().checked_sub(1)?;
        sorted.get((quantile * last as f64).round() as usize).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_last_chunks() {
        let mut metrics = PolicyMetrics::default();
        assert_eq!(metrics.quantile_ms(0.5), None);
        for ms in 1..=300 {
            metrics.record(Duration::from_millis(ms));
        }
        let near = |q: f64, ms: f64| (metrics.quantile_ms(q).unwrap() - ms).abs() < 1.5;
        assert!(near(0.0, 101.0) && near(0.5, 200.0) && near(0.95, 290.0) && near(1.0, 300.0));
    }
}
