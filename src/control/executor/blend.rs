//! Seam (blend) from the commanded motion to a new plan: an offset in joint space that fades out.

use crate::types::Joints;

/// Joint positions with their first two derivatives.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PathState {
    /// Positions (rad).
    pub position: Joints,
    /// Velocities (rad/s).
    pub velocity: Joints,
    /// Accelerations (rad/s^2).
    pub acceleration: Joints,
}

impl PathState {
    /// Computes the state `steps` steps after the first of three positions `step` (s) apart, on the parabola through them.
    pub fn from_samples(samples: [Joints; 3], step: f64, steps: f64) -> Self {
        let [first, second, third] = samples;
        let bend = third - second * 2.0 + first;
        Self {
            position: first + (second - first) * steps + bend * (0.5 * steps * (steps - 1.0)),
            velocity: (second - first + bend * (steps - 0.5)) / step,
            acceleration: bend / (step * step),
        }
    }
}

/// Ratio of peak speed to mean speed of a quintic from rest to rest.
const QUINTIC_PEAK: f64 = 1.875;
/// Peak acceleration of an offset that fades within one second, per unit of position and per unit of velocity.
const QUINTIC_BEND: [f64; 2] = [5.7735, 3.94];
/// Fraction of the velocity limits that an offset may use while it fades.
const FADE_SPEED_SHARE: f64 = 0.5;
/// Fraction of the acceleration limits that an offset may use while it fades; the rest is left to the plan.
const FADE_ACCELERATION_SHARE: f64 = 0.5;

/// Limits of an offset while it fades.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FadeLimits {
    /// Velocity limits (rad/s).
    pub velocity: Joints,
    /// Acceleration limits (rad/s^2).
    pub acceleration: Joints,
    /// Shortest seam (s).
    pub shortest: f64,
    /// Longest seam (s).
    pub longest: f64,
    /// Longest seam that the acceleration limits may lead to (s).
    pub longest_for_acceleration: f64,
}

/// Offset that starts as the difference of two states and ends at zero with both derivatives: a quintic. Commands
/// therefore have continuous velocity and acceleration at both ends of the seam.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Blend {
    offset: PathState,
    length: f64,
}

impl Blend {
    /// Creates the seam from the commanded state to the state of the new plan at the same time.
    ///
    /// It is as short as half of the joints' velocity and acceleration limits permit, within the bounds for each.
    pub fn new(commanded: &PathState, planned: &PathState, limits: &FadeLimits) -> Self {
        let offset = PathState {
            position: commanded.position - planned.position,
            velocity: commanded.velocity - planned.velocity,
            acceleration: commanded.acceleration - planned.acceleration,
        };
        let for_speed = offset
            .position
            .zip_map(&limits.velocity, |d, v| QUINTIC_PEAK * d.abs() / (FADE_SPEED_SHARE * v))
            .max();
        let [bend, turn] = QUINTIC_BEND;
        // The length T at which bend · d / T² + turn · v / T equals the acceleration that is left.
        let for_acceleration = offset
            .position
            .zip_zip_map(&offset.velocity, &limits.acceleration, |d, v, a| {
                let (left, speed) = (FADE_ACCELERATION_SHARE * a, turn * v.abs());
                (speed + (speed * speed + 4.0 * left * bend * d.abs()).sqrt()) / (2.0 * left)
            })
            .max();
        let longest = limits.longest.max(limits.shortest);
        Self {
            offset,
            length: for_speed
                .max(for_acceleration.min(limits.longest_for_acceleration))
                .clamp(limits.shortest, longest),
        }
    }

    /// Length (s).
    pub fn length(&self) -> f64 {
        self.length
    }

    /// Offset `time` (s) after the start of the seam (rad).
    pub fn at(&self, time: f64) -> Joints {
        if time >= self.length {
            return Joints::zeros();
        }
        let u = (time / self.length).max(0.0);
        let (u2, u3) = (u * u, u * u * u);
        let (u4, u5) = (u2 * u2, u2 * u3);
        let position = 1.0 - 10.0 * u3 + 15.0 * u4 - 6.0 * u5;
        let velocity = (u - 6.0 * u3 + 8.0 * u4 - 3.0 * u5) * self.length;
        let acceleration = 0.5 * (u2 - 3.0 * u3 + 3.0 * u4 - u5) * self.length * self.length;
        self.offset.position * position + self.offset.velocity * velocity + self.offset.acceleration * acceleration
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(position: f64, velocity: f64, acceleration: f64) -> PathState {
        PathState {
            position: Joints::repeat(position),
            velocity: Joints::repeat(velocity),
            acceleration: Joints::repeat(acceleration),
        }
    }

    fn limits(acceleration: f64) -> FadeLimits {
        FadeLimits {
            velocity: Joints::repeat(1.5),
            acceleration: Joints::repeat(acceleration),
            shortest: 0.2,
            longest: 1.0,
            longest_for_acceleration: 1.0,
        }
    }

    #[test]
    fn the_offset_starts_as_the_difference_and_ends_at_zero_with_both_derivatives() {
        let blend = Blend::new(&state(0.02, 0.3, -1.0), &state(0.01, 0.5, 2.0), &limits(1e3));
        let h = 1e-5;
        let around = |t: f64| PathState::from_samples([blend.at(t - h), blend.at(t), blend.at(t + h)], h, 1.0);
        let start = around(2.0 * h);
        assert!((start.position[0] - 0.01).abs() < 1e-4);
        assert!((start.velocity[0] + 0.2).abs() < 1e-3);
        assert!((start.acceleration[0] + 3.0).abs() < 0.05);
        let end = around(0.2 - 2.0 * h);
        assert!(end.position.amax() < 1e-9 && end.velocity.amax() < 1e-6 && end.acceleration.amax() < 0.05);
        assert_eq!(blend.at(0.2), Joints::zeros());
        assert_eq!(blend.at(5.0), Joints::zeros());
    }

    #[test]
    fn a_large_offset_gets_more_time_up_to_the_longest() {
        let length = |offset: f64| {
            let rest = state(0.0, 0.0, 0.0);
            Blend::new(&state(offset, 0.0, 0.0), &rest, &limits(1e3)).length()
        };
        assert_eq!(length(0.01), 0.2);
        assert!((length(0.2) - 0.5).abs() < 1e-12);
        assert_eq!(length(-3.0), 1.0);
    }

    #[test]
    fn an_offset_fades_within_half_of_the_acceleration_limits() {
        for (position, velocity) in [(0.05, 0.0), (0.0, 0.6), (0.03, 0.4), (0.03, -0.4)] {
            let rest = state(0.0, 0.0, 0.0);
            let blend = Blend::new(&state(position, velocity, 0.0), &rest, &limits(6.0));
            assert!(blend.length() > 0.2 && blend.length() < 1.0, "{}", blend.length());
            let h = 1e-3;
            let steps = (blend.length() / h) as usize;
            for step in 1..steps {
                let at = |step: usize| blend.at(step as f64 * h);
                let bend = PathState::from_samples([at(step - 1), at(step), at(step + 1)], h, 1.0).acceleration;
                assert!(bend.amax() < 0.5 * 6.0 + 0.05, "{position} {velocity}: {}", bend.amax());
            }
        }
    }
}
