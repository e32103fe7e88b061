//! Follows a chunk or a named move, one command per tick.

use super::{AfterRest, ArmMode, Frame, MoveProgress, Refusal, Supervisor};
use crate::control::arm::{Arm, ArmError, CommandSource, JointCommand};
use crate::control::event::{Check, EventKind};
use crate::control::executor::PlannedJoints;
use crate::control::gate::Attempt;
use crate::control::kinematics::InverseError;
use crate::realman::Driver;
use crate::types::Joints;
use crate::types::time::Now;

/// Longest time after the end of a plan for the commands to reach their target (s); then the arm is held where it is.
const SETTLE_S: f64 = 1.0;
/// Longest time after the planned end of a named move for the arm to arrive (s): near a singularity it may be slow, and some
/// limits it never passes.
const LONGEST_DELAY_S: f64 = 10.0;
/// Distance to the target below which a command counts as unchanged (rad).
const UNCHANGED_RAD: f64 = 1e-9;

impl<D: Driver> Supervisor<D> {
    pub(super) fn follow_plan(&mut self, frame: Frame, now: Now) {
        if !self.is_anchored(now) {
            return;
        }
        let Some(observed) = self.executor.observed() else {
            self.begin_braking(AfterRest::Hold, "no plan".into(), now);
            return;
        };
        let Some(positions) = self.send_along_plan(frame, CommandSource::Chunk { observed }, now) else {
            return;
        };
        if let Some(opening) = self.executor.gripper()
            && let Err(ArmError::Transport(message)) = self.gate.grip(opening, now.steady)
        {
            self.fault(Check::Driver, message, now);
            return;
        }
        self.end_plan(&positions, now);
    }

    /// Sends the furthest point along the plan that fits every limit; if none does, sends the one nearest to the present motion
    /// through the gate, which changes it. The first command out of rest stays close to the measured arm. Returns the requested
    /// joint positions (rad), or `None` if the arm now brakes or has faulted.
    fn send_along_plan(&mut self, frame: Frame, source: CommandSource, now: Now) -> Option<Joints> {
        let mut first = None;
        let mut nearest: Option<(f64, PlannedJoints)> = None;
        let motion = *self.gate.motion();
        let continued = motion.position + motion.velocity * self.config.period();
        let asked = self.executor.time_at(now.steady)?;
        for time in self.executor.candidates(now.steady) {
            let planned = match self.executor.joints_at(time)? {
                Ok(planned) => planned,
                Err(error) => {
                    self.cannot_reach(frame, &error, now);
                    return None;
                }
            };
            if !self.is_close(&planned.positions) {
                continue;
            }
            let command = JointCommand {
                positions: planned.positions,
                source,
            };
            match self.gate.attempt(&command, now.steady) {
                Ok(Attempt::Sent) => {
                    match &first {
                        Some(violation) => self.gate.slowed(violation, now.steady),
                        None if time < asked => self.gate.count_clamp(),
                        None => {}
                    }
                    self.clamped = time != asked;
                    self.executor.advance(&planned);
                    self.sent(now);
                    return Some(planned.positions);
                }
                Ok(Attempt::Beyond(violation)) => {
                    first.get_or_insert(violation);
                    let distance = (planned.positions - continued).amax();
                    if nearest.is_none_or(|(least, _)| distance < least) {
                        nearest = Some((distance, planned));
                    }
                }
                Err(error) => {
                    self.not_sent(error, now);
                    return None;
                }
            }
        }
        let Some((_, planned)) = nearest else {
            return self.send_rest(frame, source, now);
        };
        self.executor.advance(&planned);
        let command = JointCommand {
            positions: planned.positions,
            source,
        };
        self.send(frame, command, now).then_some(planned.positions)
    }

    /// Sends the position at which the arm rests, as the first command of a plan of which no point is close enough to the
    /// measured arm: near a joint limit the inverse kinematics moves the joints from command to command, the pose being the
    /// same. The gate then leads the arm into the plan.
    fn send_rest(&mut self, frame: Frame, source: CommandSource, now: Now) -> Option<Joints> {
        let positions = self.gate.motion().position;
        let is_sent = self.send(frame, JointCommand { positions, source }, now);
        // Not what the plan asked for.
        self.clamped = true;
        is_sent.then_some(positions)
    }

    fn cannot_reach(&mut self, frame: Frame, error: &InverseError, now: Now) {
        let message = format!("the next pose cannot be taken up, {error}");
        self.refuse(Refusal::new(Check::Reach, message.clone()), now);
        self.begin_braking(AfterRest::Hold, message, now);
        self.keep_braking(frame, now);
    }

    fn end_plan(&mut self, positions: &Joints, now: Now) {
        let motion = self.gate.motion();
        let arrived = motion.is_at_rest() && (motion.position - positions).amax() < UNCHANGED_RAD;
        let over = self.executor.is_over() && arrived;
        if !over
            && self
                .executor
                .overdue(now.steady)
                .is_none_or(|overdue| overdue < SETTLE_S)
        {
            return;
        }
        self.executor.drop_plan();
        self.counters.underruns += 1;
        self.gate.events.push(now.steady, EventKind::Held, Check::Underrun, || {
            "expected the next chunk before the last one ended, found none; holding".into()
        });
        self.begin_braking(AfterRest::Hold, "the chunk ran out".into(), now);
    }

    pub(super) fn follow_move(&mut self, frame: Frame, now: Now) {
        if !self.is_anchored(now) {
            return;
        }
        let Some(named_move) = &self.named_move else {
            self.begin_braking(AfterRest::Hold, "no move".into(), now);
            return;
        };
        let planned = named_move.at(now.steady);
        let overdue = named_move.overdue(now.steady);
        // When the first tick is late, a short move has gone further than its first command may be from the measured arm.
        let positions = if self.is_close(&planned) {
            planned
        } else {
            self.gate.motion().position
        };
        let source = CommandSource::NamedMove;
        if !self.send(frame, JointCommand { positions, source }, now) || overdue < 0.0 {
            return;
        }
        let motion = self.gate.motion();
        let away = (motion.position - planned).amax();
        if motion.is_at_rest() && away < UNCHANGED_RAD {
            let reason = self
                .named_move
                .take()
                .map_or_else(String::new, |done| format!("at {}", done.name));
            self.move_result = Some(MoveProgress::Done);
            self.rest(ArmMode::Holding, reason);
        } else if overdue > LONGEST_DELAY_S {
            let message = format!(
                "expected the arm at its goal within {LONGEST_DELAY_S} s of the planned end, found it {away:.3} rad away; a \
                 limit is in its way"
            );
            self.refuse(Refusal::new(Check::Reach, message.clone()), now);
            self.begin_braking(AfterRest::Hold, message, now);
        }
    }

    /// Sends a command through the gate; returns false if the arm now brakes or has faulted.
    fn send(&mut self, _frame: Frame, command: JointCommand, now: Now) -> bool {
        match self.gate.command(&command, now.steady) {
            Ok(()) => {
                self.clamped = (self.gate.motion().position - command.positions).amax() > UNCHANGED_RAD;
                self.sent(now);
                true
            }
            Err(error) => {
                self.not_sent(error, now);
                false
            }
        }
    }

    /// Handles a command that was not sent: brakes after a refusal, and latches a fault when nothing can be sent.
    fn not_sent(&mut self, error: ArmError, now: Now) {
        match error {
            ArmError::Refused { message, .. } => {
                self.begin_braking(AfterRest::Hold, message, now);
                self.sent(now);
            }
            error => self.fault(Check::Driver, error.to_string(), now),
        }
    }

    pub(super) fn sent(&mut self, now: Now) {
        self.starting = false;
        self.rate.count(now.steady);
        self.liveness.command_sent(self.gate.motion().position, now.steady);
    }
}
