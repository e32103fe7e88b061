//! Learning rates over the steps: Hugging Face's `cosine_with_min_lr`.

use super::config::settings::{LearningRates, ScheduleSettings};

/// Factor of every group's peak learning rate at a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    warmup: f64,
    total: f64,
    /// Fraction of the peak at the end.
    floor: f64,
    constant: bool,
}

impl Schedule {
    /// Creates a schedule over `total_steps` steps. The smallest rate, as a fraction of the base group's peak, is the
    /// floor of all groups.
    pub fn new(settings: &ScheduleSettings, rates: &LearningRates, total_steps: u64) -> Self {
        Self {
            warmup: settings.warmup_steps as f64,
            total: total_steps as f64,
            floor: settings.min_lr / rates.base,
            constant: settings.constant,
        }
    }

    /// Returns the factor of step `step`, counted from 0.
    pub fn factor(&self, step: u64) -> f64 {
        let step = step as f64;
        if self.constant {
            return 1.0;
        }
        if step < self.warmup {
            return step / self.warmup;
        }
        let progress = (step - self.warmup) / (self.total - self.warmup).max(1.0);
        let cosine = 0.5 * (1.0 + (std::f64::consts::PI * progress.min(1.0)).cos());
        cosine * (1.0 - self.floor) + self.floor
    }
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;

    use super::*;

    const RATES: [fn(&LearningRates) -> f64; 3] = [|r| r.base, |r| r.qwen_vl_interface, |r| r.action_model];

    #[test]
    fn rates_rise_to_their_peaks_and_end_at_a_twenty_fifth_of_them() {
        let rates = LearningRates::default();
        let schedule = Schedule::new(&ScheduleSettings::default(), &rates, 80_000);
        let at = |step| RATES.map(|rate| rate(&rates) * schedule.factor(step));
        assert_eq!(at(0), [0.0; 3]);
        for (step, expected) in [
            (2500, [1.25e-5, 5e-6, 1e-4]),
            (5000, [2.5e-5, 1e-5, 2e-4]),
            // half-way down: 0.04 + 0.96 / 2
            (42_500, [1.3e-5, 5.2e-6, 1.04e-4]),
            (80_000, [1e-6, 4e-7, 8e-6]),
            (90_000, [1e-6, 4e-7, 8e-6]),
        ] {
            for (found, expected) in at(step).into_iter().zip(expected) {
                assert_relative_eq!(found, expected, max_relative = 1e-12);
            }
        }
    }

    #[test]
    fn a_constant_schedule_stays_at_the_peak() {
        let constant = ScheduleSettings {
            constant: true,
            ..ScheduleSettings::default()
        };
        let schedule = Schedule::new(&constant, &LearningRates::default(), 10);
        assert_eq!([0, 5, 100].map(|step| schedule.factor(step)), [1.0; 3]);
    }
}
