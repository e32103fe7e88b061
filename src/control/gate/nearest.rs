//! Velocity that replaces a requested one beyond a limit.

use super::Gate;
use super::brake::braked;
use super::shape::{Lag, scaled_into, within_change};
use crate::control::arm::Arm;
use crate::control::time::Steady;
use crate::control::types::Joints;

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
        let here = self.body.at(&self.motion.position).tool;
        let there = self.body.at(&(self.motion.position + velocity * self.period)).tool;
        let speed = (there - here).norm() / self.period;
        if speed > self.limits.tool_speed_m_s {
            velocity * (TOOL_SPEED_SHARE * self.limits.tool_speed_m_s / speed)
        } else {
            velocity
        }
    }
}
