//! Limits that a command, or braking after it, would exceed.

use super::arm_points::PointPlacement;
use super::brake::braking_velocities;
use super::violation::{Violation, slack};
use super::{Gate, condition_number};
use crate::control::arm::Arm;
use crate::control::event::Check;
use crate::types::Joints;

impl<A: Arm> Gate<A> {
    pub(super) fn joint_violation(&self, position: &Joints) -> Option<Violation> {
        let range = self
            .limits
            .lowest()
            .zip_map(&self.limits.highest(), |low, high| (low, high));
        position
            .iter()
            .zip(range.iter())
            .enumerate()
            .find_map(|(i, (q, (low, high)))| {
                let limit = if *q < low - slack(*low) {
                    low
                } else if *q > high + slack(*high) {
                    high
                } else {
                    return None;
                };
                Some(Violation {
                    check: Check::JointLimit,
                    quantity: "joint",
                    index: i + 1,
                    limit: *limit,
                    found: *q,
                    unit: "rad",
                })
            })
    }

    /// First limit of joints, workspace or tool speed that a command at `velocity` (rad/s), or braking after it, would exceed.
    pub(super) fn path_violation(&self, velocity: Joints) -> Option<Violation> {
        let mut position = self.motion.position;
        let mut before = self.arm_points.at(&position);
        for velocity in braking_velocities(velocity, &self.velocity_change()) {
            position += velocity * self.period;
            let placement = self.arm_points.at(&position);
            let violation = self
                .joint_violation(&position)
                .or_else(|| self.workspace.violation(&placement))
                .or_else(|| self.tool_speed_violation(&before, &placement));
            if violation.is_some() {
                return violation;
            }
            before = placement;
        }
        None
    }

    /// Limits of step, velocity and acceleration that `velocity` (rad/s) exceeds, each with the first joint; `share` is the
    /// fraction of the velocity limits left by the singularity.
    fn rate_violations(&self, velocity: &Joints, share: f64) -> [Option<Violation>; 4] {
        let first = |check, quantity, unit, values: Joints, limits: Joints| {
            let mut pairs = values.iter().zip(limits.iter()).enumerate();
            let (i, (found, limit)) = pairs.find(|(_, (found, limit))| **found > *limit + slack(**limit))?;
            Some(Violation {
                check,
                quantity,
                index: i + 1,
                limit: *limit,
                found: *found,
                unit,
            })
        };
        let speed = velocity.abs();
        let change = (velocity - self.motion.velocity).abs() / self.period;
        let fastest = self.limits.velocity();
        let step = Joints::repeat(self.limits.step_rad);
        [
            first(Check::Step, "joint step", "rad", speed * self.period, step),
            first(Check::Velocity, "joint velocity", "rad/s", speed, fastest),
            first(
                Check::Acceleration,
                "joint acceleration",
                "rad/s^2",
                change,
                self.limits.acceleration(),
            ),
            first(
                Check::Singularity,
                "joint velocity near a singularity",
                "rad/s",
                speed,
                fastest * share,
            ),
        ]
    }

    /// Fraction of the velocity limits that the singularity leaves for the motion to `position` (rad).
    pub(super) fn singularity_share(&self, position: &Joints) -> f64 {
        let there = condition_number(self.arm_points.kinematics(), position);
        self.singularity.share(self.condition, there)
    }

    /// All limits that a command by itself exceeds, without braking after it.
    pub(super) fn asked_beyond(&self, target: &Joints) -> Vec<Violation> {
        let velocity = (target - self.motion.position) / self.period;
        let placement = self.arm_points.at(target);
        let space = self
            .workspace
            .violation(&placement)
            .into_iter()
            .chain(self.joint_violation(target));
        let rates = self.rate_violations(&velocity, self.singularity_share(target));
        let before = self.arm_points.at(&self.motion.position);
        space
            .chain(rates.into_iter().flatten())
            .chain(self.tool_speed_violation(&before, &placement))
            .collect()
    }

    fn tool_speed_violation(&self, before: &PointPlacement, after: &PointPlacement) -> Option<Violation> {
        let found = (after.tool - before.tool).norm() / self.period;
        let limit = self.limits.tool_speed_m_s;
        (found > limit + slack(limit)).then_some(Violation {
            check: Check::ToolSpeed,
            quantity: "tool speed",
            index: 1,
            limit,
            found,
            unit: "m/s",
        })
    }
}
