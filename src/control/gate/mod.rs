//! Safety gate: an arm that wraps an arm and passes only commands inside every limit.
//!
//! The gate keeps one invariant: from the last command that was sent, braking on a straight line in joint space inside the
//! acceleration limits stays inside every limit until rest. A command that keeps the invariant passes unchanged.
//! Otherwise the gate sends the velocity nearest to the requested one, on the line from braking to the request, that keeps
//! it; braking itself is always possible. Separate code verifies every command once more before it is sent.

mod arm_points;
mod brake;
mod checks;
mod clamp;
mod singularity;
mod verify;
mod violation;
mod watchdog;
mod workspace;

pub use arm_points::{ArmGeometry, PointPlacement};
pub use brake::CommandedMotion;
pub use singularity::condition_number;
pub use violation::Violation;
pub use watchdog::{Stale, Watchdog};

use std::sync::Arc;

use super::arm::{Arm, ArmError, JointCommand};
use super::config::{ArmConfig, Limits, Singularity, Workspace};
use super::event::{Check, EventKind, EventLog};
use super::kinematics::Kinematics;
use crate::types::Joints;
use crate::types::time::Steady;
use brake::braked;
use verify::Verifier;

/// Counters of the gate since its creation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GateCounters {
    /// Number of commands sent.
    pub commands: u64,
    /// Number of commands changed to fit a limit.
    pub clamps: u64,
    /// Number of commands refused.
    pub refusals: u64,
}

/// Result of a braking command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Braking {
    /// The arm still moves; a command was sent.
    Moving,
    /// The arm is at rest; nothing was sent.
    AtRest,
}

/// Result of an attempt to send a command unchanged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Attempt {
    /// The command was sent unchanged.
    Sent,
    /// The command exceeds a limit; nothing was sent.
    Beyond(Violation),
}

/// Safety gate around an arm.
#[derive(Debug)]
pub struct Gate<A> {
    arm: A,
    /// Ages of the inputs; the receiver of an input records it here.
    pub watchdog: Watchdog,
    /// Log of events, to be drained and published.
    pub events: EventLog,
    limits: Limits,
    workspace: Workspace,
    singularity: Singularity,
    arm_points: ArmGeometry,
    verifier: Verifier,
    period: f64,
    motion: CommandedMotion,
    condition: f64,
    last_target: Option<Joints>,
    counters: GateCounters,
}

impl<A: Arm> Gate<A> {
    /// Creates a gate around `arm`, which is at rest at `position` (rad).
    pub fn new(arm: A, config: &ArmConfig, kinematics: Arc<dyn Kinematics>, position: Joints) -> Self {
        let arm_points = ArmGeometry::new(kinematics, &config.tool);
        let verifier = Verifier {
            limits: config.limits,
            workspace: config.workspace,
            arm_points: arm_points.clone(),
            period: config.period(),
        };
        Self {
            arm,
            watchdog: Watchdog::new(config.timeouts),
            events: EventLog::default(),
            limits: config.limits,
            workspace: config.workspace,
            singularity: config.singularity,
            condition: condition_number(arm_points.kinematics(), &position),
            arm_points,
            verifier,
            period: config.period(),
            motion: CommandedMotion::at_rest(position),
            last_target: None,
            counters: GateCounters::default(),
        }
    }

    /// Arm behind the gate.
    pub fn arm(&self) -> &A {
        &self.arm
    }

    /// Mutable access to the arm behind the gate, for reports and stops; motion commands go through the gate.
    pub fn arm_mut(&mut self) -> &mut A {
        &mut self.arm
    }

    /// Position and velocity of the last command sent.
    pub fn motion(&self) -> &CommandedMotion {
        &self.motion
    }

    /// Geometry of the arm with its tool.
    pub fn arm_points(&self) -> &ArmGeometry {
        &self.arm_points
    }

    /// Counters of the gate.
    pub fn counters(&self) -> GateCounters {
        self.counters
    }

    /// Sets the arm at rest at `position` (rad), as measured: the next command starts from there.
    ///
    /// # Errors
    /// When a position is not finite, or the arm rests outside the limits; it then has to be moved inside by hand.
    pub fn take_up(&mut self, position: Joints) -> Result<(), Violation> {
        if let Some((found, index)) = position.iter().zip(1..).find(|(q, _)| !q.is_finite()) {
            let (check, quantity, unit) = (Check::Finite, "joint", "rad");
            return Err(Violation {
                check,
                quantity,
                index,
                limit: 0.0,
                found: *found,
                unit,
            });
        }
        self.joint_violation(&position)
            .or_else(|| self.workspace.violation(&self.arm_points.at(&position)))
            .map_or(Ok(()), Err)?;
        self.rest_at(position);
        Ok(())
    }

    /// Resets the motion: the arm was stopped by other means at `position` (rad). Limits are not checked.
    pub fn rest_at(&mut self, position: Joints) {
        self.motion = CommandedMotion::at_rest(position);
        self.condition = condition_number(self.arm_points.kinematics(), &position);
        self.last_target = None;
    }

    /// Sends one braking command, unless the arm is at rest.
    ///
    /// # Errors
    /// When the command was not sent.
    pub fn brake(&mut self, source: super::arm::CommandSource, now: Steady) -> Result<Braking, ArmError> {
        self.last_target = None;
        if self.motion.is_at_rest() {
            return Ok(Braking::AtRest);
        }
        let velocity = braked(&self.motion.velocity, &self.velocity_change());
        let positions = self.motion.position + velocity * self.period;
        self.send(JointCommand { positions, source }, velocity, now)?;
        Ok(Braking::Moving)
    }

    fn velocity_change(&self) -> Joints {
        self.limits.acceleration() * self.period
    }

    /// Sends a command if it fits every limit unchanged, and otherwise does nothing.
    ///
    /// # Errors
    /// As [`Arm::command`].
    pub fn attempt(&mut self, command: &JointCommand, now: Steady) -> Result<Attempt, ArmError> {
        self.check_sense(command, now)?;
        let velocity = (command.positions - self.motion.position) / self.period;
        let beyond = self.asked_beyond(&command.positions).into_iter().next();
        if let Some(violation) = beyond.or_else(|| self.path_violation(velocity)) {
            return Ok(Attempt::Beyond(violation));
        }
        self.send(*command, velocity, now)?;
        self.last_target = Some(command.positions);
        Ok(Attempt::Sent)
    }

    /// Counts and reports a command that its sender changed to fit.
    pub fn slowed(&mut self, violation: &Violation, now: Steady) {
        self.count_clamp();
        self.report_clamp(violation, now);
    }

    /// Counts a command that its sender changed to fit and has reported.
    pub fn count_clamp(&mut self) {
        self.counters.clamps += 1;
    }

    /// Refuses a command that is not finite or whose inputs are stale, and brakes.
    fn check_sense(&mut self, command: &JointCommand, now: Steady) -> Result<(), ArmError> {
        if command.positions.iter().any(|q| !q.is_finite()) {
            let message = format!("expected finite joints, found {:?}", command.positions.as_slice());
            return Err(self.refuse(Check::Finite, message, command, now));
        }
        match self.watchdog.missing(command.source, now) {
            Some(stale) => Err(self.refuse(Check::Fresh, stale.to_string(), command, now)),
            None => Ok(()),
        }
    }

    fn report_clamp(&mut self, violation: &Violation, now: Steady) {
        let message = *violation;
        self.events.push(now, EventKind::Clamped, violation.check, || {
            format!("{message}; the command was changed to fit")
        });
    }

    fn refuse(&mut self, check: Check, message: String, command: &JointCommand, now: Steady) -> ArmError {
        self.counters.refusals += 1;
        let told = message.clone();
        self.events
            .push(now, EventKind::Held, check, || format!("{told}; braking"));
        match self.brake(command.source, now) {
            Ok(_) => ArmError::Refused { check, message },
            Err(error) => error,
        }
    }

    /// Verifies and sends a command; if the verification fails, sends a braking command instead.
    fn send(&mut self, command: JointCommand, velocity: Joints, now: Steady) -> Result<(), ArmError> {
        let mut next = CommandedMotion {
            position: command.positions,
            velocity,
        };
        if let Some(fault) = self.verifier.fault(&self.motion, &next.position) {
            self.events.push(now, EventKind::Fault, Check::Verify, || {
                format!("{fault}; the final check braked instead, please report this with the recorded commands")
            });
            next.velocity = braked(&self.motion.velocity, &self.velocity_change());
            next.position = self.motion.position + next.velocity * self.period;
        }
        self.arm.command(
            &JointCommand {
                positions: next.position,
                ..command
            },
            now,
        )?;
        self.counters.commands += 1;
        self.condition = condition_number(self.arm_points.kinematics(), &next.position);
        self.motion = next;
        Ok(())
    }
}

impl<A: Arm> Arm for Gate<A> {
    fn command(&mut self, command: &JointCommand, now: Steady) -> Result<(), ArmError> {
        self.check_sense(command, now)?;
        let target = command.positions;
        let velocity = (target - self.motion.position) / self.period;
        let asked = self.asked_beyond(&target);
        let sent = if asked.is_empty() && self.path_violation(velocity).is_none() {
            self.send(*command, velocity, now)
        } else {
            for violation in &asked {
                self.report_clamp(violation, now);
            }
            self.counters.clamps += 1;
            let velocity = self.nearest_velocity(&target, now);
            let positions = self.motion.position + velocity * self.period;
            self.send(JointCommand { positions, ..*command }, velocity, now)
        };
        self.last_target = Some(target.sup(&self.limits.lowest()).inf(&self.limits.highest()));
        sent
    }

    fn grip(&mut self, opening: f64, now: Steady) -> Result<(), ArmError> {
        if !opening.is_finite() {
            self.counters.refusals += 1;
            let message = format!("expected a finite gripper opening, found {opening}");
            self.events.push(now, EventKind::Refused, Check::Finite, || {
                format!("{message}; the gripper stays")
            });
            return Err(ArmError::Refused {
                check: Check::Finite,
                message,
            });
        }
        self.arm.grip(opening.clamp(0.0, 1.0), now)
    }
}

#[cfg(test)]
mod tests;
