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
        let broken = |check, quantity, index, limit, found, unit| {
            Some(Violation {
                check,
                quantity,
                index,
                limit,
                found,
                unit,
            })
        };
        for (i, found) in next.iter().enumerate() {
            if !found.is_finite() {
                return broken(Check::Finite, "joint", i + 1, 0.0, *found, "rad");
            }
        }
        let range = self.limits.lower_rad.iter().zip(&self.limits.upper_rad);
        for (i, (q, (lower, upper))) in next.iter().zip(range).enumerate() {
            let (lowest, highest) = (lower + self.limits.margin_rad, upper - self.limits.margin_rad);
            if *q < lowest - ROUNDING {
                return broken(Check::JointLimit, "joint", i + 1, lowest, *q, "rad");
            }
            if *q > highest + ROUNDING {
                return broken(Check::JointLimit, "joint", i + 1, highest, *q, "rad");
            }
        }
        let rates = self.limits.velocity_rad_s.iter().zip(&self.limits.acceleration_rad_s2);
        let joints = next.iter().zip(last.position.iter()).zip(last.velocity.iter());
        for (i, (((next, position), velocity), (fastest, hardest))) in joints.zip(rates).enumerate() {
            let step = next - position;
            if step.abs() > self.limits.step_rad + ROUNDING {
                return broken(
                    Check::Step,
                    "joint step",
                    i + 1,
                    self.limits.step_rad,
                    step.abs(),
                    "rad",
                );
            }
            let speed = step / self.period;
            if speed.abs() > fastest + ROUNDING {
                return broken(Check::Velocity, "joint velocity", i + 1, *fastest, speed.abs(), "rad/s");
            }
            let change = (speed - velocity) / self.period;
            if change.abs() > hardest + ROUNDING / self.period {
                return broken(
                    Check::Acceleration,
                    "joint acceleration",
                    i + 1,
                    *hardest,
                    change.abs(),
                    "rad/s^2",
                );
            }
        }
        let (before, after) = (self.arm_points.at(&last.position), self.arm_points.at(next));
        let speed = (after.tool - before.tool).norm() / self.period;
        if speed > self.limits.tool_speed_m_s + ROUNDING {
            return broken(
                Check::ToolSpeed,
                "tool speed",
                1,
                self.limits.tool_speed_m_s,
                speed,
                "m/s",
            );
        }
        self.workspace.violation(&after)
    }
}

#[cfg(test)]
mod tests;
