//! Ends motion: monitors of state and period, braking, coming to rest, latching of stops and faults.

use super::{AfterRest, ArmMode, Frame, MoveProgress, StopError, Supervisor};
use crate::control::arm::{ArmError, CommandSource};
use crate::control::event::{Check, EventKind};
use crate::control::gate::Braking;
use crate::realman::Driver;
use crate::types::time::Now;

/// Largest gap between ticks, in periods; a longer one is a stall.
const MISSED_PERIODS: f64 = 3.0;

impl<D: Driver> Supervisor<D> {
    /// Handles a stall of the loop. The arm is then at rest, because the controller stops when frames are missing, so continuing
    /// at the speed of the last command would be a jump.
    pub(super) fn watch_period(&mut self, gap: f64, now: Now) {
        if gap <= MISSED_PERIODS * self.config.period() || !self.mode.is_moving() {
            return;
        }
        // A state from before the stall shows an arm that was still moving.
        let fresh = self.gate.watchdog.has_state_since(now.steady.offset_secs(-gap));
        let measured = self.measured.filter(|_| fresh && !self.config.dry_run);
        if measured.is_none_or(|measured| self.gate.take_up(measured).is_err()) {
            self.gate.rest_at(self.gate.motion().position);
        }
        self.executor.restart(now.ros, self.gate.motion().position);
        let reason = format!(
            "expected a tick every {:.3} s, found {gap:.3} s without one",
            self.config.period()
        );
        let cause = reason.clone();
        self.gate.events.push(now.steady, EventKind::Held, Check::Period, || {
            format!("{cause}; the plan is dropped and the arm taken to rest, look for what keeps the machine busy")
        });
        self.begin_braking(AfterRest::Hold, reason, now);
    }

    /// Whether the arm brakes before a fault is latched.
    pub(super) fn is_failing(&self) -> bool {
        self.mode == ArmMode::Braking && self.after_rest == AfterRest::Fault
    }

    /// Brakes and latches a fault if the joint state is stale, frozen, or far from the commands.
    pub(super) fn watch_state(&mut self, now: Now) {
        if !self.mode.is_armed() || self.is_failing() {
            return;
        }
        let stale = self
            .gate
            .watchdog
            .stale_state(now.steady)
            .map(|stale| (Check::Fresh, stale.to_string()));
        let Some((check, reason)) = stale.or_else(|| self.unfollowed(now)) else {
            return;
        };
        let cause = reason.clone();
        self.gate.events.push(now.steady, EventKind::Fault, check, || {
            format!("{cause}; braking, then a fault is latched")
        });
        self.begin_braking(AfterRest::Fault, reason, now);
    }

    fn unfollowed(&self, now: Now) -> Option<(Check, String)> {
        if self.config.dry_run || !self.mode.is_moving() {
            return None;
        }
        if let Some(still) = self.liveness.frozen(now.steady) {
            let message = format!(
                "expected the joint state to follow commanded motion, found it identical to the last bit for {still:.2} s; \
                 the driver repeats old values, check its UDP address and cable"
            );
            return Some((Check::State, message));
        }
        let (limit, found) = (self.config.tracking.error_rad, self.tracking_error()?);
        (found > limit).then(|| {
            let message = format!("expected the arm within {limit:.3} rad of its commands, found {found:.3} rad");
            (Check::Tracking, message)
        })
    }

    /// Largest distance between a commanded and a measured joint (rad); `None` before the first joint state.
    pub(super) fn tracking_error(&self) -> Option<f64> {
        self.measured
            .map(|measured| (measured - self.gate.motion().position).amax())
    }

    /// Ends the present motion and brakes. A mode that braking already leads to is never replaced by a less severe one.
    pub(super) fn begin_braking(&mut self, after: AfterRest, reason: String, now: Now) {
        self.drop_motion(&reason);
        self.clamped = true;
        if self.mode != ArmMode::Braking || after > self.after_rest {
            self.after_rest = after;
            self.reason = reason;
        }
        self.mode = ArmMode::Braking;
        if self.gate.motion().is_at_rest() {
            self.come_to_rest(now);
        }
    }

    fn drop_motion(&mut self, reason: &str) {
        self.executor.drop_plan();
        if self.named_move.take().is_some() {
            self.move_result = Some(MoveProgress::Failed(reason.to_owned()));
        }
    }

    pub(super) fn keep_braking(&mut self, _frame: Frame, now: Now) {
        if self.mode != ArmMode::Braking {
            return;
        }
        // Braking does not check its basis; any value will do.
        match self.gate.brake(CommandSource::NamedMove, now.steady) {
            Ok(Braking::Moving) => self.sent(now),
            Ok(Braking::AtRest) => self.come_to_rest(now),
            Err(error) => self.fault(Check::Driver, error.to_string(), now),
        }
    }

    fn come_to_rest(&mut self, now: Now) {
        let reason = std::mem::take(&mut self.reason);
        match self.after_rest {
            AfterRest::Hold => self.rest(ArmMode::Holding, reason),
            AfterRest::Disarm => self.rest(ArmMode::Disarmed, reason),
            AfterRest::Fault => {
                self.gate.events.push(now.steady, EventKind::Fault, Check::Mode, || {
                    format!("{reason}; latched, reset the fault and arm again")
                });
                self.rest(ArmMode::Fault, reason);
            }
        }
    }

    pub(super) fn rest(&mut self, mode: ArmMode, reason: String) {
        self.mode = mode;
        self.reason = reason;
        self.waiting_since = None;
        self.liveness.rest();
    }

    /// Ends all commands at once, sends the stop, and latches `mode` until a reset. A fault, latched or braked for, stays a
    /// fault.
    ///
    /// # Errors
    /// When the first stop message was not sent; an event is raised as well.
    pub(super) fn latch(&mut self, mode: ArmMode, check: Check, reason: String, now: Now) -> Result<(), StopError> {
        // First of all, so that nothing below can keep the stop from leaving.
        let sent = self.gate.arm_mut().stop(now.steady);
        self.drop_motion(&reason);
        let position = self.measured.unwrap_or(self.gate.motion().position);
        self.gate.rest_at(position);
        let kind = if mode == ArmMode::Stopped {
            EventKind::Stopped
        } else {
            EventKind::Fault
        };
        let cause = reason.clone();
        self.gate.events.push(now.steady, kind, check, || {
            format!("{cause}; latched, reset the fault and arm again")
        });
        if mode == ArmMode::Stopped && (self.mode == ArmMode::Fault || self.is_failing()) {
            let fault = std::mem::take(&mut self.reason);
            self.rest(ArmMode::Fault, fault);
        } else {
            self.rest(mode, reason);
        }
        sent.map_err(|error| self.stop_not_sent(error, now))
    }

    /// Raises an event that a stop was not sent; returns the error for the sender of the request.
    pub(super) fn stop_not_sent(&mut self, error: ArmError, now: Now) -> StopError {
        let error = StopError::NotSent(error);
        self.gate
            .events
            .push(now.steady, EventKind::Fault, Check::Driver, || error.to_string());
        error
    }

    /// Ends all commands and latches a fault, as [`Supervisor::latch`].
    pub(super) fn fault(&mut self, check: Check, reason: String, now: Now) {
        // A failed stop has already raised an event.
        let _ = self.latch(ArmMode::Fault, check, reason, now);
    }
}
