//! The velocity to take when the one asked for is beyond a limit: catch up with the target without running past it.

use super::Gate;
use super::brake::braked;
use crate::control::arm::Arm;
use crate::types::Joints;
use crate::types::time::Steady;

/// Number of bisection steps between the braking velocity and the requested one.
const HALVINGS: usize = 10;

/// Fraction of the tool's speed limit that a faster motion is scaled down to.
const TOOL_SPEED_SHARE: f64 = 0.999;

impl<A: Arm> Gate<A> {
    /// Velocity nearest to catching up with `target` that keeps every limit (rad/s).
    pub(super) fn nearest_velocity(&mut self, target: &Joints, now: Steady) -> Joints {
        let inside = target.sup(&self.limits.lowest()).inf(&self.limits.highest());
        let fastest = self
            .limits
            .velocity()
            .inf(&Joints::repeat(self.limits.step_rad / self.period));
        let target_velocity = self
            .last_target
            .map_or_else(Joints::zeros, |last| (inside - last) / self.period);
        let lag = Lag {
            error: inside - self.motion.position,
            target_velocity: scaled_into(&target_velocity, &fastest),
            acceleration: self.limits.acceleration(),
            period: self.period,
        };
        let change = self.velocity_change();
        let mut velocity = scaled_into(&lag.catch_up(), &fastest);
        let share = self.singularity_share(&(self.motion.position + velocity * self.period));
        velocity = scaled_into(&velocity, &(fastest * share));
        velocity = self.within_tool_speed(velocity);
        velocity = within_change(&velocity, &self.motion.velocity, &change);

        let Some(violation) = self.path_violation(velocity) else {
            return velocity;
        };
        self.report_clamp(&violation, now);
        let braking = braked(&self.motion.velocity, &change);
        let (mut safe, mut unsafe_share) = (0.0, 1.0);
        for _ in 0..HALVINGS {
            let middle = 0.5 * (safe + unsafe_share);
            match self.path_violation(braking + (velocity - braking) * middle) {
                None => safe = middle,
                Some(_) => unsafe_share = middle,
            }
        }
        braking + (velocity - braking) * safe
    }

    fn within_tool_speed(&self, velocity: Joints) -> Joints {
        let here = self.arm_points.at(&self.motion.position).tool;
        let there = self
            .arm_points
            .at(&(self.motion.position + velocity * self.period))
            .tool;
        let speed = (there - here).norm() / self.period;
        if speed > self.limits.tool_speed_m_s {
            velocity * (TOOL_SPEED_SHARE * self.limits.tool_speed_m_s / speed)
        } else {
            velocity
        }
    }
}

/// Fraction of the acceleration limit used to approach a target; the rest is left for the target's own motion.
const APPROACH_SHARE: f64 = 0.5;

/// Target that the commanded joints lag behind.
#[derive(Debug, Clone, Copy)]
pub struct Lag {
    /// Difference from the commanded joints to the target (rad).
    pub error: Joints,
    /// Velocity of the target (rad/s).
    pub target_velocity: Joints,
    /// Acceleration limits (rad/s^2).
    pub acceleration: Joints,
    /// Time to the next command (s).
    pub period: f64,
}

impl Lag {
    /// Velocity that catches up with the target and can still be braked to the target's velocity on arrival (rad/s).
    pub fn catch_up(&self) -> Joints {
        let lag = self.error - self.target_velocity * self.period;
        let closing = lag.zip_map(&self.acceleration, |lag, acceleration| {
            let brakeable = (2.0 * APPROACH_SHARE * acceleration * lag.abs()).sqrt();
            (lag.abs() / self.period).min(brakeable).copysign(lag)
        });
        self.target_velocity + closing
    }
}

/// Scales `velocity` down, keeping its direction, until every joint is inside `limit` (rad/s).
pub fn scaled_into(velocity: &Joints, limit: &Joints) -> Joints {
    let excess = velocity.iter().zip(limit.iter()).fold(1.0, |worst: f64, (v, limit)| {
        if v.abs() > *limit {
            worst.max(v.abs() / limit)
        } else {
            worst
        }
    });
    if excess.is_finite() {
        velocity / excess
    } else {
        Joints::zeros()
    }
}

/// Clamps every joint of `velocity` to within `change` of `last` (rad/s).
pub fn within_change(velocity: &Joints, last: &Joints, change: &Joints) -> Joints {
    velocity.zip_zip_map(last, change, |v, last, change| v.clamp(last - change, last + change))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scaling_keeps_the_direction_and_a_limit_of_zero_means_rest() {
        let velocity = Joints::from([2.0, -1.0, 0.5, 0.0, 0.0, 0.0, 0.0]);
        let limit = Joints::repeat(1.0);
        assert_eq!(scaled_into(&velocity, &limit), velocity / 2.0);
        assert_eq!(scaled_into(&(velocity / 4.0), &limit), velocity / 4.0);
        assert_eq!(scaled_into(&velocity, &Joints::zeros()), Joints::zeros());
    }

    #[test]
    fn a_target_that_jumps_is_reached_without_running_past_it() {
        let period = 0.01;
        let acceleration = Joints::repeat(6.0);
        let change = acceleration * period;
        let target = Joints::repeat(0.4);
        let (mut position, mut velocity) = (Joints::zeros(), Joints::zeros());
        let mut furthest: f64 = 0.0;
        for _ in 0..200 {
            let lag = Lag {
                error: target - position,
                target_velocity: Joints::zeros(),
                acceleration,
                period,
            };
            velocity = within_change(&scaled_into(&lag.catch_up(), &Joints::repeat(1.88)), &velocity, &change);
            position += velocity * period;
            furthest = furthest.max(position[0]);
        }
        assert!((position - target).amax() < 1e-6, "{position}");
        assert!(furthest < 0.4 + 1e-3, "{furthest}");
    }

    #[test]
    fn a_moving_target_is_caught_and_then_followed_at_its_speed() {
        let period = 0.01;
        let acceleration = Joints::repeat(6.0);
        let target_velocity = Joints::repeat(-0.3);
        let (mut target, mut position, mut velocity) = (Joints::repeat(-0.2), Joints::zeros(), Joints::zeros());
        for _ in 0..200 {
            target += target_velocity * period;
            let lag = Lag {
                error: target - position,
                target_velocity,
                acceleration,
                period,
            };
            velocity = within_change(&lag.catch_up(), &velocity, &(acceleration * period));
            position += velocity * period;
        }
        assert!((position - target).amax() < 1e-6);
        assert!((velocity - target_velocity).amax() < 1e-6);
    }
}
