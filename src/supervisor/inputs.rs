//! Inputs: joint states, driver errors, the ROS graph, heartbeats and chunks.

use super::clock::clock_stopped;
use super::{AfterRest, ArmMode, ErrorChannel, Refusal, Supervisor};
use crate::contract::ActionSpace;
use crate::control::chunk::ActionChunk;
use crate::control::event::{Check, EventKind};
use crate::control::lease::ReceivedHeartbeat;
use crate::realman::{Driver, Graph, errors};
use crate::types::Joints;
use crate::types::time::{Now, Time};

/// Largest lead of a stamp over ROS time (s), for clock differences between machines and rounding.
const FUTURE_S: f64 = 0.02;
/// Largest number of steps in a chunk; a longer one counts as a mistake.
const MAX_HORIZON: usize = 1000;
/// Largest number of different error codes that are remembered until the next reset; further new codes no longer stop the arm.
const MAX_LATCHED_ERRORS: usize = 256;
/// Shortest and longest step period (s).
const STEP_PERIOD_S: (f64, f64) = (0.002, 5.0);

impl<D: Driver> Supervisor<D> {
    /// Handles a joint state (rad) stamped by the driver. A state with a non-finite value is ignored.
    pub fn on_state(&mut self, joints: Joints, stamp: Time, now: Now) {
        if joints.iter().any(|q| !q.is_finite()) {
            let found = joints;
            self.gate
                .events
                .push(now.steady, EventKind::Refused, Check::Finite, || {
                    format!("expected finite joint states, found {:?}; ignored", found.as_slice())
                });
            return;
        }
        self.measured = Some(joints);
        self.state_stamp = stamp;
        self.gate.watchdog.state_received(now.steady);
        self.liveness.state_received(joints, now.steady);
        self.resting.state_received(joints, now.steady);
        self.executor.remember_state(now.ros, joints);
    }

    /// Reports a malformed joint state; the age of the last valid one keeps growing.
    pub fn on_malformed_state(&mut self, complaint: &str, now: Now) {
        self.gate
            .events
            .push(now.steady, EventKind::Refused, Check::State, || complaint.to_owned());
    }

    /// Refuses a malformed chunk message; the arm continues its motion.
    pub fn on_malformed_chunk(&mut self, source: &str, plan_id: u64, why: Refusal, now: Now) {
        let about = self.executor.plan().map(|plan| (plan.source.clone(), plan.plan_id));
        self.gate.events.about(source, plan_id);
        self.refuse(why, now);
        if let Some((source, plan_id)) = about {
            self.gate.events.about(&source, plan_id);
        }
    }

    /// Handles error codes of the driver; zero means none. Errors latch a fault, because the driver clears them by itself with
    /// the next motion, which must not start unrequested.
    pub fn on_driver_errors(&mut self, channel: ErrorChannel, codes: &[u32], now: Now) {
        let codes: Vec<u32> = codes.iter().copied().filter(|code| *code != 0).collect();
        let is_unknown = |code: &u32| !self.latched_errors.contains(code);
        let mut new: Vec<u32> = codes.iter().copied().filter(is_unknown).collect();
        new.truncate(MAX_LATCHED_ERRORS.saturating_sub(self.latched_errors.len()));
        let (none, none_new) = (codes.is_empty(), new.is_empty());
        self.latched_errors.extend(new);
        self.errors.insert(channel, codes);
        if none || (self.mode == ArmMode::Fault && none_new) {
            return;
        }
        let message = format!("the driver reports {}", self.describe(channel));
        self.fault(Check::Driver, message, now);
    }

    /// The errors of a channel that are present; those of joints have codes of their own.
    pub(super) fn describe(&self, channel: ErrorChannel) -> String {
        let codes = self.errors.get(&channel).into_iter().flatten();
        if channel == ErrorChannel::Joints {
            return codes
                .map(|code| format!("joint error 0x{code:04X}"))
                .collect::<Vec<_>>()
                .join(", ");
        }
        errors::describe_all(codes.copied())
    }

    /// Handles new facts of the ROS graph. A graph with which the arm may not be armed, or another driver, ends motion.
    pub fn on_graph(&mut self, graph: Graph, now: Now) {
        let ready = graph
            .ready(&self.config.driver)
            .and_then(|_| graph.keeps_driver(self.gate.arm().driver_node()));
        // Errors of a driver that has gone are not present any more, and nobody would report their end.
        let before = self.gate.arm().graph();
        self.errors
            .retain(|channel, _| !graph.has_lost_reporter(channel.topic(), before));
        self.gate.arm_mut().graph_seen(graph);
        if !self.mode.is_armed() || self.is_failing() {
            return;
        }
        if let Err(not_ready) = ready {
            let message = not_ready.to_string();
            let copy = message.clone();
            self.gate
                .events
                .push(now.steady, EventKind::Fault, Check::Publishers, || copy);
            self.begin_braking(AfterRest::Fault, message, now);
        }
    }

    /// Handles a heartbeat; one that the lease holder has not just sent itself is refused.
    pub fn on_heartbeat(&mut self, beat: &ReceivedHeartbeat<'_>, now: Now) {
        match self.leases.heartbeat(beat, self.config.timeouts.lease_s, now.steady) {
            Ok(()) => self.gate.watchdog.heartbeat_received(now.steady),
            Err(error) => self
                .gate
                .events
                .push(now.steady, EventKind::Refused, Check::Lease, || error.to_string()),
        }
    }

    /// Handles a chunk; it is followed from the next tick on.
    ///
    /// # Errors
    /// When the sender does not hold the lease, the mode does not permit motion, an input is stale, or the chunk is malformed,
    /// late, or cannot be followed. The arm then continues its motion.
    pub fn on_chunk(&mut self, chunk: ActionChunk, now: Now) -> Result<(), Refusal> {
        let about = self.executor.plan().map(|plan| (plan.source.clone(), plan.plan_id));
        self.gate.events.about(&chunk.source, chunk.plan_id);
        if let Err(refusal) = self
            .check_chunk(&chunk, now)
            .and_then(|()| self.start_chunk(&chunk, now))
        {
            let refusal = self.refuse(refusal, now);
            if let Some((source, plan_id)) = about {
                self.gate.events.about(&source, plan_id);
            }
            return Err(refusal);
        }
        if !self.mode.is_moving() {
            self.liveness.rest();
            self.starting = true;
        }
        self.last_plan = Some((chunk.lease, chunk.plan_id));
        self.counters.chunks += 1;
        self.mode = ArmMode::Executing;
        self.reason = format!("following {}", chunk.source);
        Ok(())
    }

    fn start_chunk(&mut self, chunk: &ActionChunk, now: Now) -> Result<(), Refusal> {
        if !self.mode.is_moving() {
            self.prepare_start(now)?;
        }
        let clamped = std::mem::take(&mut self.clamped);
        let slowest = match self.executor.start(chunk, now, clamped) {
            Ok(slowest) => slowest,
            Err(error) => {
                self.clamped = clamped;
                return Err(Refusal::new(error.check(), error.to_string()));
            }
        };
        if slowest < 1.0 {
            self.gate.events.push(now.steady, EventKind::Clamped, Check::Acceleration, || {
                format!("expected a plan inside the joints' limits, found one that leaves {slowest:.2} of its pace; it is followed more slowly")
            });
        }
        let moved = self.executor.plan().map_or(0, |plan| plan.moved);
        if moved > 0 {
            self.gate.events.push(now.steady, EventKind::Clamped, Check::Workspace, || {
                format!("{moved} waypoints were a little outside the workspace or the joint limits and were moved inside")
            });
        }
        Ok(())
    }

    fn check_chunk(&self, chunk: &ActionChunk, now: Now) -> Result<(), Refusal> {
        self.check_sender(chunk)?;
        self.check_permission(now)?;
        check_shape(chunk, &self.config.base_frame)?;
        check_times(chunk, self.config.timeouts.observation_s, now)
    }

    /// Checks that `lease` is the id of the present lease.
    pub(super) fn check_holder(&self, lease: u64) -> Result<(), Refusal> {
        if self.leases.holds(lease) {
            return Ok(());
        }
        let holder = self.leases.holder().map_or("nobody", |holder| &holder.source);
        Err(Refusal::new(
            Check::Lease,
            format!("expected the lease of {holder}, found {lease}; acquire the lease first"),
        ))
    }

    fn check_sender(&self, chunk: &ActionChunk) -> Result<(), Refusal> {
        self.check_holder(chunk.lease)?;
        if let Some(holder) = self.leases.holder().filter(|holder| holder.source != chunk.source) {
            let message = format!(
                "expected chunks of {}, who holds the lease, found one of {}; acquire a lease of its own",
                holder.source, chunk.source
            );
            return Err(Refusal::new(Check::Lease, message));
        }
        match self.last_plan {
            Some((lease, last)) if lease == chunk.lease && chunk.plan_id <= last => {
                let message = format!(
                    "expected a plan_id above {last}, found {}; chunks are taken in order",
                    chunk.plan_id
                );
                Err(Refusal::new(Check::Chunk, message))
            }
            _ => Ok(()),
        }
    }

    fn check_permission(&self, now: Now) -> Result<(), Refusal> {
        let permitted = match self.mode {
            ArmMode::Holding | ArmMode::Executing => true,
            ArmMode::Braking => self.after_rest == AfterRest::Hold,
            _ => false,
        };
        if !permitted {
            let message = format!(
                "expected an armed arm that is free, found it {} ({})",
                self.mode, self.reason
            );
            return Err(Refusal::new(Check::Mode, message));
        }
        let stale = self
            .gate
            .watchdog
            .stale_state(now.steady)
            .or_else(|| self.gate.watchdog.stale_heartbeat(now.steady));
        if let Some(stale) = stale {
            return Err(Refusal::new(Check::Fresh, stale.to_string()));
        }
        if let Some(still) = self.clock.still(now.steady) {
            let message = clock_stopped(still);
            return Err(Refusal::new(
                Check::Clock,
                format!("{message}; no observation has an age"),
            ));
        }
        if self.mode == ArmMode::Holding {
            self.check_unmoved()?;
        }
        Ok(())
    }
}

fn check_shape(chunk: &ActionChunk, base_frame: &str) -> Result<(), Refusal> {
    let (shortest, longest) = STEP_PERIOD_S;
    let found = chunk.step_period;
    if !(found >= shortest && found <= longest) {
        return Err(Refusal::new(
            Check::Chunk,
            format!("expected a step_period from {shortest} to {longest} s, found {found}"),
        ));
    }
    let found = chunk.actions.horizon();
    if found > MAX_HORIZON {
        return Err(Refusal::new(
            Check::Chunk,
            format!("expected at most {MAX_HORIZON} steps, found {found}"),
        ));
    }
    if chunk.actions.space() == ActionSpace::Ee7 && chunk.frame != base_frame {
        let message = format!("expected deltas in frame {base_frame:?}, found {:?}", chunk.frame);
        return Err(Refusal::new(Check::Chunk, message));
    }
    Ok(())
}

/// Checks that a chunk may be started: an observation of the past that is at most `limit` (s) old, an expiry and a last step
/// to come.
pub(super) fn check_times(chunk: &ActionChunk, limit: f64, now: Now) -> Result<(), Refusal> {
    let age = now.ros.seconds_since(chunk.observed);
    if age < -FUTURE_S {
        let message = format!(
            "expected an observation in the past, found one {:.3} s ahead; compare the clocks",
            -age
        );
        return Err(Refusal::new(Check::Clock, message));
    }
    if age > limit {
        return Err(Refusal::new(
            Check::Fresh,
            format!("expected an observation of at most {limit} s, found one {age:.3} s old"),
        ));
    }
    let late = now.ros.seconds_since(chunk.expires);
    if late > 0.0 {
        return Err(Refusal::new(
            Check::Fresh,
            format!("expected a start before the chunk expires, found it {late:.3} s expired"),
        ));
    }
    let over = age - chunk.actions.horizon() as f64 * chunk.step_period;
    if over >= 0.0 {
        let message = format!("expected a step in the future, found the last one {over:.3} s ago; the chunk is late");
        return Err(Refusal::new(Check::Fresh, message));
    }
    Ok(())
}
