//! Smoothness of joint commands at a constant rate.

use serde::{Deserialize, Serialize};

use crate::types::{JOINTS, Joints};

/// Smoothness of one run, from finite differences of the commanded joints.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Smoothness {
    /// Number of chunks that the arm took.
    pub seams: u64,
    /// Largest change of a joint's velocity from the last command of one chunk to the first of the next (rad/s).
    pub seam_velocity_step: f64,
    /// Largest jerk of a joint in a difference that spans a seam (rad/s^3).
    pub seam_jerk: f64,
    /// Root mean square of the jerk over all joints and commands (rad/s^3).
    pub rms_jerk: f64,
}

/// Measures the smoothness of a run.
#[derive(Debug, Clone)]
pub struct SmoothnessMeter {
    period_s: f64,
    /// Previous commands, the newest first.
    before: [Option<Joints>; 3],
    /// Number of commands whose differences still span the last seam.
    across: u8,
    seams: u64,
    seam_velocity_step: f64,
    seam_jerk: f64,
    squares: f64,
    differences: u64,
}

impl SmoothnessMeter {
    /// Creates a meter for commands that come every `period_s` (s).
    pub fn new(period_s: f64) -> Self {
        Self {
            period_s,
            before: [None; 3],
            across: 0,
            seams: 0,
            seam_velocity_step: 0.0,
            seam_jerk: 0.0,
            squares: 0.0,
            differences: 0,
        }
    }

    /// Adds the next command (rad); `seam` says that it is the first of a chunk.
    pub fn push(&mut self, joints: Joints, seam: bool) {
        if seam {
            self.seams += 1;
            // A third difference spans four commands, so three of them cross the seam.
            self.across = 3;
        }
        let [one, two, three] = self.before;
        if let (true, Some(one), Some(two)) = (seam, one, two) {
            let step = (joints - one * 2.0 + two) / self.period_s;
            self.seam_velocity_step = self.seam_velocity_step.max(step.amax());
        }
        if let (Some(one), Some(two), Some(three)) = (one, two, three) {
            let jerk = (joints - one * 3.0 + two * 3.0 - three) / self.period_s.powi(3);
            self.squares += jerk.norm_squared();
            self.differences += 1;
            if self.across > 0 {
                self.seam_jerk = self.seam_jerk.max(jerk.amax());
            }
        }
        self.across = self.across.saturating_sub(1);
        self.before = [Some(joints), one, two];
    }

    /// Returns the figures of the commands so far.
    pub fn figures(&self) -> Smoothness {
        let values = self.differences.max(1) as f64 * JOINTS as f64;
        Smoothness {
            seams: self.seams,
            seam_velocity_step: self.seam_velocity_step,
            seam_jerk: self.seam_jerk,
            rms_jerk: (self.squares / values).sqrt(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: f64 = 0.01;

    fn watch(path: impl Fn(f64) -> f64, seam_at: usize) -> Smoothness {
        let mut meter = SmoothnessMeter::new(PERIOD);
        for i in 0..200 {
            meter.push(Joints::repeat(path(i as f64 * PERIOD)), i == seam_at);
        }
        meter.figures()
    }

    #[test]
    fn a_constant_jerk_is_found_as_it_is() {
        // The third derivative of 2 t^3 is 12.
        let found = watch(|t| 2.0 * t.powi(3), 100);
        assert!((found.rms_jerk - 12.0).abs() < 1e-3, "{found:?}");
        assert!((found.seam_jerk - 12.0).abs() < 1e-3, "{found:?}");
    }

    #[test]
    fn a_kink_at_a_seam_is_a_step_of_the_velocity() {
        let kink = |t: f64| if t < 0.995 { 0.0 } else { 0.3 * (t - 0.99) };
        let found = watch(kink, 100);
        assert_eq!(found.seams, 1);
        assert!((found.seam_velocity_step - 0.3).abs() < 1e-9, "{found:?}");
        assert!(found.seam_jerk > 1000.0, "{found:?}");
    }

    #[test]
    fn a_kink_elsewhere_is_no_fault_of_a_seam() {
        let kink = |t: f64| if t < 0.995 { 0.0 } else { 0.3 * (t - 0.99) };
        let found = watch(kink, 50);
        assert!(found.seam_velocity_step < 1e-9 && found.seam_jerk < 1e-3, "{found:?}");
        assert!(found.rms_jerk > 1.0, "{found:?}");
    }
}
