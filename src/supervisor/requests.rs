//! Requests: the lease, arming, stopping, resetting, and named moves.

use super::clock::clock_stopped;
use super::starting::outside;
use super::{AfterRest, ArmMode, Refusal, StopError, Supervisor};
use crate::control::event::{Check, EventKind};
use crate::control::lease::{LeaseGrant, Priority};
use crate::control::named_move::{MoveRequest, NamedMove};
use crate::realman::Driver;
use crate::types::time::{Now, Time};

/// Progress of a named move.
#[derive(Debug, Clone, PartialEq)]
pub enum MoveProgress {
    /// In progress.
    Running {
        /// Largest remaining distance of a joint (rad).
        remaining: f64,
    },
    /// Arrived.
    Done,
    /// Ended early, with the reason.
    Failed(String),
}

impl<D: Driver> Supervisor<D> {
    /// Acquires the lease and returns its id. An operator pre-empts a policy, whose motion is braked.
    ///
    /// # Errors
    /// When a source of the same or higher priority holds it, or the source has no name.
    pub fn acquire_lease(&mut self, source: &str, priority: Priority, now: Now) -> Result<u64, Refusal> {
        match self.leases.acquire(source, priority, now.steady) {
            Ok(LeaseGrant { id, preempted }) => {
                self.gate.watchdog.heartbeat_received(now.steady);
                if let Some(from) = preempted {
                    let reason = format!("{source} took the lease from {}", from.source);
                    let copy = reason.clone();
                    self.gate
                        .events
                        .push(now.steady, EventKind::Held, Check::Lease, || copy);
                    self.end_motion_of_lease(reason, now);
                }
                Ok(id)
            }
            Err(error) => Err(self.refuse(Refusal::new(Check::Lease, error.to_string()), now)),
        }
    }

    /// Releases the lease; motion is braked.
    ///
    /// # Errors
    /// When `id` does not hold it.
    pub fn release_lease(&mut self, id: u64, now: Now) -> Result<(), Refusal> {
        if !self.leases.release(id) {
            return Err(self.refuse(
                Refusal::new(Check::Lease, format!("expected the id of the lease, found {id}")),
                now,
            ));
        }
        self.gate.watchdog.forget_heartbeat();
        self.end_motion_of_lease("the lease was released".into(), now);
        Ok(())
    }

    fn end_motion_of_lease(&mut self, reason: String, now: Now) {
        if matches!(self.mode, ArmMode::Executing | ArmMode::Moving) {
            self.begin_braking(AfterRest::Hold, reason, now);
        }
    }

    /// Arms the arm at its measured position, at rest.
    ///
    /// # Errors
    /// With the first reason against it: a latched stop or fault, a clock that has stopped, an unknown driver, no subscriber of
    /// commands or stops, another commanding node, no live joint state, joints that move, or joints outside the limits.
    pub fn arm(&mut self, now: Now) -> Result<(), Refusal> {
        let ending = self.mode == ArmMode::Braking && self.after_rest != AfterRest::Hold;
        if self.mode.is_armed() && !ending {
            return Ok(());
        }
        if let Err(refusal) = self.try_arm(now) {
            return Err(self.refuse(refusal, now));
        }
        self.rest(ArmMode::Holding, "armed".into());
        Ok(())
    }

    fn try_arm(&mut self, now: Now) -> Result<(), Refusal> {
        if self.mode != ArmMode::Disarmed {
            let advice = if self.mode == ArmMode::Braking {
                "wait until it rests"
            } else {
                "reset the fault first"
            };
            let message = format!(
                "expected a disarmed arm, found it {} ({}); {advice}",
                self.mode, self.reason
            );
            return Err(Refusal::new(Check::Mode, message));
        }
        self.check_clocks(now)?;
        self.gate
            .arm()
            .graph()
            .ready(&self.config.driver)
            .map_err(|not_ready| Refusal::new(Check::Publishers, not_ready.to_string()))?;
        if let Some(stale) = self.gate.watchdog.stale_state(now.steady) {
            return Err(Refusal::new(Check::Fresh, stale.to_string()));
        }
        if self.liveness.never_alive() {
            let message = "expected the joints of an arm, found all of them exactly zero ever since; the driver has not \
                           heard from its arm, check udp_ip";
            return Err(Refusal::new(Check::State, message));
        }
        let Some(measured) = self.measured else {
            return Err(Refusal::new(Check::State, "expected a joint state, found none"));
        };
        if !self.config.dry_run && !self.resting.is_at_rest(now.steady) {
            let message = "expected an arm at rest, found its joints moving, or seen for less than 50 ms; wait until it \
                           rests, then arm it";
            return Err(Refusal::new(Check::State, message));
        }
        self.gate.take_up(measured).map_err(outside)?;
        self.gate.arm_mut().adopt_driver();
        self.executor.restart(now.ros, measured);
        self.executor.remember_state(now.ros, measured);
        self.executor.rest(measured, now.steady);
        self.clamped = false;
        Ok(())
    }

    /// Checks that ROS time and the driver's stamps advance: without them the age of an observation is unknown.
    fn check_clocks(&self, now: Now) -> Result<(), Refusal> {
        let refused = |message: &str| Err(Refusal::new(Check::Clock, message));
        if now.ros == Time::default() {
            return refused(
                "expected a ROS time, found zero; start what publishes /clock, or set use_sim_time to false",
            );
        }
        if let Some(still) = self.clock.still(now.steady) {
            let message = clock_stopped(still);
            return refused(&format!("{message}; start what publishes /clock again"));
        }
        if self.measured.is_some() && self.state_stamp == Time::default() {
            return refused(
                "expected joint states with a stamp, found zero; the driver's clock does not run, check its use_sim_time",
            );
        }
        Ok(())
    }

    /// Brakes, then sends no command until armed again. A latched stop or fault stays.
    pub fn disarm(&mut self, now: Now) {
        if self.mode.is_armed() {
            self.begin_braking(AfterRest::Disarm, "disarmed".into(), now);
        }
    }

    /// Ends all commands at once, sends the driver's stop three times, and stays stopped until reset. Returns the number of
    /// subscribers of the stop topic.
    ///
    /// # Errors
    /// When the first stop message was not sent, or no node subscribes to it; commands end all the same.
    pub fn stop(&mut self, reason: &str, now: Now) -> Result<usize, StopError> {
        self.latch(ArmMode::Stopped, Check::Stop, reason.to_owned(), now)?;
        match self.gate.arm().graph().stop_subscribers {
            0 => Err(StopError::Unmatched),
            listeners => Ok(listeners),
        }
    }

    /// Releases a latched stop or fault; the arm is then disarmed.
    ///
    /// # Errors
    /// When nothing is latched, stop messages are still being sent, or the driver still reports errors.
    pub fn reset_fault(&mut self, now: Now) -> Result<(), Refusal> {
        if !matches!(self.mode, ArmMode::Stopped | ArmMode::Fault) {
            let message = format!("expected a latched stop or fault, found the arm {}", self.mode);
            return Err(self.refuse(Refusal::new(Check::Mode, message), now));
        }
        if self.gate.arm().is_stopping() {
            return Err(self.refuse(
                Refusal::new(Check::Stop, "the stop is still being sent; try again"),
                now,
            ));
        }
        let reporting = self.errors.iter().filter(|(_, codes)| !codes.is_empty());
        let present: Vec<_> = reporting.map(|(channel, _)| self.describe(*channel)).collect();
        if !present.is_empty() {
            let message = format!("the driver still reports {}; clear it there first", present.join(", "));
            return Err(self.refuse(Refusal::new(Check::Driver, message), now));
        }
        self.latched_errors.clear();
        self.rest(ArmMode::Disarmed, "reset, not armed".into());
        Ok(())
    }

    /// Starts a move to a named configuration of the parameter file at `speed`, a fraction of the speed limits, for the holder
    /// of `lease`; it ends when the lease or its heartbeats end. An arm that still follows the last command is waited for.
    ///
    /// # Errors
    /// When `lease` is not the present lease or its heartbeats are stale, the arm is not armed and at rest, the name is
    /// unknown, the speed is out of range, or the path leaves the workspace.
    pub fn move_named(&mut self, name: &str, speed: f64, lease: u64, now: Now) -> Result<(), Refusal> {
        match self.try_move(name, speed, lease, now) {
            Ok(planned) => {
                self.gate.events.about(name, 0);
                self.counters.moves += 1;
                self.named_move = Some(planned);
                self.move_result = None;
                self.starting = true;
                self.rest(ArmMode::Moving, format!("moving to {name}"));
                Ok(())
            }
            Err(refusal) => Err(self.refuse(refusal, now)),
        }
    }

    fn try_move(&mut self, name: &str, speed: f64, lease: u64, now: Now) -> Result<NamedMove, Refusal> {
        self.check_holder(lease)?;
        if self.mode != ArmMode::Holding {
            let message = format!(
                "expected an armed arm at rest, found it {} ({})",
                self.mode, self.reason
            );
            return Err(Refusal::new(Check::Mode, message));
        }
        if let Some(stale) = self.gate.watchdog.stale_heartbeat(now.steady) {
            return Err(Refusal::new(Check::Fresh, stale.to_string()));
        }
        self.prepare_start(now)?;
        self.plan_move(MoveRequest {
            name,
            speed,
            from: self.gate.motion().position,
            now: now.steady,
        })
    }

    /// Cancels a named move by braking.
    pub fn cancel_move(&mut self, now: Now) {
        if self.mode == ArmMode::Moving {
            self.begin_braking(AfterRest::Hold, "the move was cancelled".into(), now);
        }
    }

    /// Number of named moves accepted.
    pub fn moves(&self) -> u64 {
        self.counters.moves
    }

    /// Progress of the last named move; `None` if there was none.
    pub fn move_progress(&self) -> Option<MoveProgress> {
        if let Some(named_move) = &self.named_move {
            let remaining = named_move.remaining(&self.gate.motion().position);
            return Some(MoveProgress::Running { remaining });
        }
        self.move_result.clone()
    }
}
