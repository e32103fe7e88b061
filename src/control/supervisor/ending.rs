//! Ending motion: what is watched for, braking, coming to rest, latching.

use super::{AfterRest, Mode, Supervisor};
use crate::control::arm::Basis;
use crate::control::event::{Check, EventKind};
use crate::control::gate::Braking;
use crate::control::realman::Driver;
use crate::control::time::Time;

impl<D: Driver> Supervisor<D> {
    /// A clock that goes back would make everything look fresh: nothing received before counts any more.
    pub(super) fn clock_went_back(&mut self, now: Time) {
        let seconds = self.last_tick.seconds_since(now);
        self.gate.events.push(now, EventKind::Held, Check::Clock, || {
            format!("expected time to go forward, found it {seconds:.3} s back; everything has to be received anew")
        });
        self.gate.fresh.forget_heartbeat();
        self.gate.fresh.state_received(now);
        self.executor.restart(now, self.gate.motion().position);
        self.liveness.rest();
        if self.mode.is_moving() {
            self.begin_braking(AfterRest::Hold, "the clock went back".into(), now);
        }
    }

    /// Brakes and latches a fault when the joint state is lost, frozen, or far from the commands.
    pub(super) fn watch_state(&mut self, now: Time) {
        let failing = self.mode == Mode::Braking && self.after_rest == AfterRest::Fault;
        if !self.mode.is_armed() || failing {
            return;
        }
        let stale = self
            .gate
            .fresh
            .stale_state(now)
            .map(|stale| (Check::Fresh, stale.to_string()));
        let Some((check, reason)) = stale.or_else(|| self.unfollowed(now)) else {
            return;
        };
        let told = reason.clone();
        self.gate.events.push(now, EventKind::Fault, check, || {
            format!("{told}; braking, then a fault is latched")
        });
        self.begin_braking(AfterRest::Fault, reason, now);
    }

    fn unfollowed(&self, now: Time) -> Option<(Check, String)> {
        if self.config.dry_run || !self.mode.is_moving() {
            return None;
        }
        if let Some(still) = self.liveness.frozen(now) {
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

    /// Largest distance between commanded and measured joints [rad].
    pub(super) fn tracking_error(&self) -> Option<f64> {
        self.measured
            .map(|measured| (measured - self.gate.motion().position).amax())
    }

    pub(super) fn begin_braking(&mut self, after: AfterRest, reason: String, now: Time) {
        self.executor.drop_plan();
        if self.named_move.take().is_some() {
            self.move_result = Some(Err(reason.clone()));
        }
        self.clamped = true;
        self.after_rest = after;
        self.reason = reason;
        self.mode = Mode::Braking;
        if self.gate.motion().is_at_rest() {
            self.come_to_rest(now);
        }
    }

    pub(super) fn keep_braking(&mut self, now: Time) {
        if self.mode != Mode::Braking {
            return;
        }
        // What braking needs is an arm that listens; its basis is not looked at.
        match self.gate.brake(Basis::NamedMove, now) {
            Ok(Braking::Moving) => self.sent(now),
            Ok(Braking::AtRest) => self.come_to_rest(now),
            Err(error) => self.latch(Mode::Fault, Check::Driver, error.to_string(), now),
        }
    }

    fn come_to_rest(&mut self, now: Time) {
        let reason = std::mem::take(&mut self.reason);
        match self.after_rest {
            AfterRest::Hold => self.rest(Mode::Holding, reason),
            AfterRest::Disarm => self.rest(Mode::Disarmed, reason),
            AfterRest::Fault => {
                self.gate.events.push(now, EventKind::Fault, Check::Mode, || {
                    format!("{reason}; latched, reset the fault and arm again")
                });
                self.rest(Mode::Fault, reason);
            }
        }
    }

    pub(super) fn rest(&mut self, mode: Mode, reason: String) {
        self.mode = mode;
        self.reason = reason;
        self.liveness.rest();
    }

    /// Ends all commands at once, sends the stop, and stays so until it is reset.
    pub(super) fn latch(&mut self, mode: Mode, check: Check, reason: String, now: Time) {
        self.executor.drop_plan();
        if self.named_move.take().is_some() {
            self.move_result = Some(Err(reason.clone()));
        }
        let position = self.measured.unwrap_or(self.gate.motion().position);
        self.gate.rest_at(position);
        let kind = if mode == Mode::Stopped {
            EventKind::Stopped
        } else {
            EventKind::Fault
        };
        let told = reason.clone();
        self.gate.events.push(now, kind, check, || {
            format!("{told}; latched, reset the fault and arm again")
        });
        self.rest(mode, reason);
        if let Err(error) = self.gate.arm_mut().stop(now) {
            self.gate.events.push(now, EventKind::Fault, Check::Driver, || {
                format!("a stop was not sent: {error}")
            });
        }
    }
}
