//! The safety gate: an arm that wraps an arm and lets only commands inside every limit through.
//!
//! The gate keeps one invariant: from the last command that left, braking on a straight line in joint space inside the
//! acceleration limits stays inside every limit until rest. A command that keeps it passes unchanged. Otherwise the
//! gate takes the velocity nearest to the one asked for, on the line from braking to asking, that does; braking itself
//! is always possible. What is about to leave is verified once more, by other code.

mod body;
mod brake;
mod checks;
mod fresh;
mod nearest;
mod shape;
mod singularity;
mod space;
mod verify;
mod violation;

pub use body::{Body, Placement};
pub use brake::Motion;
pub use fresh::{Freshness, Stale};
pub use singularity::condition_number;
pub use violation::Violation;

use super::arm::{Arm, ArmError, JointCommand};
use super::config::{ArmConfig, Limits, Singularity, Workspace};
use super::event::{Check, EventKind, EventLog};
use super::kinematics::Rm75;
use super::time::Steady;
use super::types::Joints;
use brake::braked;
use verify::Verifier;

/// What the gate has done since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GateCounters {
    /// Commands that left.
    pub commands: u64,
    /// Commands changed on the way.
    pub clamps: u64,
    /// Commands refused.
    pub refusals: u64,
}

/// Whether a gate that brakes has come to rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Braking {
    /// A command was sent.
    Moving,
    /// Nothing moves; nothing was sent.
    AtRest,
}

/// What became of an attempt.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Attempt {
    /// The command left unchanged.
    Sent,
    /// It is beyond a limit; nothing left.
    Beyond(Violation),
}

/// The safety gate around an arm.
#[derive(Debug)]
pub struct Gate<A> {
    arm: A,
    /// Signs of life; whoever receives them tells the gate.
    pub fresh: Freshness,
    /// What happened, for whoever publishes it.
    pub events: EventLog,
    limits: Limits,
    workspace: Workspace,
    singularity: Singularity,
    body: Body,
    verifier: Verifier,
    period: f64,
    motion: Motion,
    condition: f64,
    last_target: Option<Joints>,
    counters: GateCounters,
}

impl<A: Arm> Gate<A> {
    /// A gate around `arm`, which is at rest at `position` (rad).
    pub fn new(arm: A, config: &ArmConfig, position: Joints) -> Self {
        let body = Body::new(Rm75::b(), &config.tool);
        let verifier = Verifier {
            limits: config.limits,
            workspace: config.workspace,
            body: body.clone(),
            period: config.period(),
        };
        Self {
            arm,
            fresh: Freshness::new(config.timeouts),
            events: EventLog::default(),
            limits: config.limits,
            workspace: config.workspace,
            singularity: config.singularity,
            condition: condition_number(body.kinematics(), &position),
            body,
            verifier,
            period: config.period(),
            motion: Motion::at_rest(position),
            last_target: None,
            counters: GateCounters::default(),
        }
    }

    /// The arm behind the gate.
    pub fn arm(&self) -> &A {
        &self.arm
    }

    /// The arm behind the gate, to be told facts and to be stopped; commands go through the gate.
    pub fn arm_mut(&mut self) -> &mut A {
        &mut self.arm
    }

    /// Last command that left.
    pub fn motion(&self) -> &Motion {
        &self.motion
    }

    /// Where the parts of the arm are.
    pub fn body(&self) -> &Body {
        &self.body
    }

    /// What the gate has done.
    pub fn counters(&self) -> GateCounters {
        self.counters
    }

    /// Takes up an arm that rests at `position` (rad): the next command starts from there.
    ///
    /// # Errors
    /// When the arm rests outside the limits; it has to be moved inside by hand.
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
            .or_else(|| self.workspace.violation(&self.body.at(&position)))
            .map_or(Ok(()), Err)?;
        self.rest_at(position);
        Ok(())
    }

    /// Forgets all motion: the arm was stopped by other means at `position` (rad).
    pub fn rest_at(&mut self, position: Joints) {
        self.motion = Motion::at_rest(position);
        self.condition = condition_number(self.body.kinematics(), &position);
        self.last_target = None;
    }

    /// Sends one command of braking, unless the arm is at rest.
    ///
    /// # Errors
    /// When the command did not leave.
    pub fn brake(&mut self, basis: super::arm::Basis, now: Steady) -> Result<Braking, ArmError> {
        self.last_target = None;
        if self.motion.is_at_rest() {
            return Ok(Braking::AtRest);
        }
        let velocity = braked(&self.motion.velocity, &self.velocity_change());
        let positions = self.motion.position + velocity * self.period;
        self.send(JointCommand { positions, basis }, velocity, now)?;
        Ok(Braking::Moving)
    }

    fn velocity_change(&self) -> Joints {
        self.limits.acceleration() * self.period
    }

    /// Sends a command if it fits every limit as it is, and otherwise does nothing.
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

    /// Refuses, and brakes for, what is no number or lacks a sign of life.
    fn check_sense(&mut self, command: &JointCommand, now: Steady) -> Result<(), ArmError> {
        if command.positions.iter().any(|q| !q.is_finite()) {
            let message = format!("expected finite joints, found {:?}", command.positions.as_slice());
            return Err(self.refuse(Check::Finite, message, command, now));
        }
        match self.fresh.missing(command.basis, now) {
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
        match self.brake(command.basis, now) {
            Ok(_) => ArmError::Refused { check, message },
            Err(error) => error,
        }
    }

    /// Verifies and sends; when the verification fails, braking goes out instead.
    fn send(&mut self, command: JointCommand, velocity: Joints, now: Steady) -> Result<(), ArmError> {
        let mut next = Motion {
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
        self.condition = condition_number(self.body.kinematics(), &next.position);
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
