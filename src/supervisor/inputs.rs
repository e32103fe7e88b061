//! Inputs: joint states, driver errors, the ROS graph and heartbeats.

use super::{AfterRest, ArmMode, ErrorChannel, Refusal, Supervisor};
use crate::control::event::{Check, EventKind};
use crate::control::lease::ReceivedHeartbeat;
use crate::realman::{Driver, Graph, errors};
use crate::types::Joints;
use crate::types::time::{Now, Time};

/// Largest number of different error codes that are remembered until the next reset; further new codes no longer stop the arm.
const MAX_LATCHED_ERRORS: usize = 256;

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
}
