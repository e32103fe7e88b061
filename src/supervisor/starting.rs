//! Starts motion from rest: the first command is at the measured position.
//!
//! An arm that holds gets no commands, so it may be pushed or sag. A motion that continued from the last command would begin
//! with a jump of that distance. After a small displacement, commands continue from the measured position, and the history
//! since the arm came to rest is replaced by the measured one. After a large displacement the start is refused, so that
//! an operator checks the arm first. A displaced arm that moves, because it still follows the last command or is being
//! pushed, is waited for: a command to the place where it was measured would brake it or turn it round at once.

use super::chunk_acceptance::check_times;
use super::{AfterRest, ArmMode, Refusal, Supervisor};
use crate::control::event::Check;
use crate::control::gate::Violation;
use crate::control::named_move::{MoveRequest, NamedMove};
use crate::realman::Driver;
use crate::types::Joints;
use crate::types::time::{Now, Steady};

/// Largest distance of the first command from the measured joints (rad): a milliradian, less rounding in transmission.
const FIRST_COMMAND_RAD: f64 = 0.99e-3;
/// Distance to the last command below which the arm counts as not displaced (rad).
const UNMOVED_RAD: f64 = 0.5e-3;
/// Longest time that a motion waits for the arm to come to rest (s); then it is refused.
const LONGEST_WAIT_S: f64 = 1.0;

impl<D: Driver> Supervisor<D> {
    /// Measured joint positions (rad), if the arm is displaced from its last command. A dry run ignores displacement.
    fn displaced(&self) -> Option<Joints> {
        let away = self.tracking_error().filter(|_| !self.config.dry_run)?;
        self.measured.filter(|_| away > UNMOVED_RAD)
    }

    /// Whether a command is close enough to the measured arm to be sent; required only of the first command out of rest.
    pub(super) fn is_close(&self, positions: &Joints) -> bool {
        let away = self.measured.map_or(0.0, |measured| (positions - measured).amax());
        !self.starting || self.config.dry_run || away <= FIRST_COMMAND_RAD
    }

    /// Checks that the arm is near enough to its last command for a motion to start.
    pub(super) fn check_unmoved(&self) -> Result<(), Refusal> {
        let limit = self.config.tracking.start_rad;
        match self.tracking_error() {
            Some(found) if !self.config.dry_run && found > limit => {
                let advice = if self.resting.is_at_rest(self.last_tick) {
                    "disarm and arm again"
                } else {
                    "its joints still move, wait until it rests"
                };
                let message = format!(
                    "expected the arm within {limit:.3} rad of where it was left, found {found:.3} rad; {advice}"
                );
                Err(Refusal::new(Check::Tracking, message))
            }
            _ => Ok(()),
        }
    }

    /// Whether the arm still moves towards its last command, or away from it.
    fn is_unsettled(&self, now: Now) -> bool {
        self.displaced().is_some() && !self.resting.is_at_rest(now.steady)
    }

    /// Prepares an arm that gets no commands for a motion. A displaced arm that moves keeps its last command until it rests:
    /// [`Supervisor::is_anchored`] waits for that.
    pub(super) fn prepare_start(&mut self, now: Now) -> Result<(), Refusal> {
        if self.is_unsettled(now) {
            self.check_unmoved()?;
            self.executor.rest(self.gate.motion().position, self.last_tick);
            return Ok(());
        }
        self.anchor_at_rest(self.last_tick)
    }

    /// Sets a resting arm to its measured position; a motion continues from there after the tick at `last_tick`.
    fn anchor_at_rest(&mut self, last_tick: Steady) -> Result<(), Refusal> {
        self.check_unmoved()?;
        if let Some(measured) = self.displaced() {
            let back = self.gate.motion().position - measured;
            // An arm that is slightly outside a limit is set just inside.
            let inside = measured + back * (UNMOVED_RAD / back.amax());
            self.gate
                .take_up(measured)
                .or_else(|_| self.gate.take_up(inside))
                .map_err(outside)?;
            self.executor.rest_as_measured();
        }
        self.executor.rest(self.gate.motion().position, last_tick);
        Ok(())
    }

    /// Checks again before the first command of a motion: a motion whose arm has been displaced since, or had to be waited for,
    /// starts anew from the measured position. Returns false if the arm is still waited for, or if the motion cannot start
    /// and has ended.
    pub(super) fn is_anchored(&mut self, now: Now) -> bool {
        if !self.starting {
            return true;
        }
        if self.is_unsettled(now) {
            self.wait_for_rest(now);
            return false;
        }
        let has_waited = self.waiting_since.take().is_some();
        if !has_waited && self.displaced().is_none() {
            return true;
        }
        let outcome = self
            .anchor_at_rest(now.steady.offset_secs(-self.config.period()))
            .and_then(|()| self.start_anew(has_waited, now));
        if let Err(refusal) = outcome {
            let message = self.refuse(refusal, now).message;
            self.begin_braking(AfterRest::Hold, message, now);
            return false;
        }
        true
    }

    /// Starts the motion again from the measured position. A chunk that has waited may have become too old meanwhile.
    fn start_anew(&mut self, has_waited: bool, now: Now) -> Result<(), Refusal> {
        if let (ArmMode::Moving, Some(named_move)) = (self.mode, &self.named_move) {
            let request = MoveRequest {
                from: self.gate.motion().position,
                now: now.steady,
                ..named_move.request()
            };
            self.named_move = Some(self.plan_move(request)?);
            return Ok(());
        }
        if let Some(chunk) = self.executor.chunk().filter(|_| has_waited) {
            check_times(chunk, self.config.timeouts.observation_s, now)?;
        }
        match self.executor.start_again(now) {
            Ok(_) => Ok(()),
            Err(error) => Err(Refusal::new(error.check(), error.to_string())),
        }
    }

    /// Goes on waiting for the arm to come to rest; ends the motion that waits for too long, or whose source is silent: the
    /// gate, which would brake it, sees no command meanwhile.
    fn wait_for_rest(&mut self, now: Now) {
        if let Some(stale) = self.gate.watchdog.stale_heartbeat(now.steady) {
            let message = self.refuse(Refusal::new(Check::Fresh, stale.to_string()), now).message;
            self.begin_braking(AfterRest::Hold, message, now);
            return;
        }
        let since = *self.waiting_since.get_or_insert(now.steady);
        if now.steady.seconds_since(since) > LONGEST_WAIT_S {
            let message = format!(
                "expected the arm at rest within {LONGEST_WAIT_S} s so that a motion can start, found its joints moving; \
                 look for what moves it"
            );
            self.refuse(Refusal::new(Check::Tracking, message.clone()), now);
            self.begin_braking(AfterRest::Hold, message, now);
        }
    }

    pub(super) fn plan_move(&self, request: MoveRequest<'_>) -> Result<NamedMove, Refusal> {
        NamedMove::plan(request, &self.config, self.gate.arm_points())
            .map_err(|error| Refusal::new(Check::Reach, error.to_string()))
    }
}

/// Refusal of an arm that rests outside its limits.
pub(super) fn outside(violation: Violation) -> Refusal {
    let message = format!("the arm rests outside its limits, {violation}; move it inside by hand");
    Refusal::new(violation.check, message)
}
