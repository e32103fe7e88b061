//! Time scaling: the largest pace along a path at which joint velocities and accelerations stay inside their limits.
//!
//! A path q(s) followed at pace p = ds/dt has velocity q' p and acceleration q' p dp/ds + q'' p^2. With u = p^2 both
//! limits are linear in u, so one pass from the end of the path to its start finds the largest u from which the arm can
//! still slow down to every later one (the backward pass of time-optimal path following). Speeding up needs no look-ahead.

use crate::types::Joints;
use crate::types::time::Time;

/// Fraction of the acceleration limits that the profile uses; the rest is left for sampling errors.
const SHARE: f64 = 0.85;

/// Smallest divisor, which keeps quotients finite.
const TINY: f64 = 1e-12;

/// Joint positions along a path at equal spacing.
#[derive(Debug, Clone)]
pub struct SampledPath {
    /// Time along the path of the first sample.
    pub start: Time,
    /// Time between samples (s).
    pub spacing: f64,
    /// Joint positions (rad).
    pub joints: Vec<Joints>,
}

/// Largest pace along a path; 1 is the pace of the path itself.
#[derive(Debug, Clone)]
pub struct TimeScaling {
    start: Time,
    spacing: f64,
    paces: Vec<f64>,
}

impl TimeScaling {
    /// Computes the profile of a path that ends at rest, with joints limited to `velocity` (rad/s) and `acceleration`
    /// (rad/s^2), and a pace of at most `fastest`.
    pub fn new(path: &SampledPath, velocity: &Joints, acceleration: &Joints, fastest: f64) -> Self {
        let h = path.spacing;
        let at = |j: usize| path.joints.get(j).copied();
        let last = path.joints.len().saturating_sub(1);
        let mut after = fastest * fastest;
        let mut paces: Vec<f64> = (0..path.joints.len())
            .rev()
            .map(|j| {
                let middle = j.clamp(1, last.saturating_sub(1).max(1));
                let (Some(before), Some(here), Some(next)) = (at(middle - 1), at(middle), at(middle + 1)) else {
                    return fastest;
                };
                let bend = (next - here * 2.0 + before) / (h * h);
                let slope = match (at(j), at(j + 1)) {
                    (Some(here), Some(next)) => (next - here) / h,
                    _ => Joints::zeros(),
                };
                let mut largest = fastest * fastest;
                let limits = velocity.iter().zip(acceleration.iter());
                for ((slope, bend), (fastest, hardest)) in slope.iter().zip(bend.iter()).zip(limits) {
                    let (speed, limit) = (slope.abs(), SHARE * hardest);
                    // At a steady pace.
                    largest = largest
                        .min((fastest / speed.max(TINY)).powi(2))
                        .min(limit / bend.abs().max(TINY));
                    // While slowing down to `after`: the joint's deceleration within the limit.
                    let factor = bend * slope.signum() - speed / (2.0 * h);
                    if factor < -TINY {
                        largest = largest.min((limit + speed * after / (2.0 * h)) / -factor);
                    }
                }
                after = largest;
                largest.sqrt()
            })
            .collect();
        paces.reverse();
        Self {
            start: path.start,
            spacing: h,
            paces,
        }
    }

    /// Largest pace at `time` along the path, interpolated between samples.
    pub fn limit_at(&self, time: Time) -> f64 {
        let position = (time.seconds_since(self.start) / self.spacing).max(0.0);
        let index = position as usize;
        let pace = |i: usize| self.paces.get(i).or(self.paces.last()).copied().unwrap_or(1.0);
        let share = (position - index as f64).min(1.0);
        pace(index) * (1.0 - share) + pace(index + 1) * share
    }

    /// Smallest of the largest paces along the path.
    pub fn slowest(&self) -> f64 {
        self.paces.iter().copied().fold(f64::INFINITY, f64::min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Joints that move at `speed` (rad/s) for a second and stop abruptly.
    fn dead_stop(speed: f64) -> SampledPath {
        let joints = (0..=60)
            .map(|j| Joints::repeat(speed * (f64::from(j) * 0.02).min(1.0)))
            .collect();
        SampledPath {
            start: Time(0),
            spacing: 0.02,
            joints,
        }
    }

    fn profile(path: &SampledPath) -> TimeScaling {
        TimeScaling::new(path, &Joints::repeat(2.0), &Joints::repeat(6.0), 1.2)
    }

    #[test]
    fn a_path_inside_the_limits_is_not_slowed() {
        let joints = (0..=50)
            .map(|j| Joints::repeat(0.1 * (f64::from(j) * 0.02).sin()))
            .collect();
        let profile = profile(&SampledPath {
            start: Time(0),
            spacing: 0.02,
            joints,
        });
        assert_eq!(profile.slowest(), 1.2);
    }

    #[test]
    fn before_a_dead_stop_the_pace_falls_early_enough() {
        let profile = profile(&dead_stop(1.0));
        // v^2 / 2a = 1 / 10.2 = 0.098 rad before the stop at 85 % of 6 rad/s^2.
        assert!(profile.limit_at(Time::from_secs_f64(0.8)) > 1.0);
        assert!(profile.limit_at(Time::from_secs_f64(0.94)) < 0.85);
        let mut speed: f64 = 1.0;
        let mut at: f64 = 0.5;
        while at < 0.98 {
            let limit = profile.limit_at(Time::from_secs_f64(at)).min(1.0);
            assert!(
                speed - limit <= 6.0 * 0.001 + 0.003,
                "brakes harder than it may at {at}"
            );
            speed = limit;
            at += limit * 0.001;
        }
    }

    #[test]
    fn a_bend_is_taken_at_the_pace_its_acceleration_leaves() {
        // The acceleration peaks at 12 rad/s^2, where the velocity is almost 0.
        let joints = (0..=100)
            .map(|j| Joints::repeat(0.03 * (20.0 * f64::from(j) * 0.005).sin()))
            .collect();
        let profile = profile(&SampledPath {
            start: Time(0),
            spacing: 0.005,
            joints,
        });
        let peak = Time::from_secs_f64(std::f64::consts::FRAC_PI_2 / 20.0);
        let expected = (0.85f64 * 6.0 / 12.0).sqrt();
        assert!(
            (profile.limit_at(peak) - expected).abs() < 0.01,
            "{}",
            profile.limit_at(peak)
        );
        assert!((profile.slowest() - expected).abs() < 0.01, "{}", profile.slowest());
    }

    #[test]
    fn between_samples_the_limit_is_interpolated_and_outside_it_stays() {
        let profile = TimeScaling {
            start: Time::from_secs_f64(5.0),
            spacing: 0.1,
            paces: vec![1.0, 0.5, 0.7],
        };
        let at = |seconds: f64| profile.limit_at(Time::from_secs_f64(5.0 + seconds));
        for (seconds, expected) in [
            (-1.0, 1.0),
            (0.0, 1.0),
            (0.04, 0.8),
            (0.15, 0.6),
            (0.2, 0.7),
            (9.0, 0.7),
        ] {
            assert!((at(seconds) - expected).abs() < 1e-6, "{} at {seconds}", at(seconds));
        }
        assert_eq!(profile.slowest(), 0.5);
    }

    #[test]
    fn the_velocity_limit_bounds_the_pace() {
        let profile = profile(&dead_stop(4.0));
        assert!((profile.limit_at(Time(0)) - 0.5).abs() < 1e-9);
    }
}
