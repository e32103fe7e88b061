//! Final verification of a command, written independently of the checks that shaped it.

use super::arm_points::ArmGeometry;
use super::brake::CommandedMotion;
use super::violation::Violation;
use crate::control::config::{Limits, Workspace};
use crate::control::event::Check;
use crate::types::Joints;

/// Tolerance for rounding of the differences computed here.
const ROUNDING: f64 = 1e-7;

/// Verifier with the limits that every command must keep.
#[derive(Debug, Clone)]
pub struct Verifier {
    /// Joint and tool limits.
    pub limits: Limits,
    /// Box of the tool and height of the table.
    pub workspace: Workspace,
    /// Geometry of the arm with its tool.
    pub arm_points: ArmGeometry,
    /// Time between commands (s).
    pub period: f64,
}

impl Verifier {
    /// First limit that a step from `last` to `next` (rad) breaks, if any.
    pub fn fault(&self, last: &CommandedMotion, next: &Joints) -> Option<Violation> {
        self.position_fault(next)
            .or_else(|| self.rate_fault(last, next))
            .or_else(|| self.tool_fault(last, next))
    }

    /// First joint that is not finite, otherwise the first beyond its limits.
    fn position_fault(&self, next: &Joints) -> Option<Violation> {
        let broken = |check, index, limit, found: &f64| {
            Some(Violation {
                check,
                quantity: "joint",
                index,
                limit,
                found: *found,
                unit: "rad",
            })
        };
        for (index, found) in (1..).zip(next.iter()) {
            if !found.is_finite() {
                return broken(Check::Finite, index, 0.0, found);
            }
        }
        let range = self.limits.lower_rad.iter().zip(&self.limits.upper_rad);
        for (index, (q, (lower, upper))) in (1..).zip(next.iter().zip(range)) {
            let (lowest, highest) = (lower + self.limits.margin_rad, upper - self.limits.margin_rad);
            if *q < lowest - ROUNDING {
                return broken(Check::JointLimit, index, lowest, q);
            }
            if *q > highest + ROUNDING {
                return broken(Check::JointLimit, index, highest, q);
            }
        }
        None
    }

    /// First joint whose step, velocity or acceleration is too large.
    fn rate_fault(&self, last: &CommandedMotion, next: &Joints) -> Option<Violation> {
        let limits = &self.limits;
        let rates = limits.velocity_rad_s.iter().zip(&limits.acceleration_rad_s2);
        let joints = next.iter().zip(last.position.iter()).zip(last.velocity.iter());
        for (index, (((next, position), velocity), (fastest, hardest))) in (1..).zip(joints.zip(rates)) {
            let broken = |check, quantity, limit, found: f64, unit| {
                Some(Violation {
                    check,
                    quantity,
                    index,
                    limit,
                    found: found.abs(),
                    unit,
                })
            };
            let step = next - position;
            if step.abs() > limits.step_rad + ROUNDING {
                return broken(Check::Step, "joint step", limits.step_rad, step, "rad");
            }
            let speed = step / self.period;
            if speed.abs() > fastest + ROUNDING {
                return broken(Check::Velocity, "joint velocity", *fastest, speed, "rad/s");
            }
            let change = (speed - velocity) / self.period;
            if change.abs() > hardest + ROUNDING / self.period {
                return broken(Check::Acceleration, "joint acceleration", *hardest, change, "rad/s^2");
            }
        }
        None
    }

    /// Too fast a tool, otherwise a point of the arm outside the workspace.
    fn tool_fault(&self, last: &CommandedMotion, next: &Joints) -> Option<Violation> {
        let (before, after) = (self.arm_points.at(&last.position), self.arm_points.at(next));
        let speed = (after.tool - before.tool).norm() / self.period;
        if speed > self.limits.tool_speed_m_s + ROUNDING {
            return Some(Violation {
                check: Check::ToolSpeed,
                quantity: "tool speed",
                index: 1,
                limit: self.limits.tool_speed_m_s,
                found: speed,
                unit: "m/s",
            });
        }
        self.workspace.violation(&after)
    }
}

#[cfg(test)]
mod tests;
