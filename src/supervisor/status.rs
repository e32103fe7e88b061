//! Status of the supervisor.

use std::collections::VecDeque;
use std::fmt;

use super::Supervisor;
use crate::control::executor::PlanTarget;
use crate::realman::Driver;
use crate::types::time::{Now, Steady};
use crate::types::{Joints, Pose};

/// Mode of the arm; values as in `thinkvla/msg/ArmStatus`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ArmMode {
    /// Disarmed: no commands are sent.
    Disarmed = 0,
    /// Armed and at rest: no commands are sent.
    Holding = 1,
    /// Following a chunk.
    Executing = 2,
    /// Following a named move.
    Moving = 3,
    /// Braking to rest inside the limits.
    Braking = 4,
    /// Stopped, latched.
    Stopped = 5,
    /// Fault, latched: for example a driver error or a lost joint state.
    Fault = 6,
}

impl ArmMode {
    /// Whether commands may be sent.
    pub fn is_armed(self) -> bool {
        matches!(self, Self::Holding | Self::Executing | Self::Moving | Self::Braking)
    }

    /// Whether commands are being sent.
    pub fn is_moving(self) -> bool {
        matches!(self, Self::Executing | Self::Moving | Self::Braking)
    }
}

impl fmt::Display for ArmMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Disarmed => "disarmed",
            Self::Holding => "holding",
            Self::Executing => "executing",
            Self::Moving => "moving",
            Self::Braking => "braking",
            Self::Stopped => "stopped",
            Self::Fault => "in fault",
        })
    }
}

/// State and counters of the arm; mirrors `thinkvla/msg/ArmStatus`.
#[derive(Debug, Clone, PartialEq)]
pub struct SupervisorStatus {
    /// Present mode.
    pub mode: ArmMode,
    /// Reason for the mode.
    pub reason: String,
    /// Whether commands are computed and published for display but not sent to the driver.
    pub dry_run: bool,
    /// Driver generation: v1, v2 or unknown.
    pub driver_api: String,
    /// Name of the lease holder; empty if none.
    pub lease_source: String,
    /// Id of the lease; 0 if none.
    pub lease: u64,
    /// Id of the plan in execution; 0 if none.
    pub plan_id: u64,
    /// Joint positions of the last command after the gate (rad).
    pub commanded_joints: Joints,
    /// Joint positions of the last state from the driver (rad); zeros before the first.
    pub measured_joints: Joints,
    /// `base_from_tool` of the commanded joints (m).
    pub commanded_pose: Pose,
    /// `base_from_tool` of the measured joints (m).
    pub measured_pose: Pose,
    /// Last gripper command, 0 closed to 1 open; 0 before the first.
    pub gripper: f64,
    /// Mean command rate over the last second (Hz); 0 while none are sent.
    pub command_rate: f64,
    /// Number of commands sent, or that a dry run would have sent.
    pub commands: u64,
    /// Number of chunks accepted.
    pub chunks: u64,
    /// Number of commands changed to fit a limit.
    pub clamps: u64,
    /// Number of chunks, commands and requests refused.
    pub refusals: u64,
    /// Number of chunks that ended before the next one came.
    pub underruns: u64,
    /// Number of non-finite joint positions that passed the gate; always 0 unless the gate is faulty. They are not published.
    pub nonfinite: u64,
}

/// Plan in execution as poses; mirrors `thinkvla/msg/PlannedPath`.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedPath {
    /// Id of the plan.
    pub plan_id: u64,
    /// `base_from_tool` at the end of each step (m).
    pub poses: Vec<Pose>,
    /// Gripper opening of each step, 0 closed to 1 open.
    pub gripper: Vec<f64>,
    /// Number of steps already passed.
    pub done: usize,
}

/// Meter of the mean rate over the last second.
#[derive(Debug, Default)]
pub(super) struct RateMeter {
    times: VecDeque<Steady>,
}

impl RateMeter {
    /// Window of the mean (s).
    const WINDOW_S: f64 = 1.0;
    /// Pause after which the rate is 0 (s).
    const SILENCE_S: f64 = 0.1;

    pub(super) fn count(&mut self, now: Steady) {
        if self
            .times
            .back()
            .is_some_and(|last| now.seconds_since(*last) >= Self::SILENCE_S)
        {
            self.times.clear();
        }
        self.times.push_back(now);
        while self
            .times
            .front()
            .is_some_and(|first| now.seconds_since(*first) > Self::WINDOW_S)
        {
            self.times.pop_front();
        }
    }

    pub(super) fn rate(&self, now: Steady) -> f64 {
        let (Some(first), Some(last)) = (self.times.front(), self.times.back()) else {
            return 0.0;
        };
        let span = last.seconds_since(*first);
        if span <= 0.0 || now.seconds_since(*last) > Self::SILENCE_S {
            return 0.0;
        }
        (self.times.len() - 1) as f64 / span
    }
}

impl<D: Driver> Supervisor<D> {
    /// State and counters of the arm; mirrors `thinkvla/msg/ArmStatus`.
    pub fn status(&self, now: Now) -> SupervisorStatus {
        let gate = self.gate.counters();
        let commanded = self.gate.motion().position;
        let measured = self.measured.unwrap_or_else(Joints::zeros);
        let holder = self.leases.holder();
        SupervisorStatus {
            mode: self.mode,
            reason: self.reason.clone(),
            dry_run: self.config.dry_run,
            driver_api: self.gate.arm().api().map_or("unknown".into(), |api| api.to_string()),
            lease_source: holder.map_or_else(String::new, |holder| holder.source.clone()),
            lease: holder.map_or(0, |holder| holder.id),
            plan_id: self.executor.plan().map_or(0, |plan| plan.plan_id),
            commanded_joints: commanded,
            measured_joints: measured,
            commanded_pose: self.executor.base_from_tool(&commanded),
            measured_pose: self.executor.base_from_tool(&measured),
            gripper: self.gate.arm().gripper_opening().unwrap_or(0.0),
            command_rate: self.rate.rate(now.steady),
            commands: gate.commands,
            chunks: self.counters.chunks,
            clamps: gate.clamps,
            refusals: gate.refusals + self.counters.refusals,
            underruns: self.counters.underruns,
            nonfinite: self.gate.arm().nonfinite(),
        }
    }

    /// Returns the plan in execution as poses; `None` without a plan.
    pub fn planned_path(&self, now: Now) -> Option<PlannedPath> {
        let plan = self.executor.plan()?;
        let pose = |target| match target {
            PlanTarget::Pose(pose) => pose,
            PlanTarget::Joints(joints) => self.executor.base_from_tool(&joints),
        };
        Some(PlannedPath {
            plan_id: plan.plan_id,
            poses: plan.waypoints().map(pose).collect(),
            gripper: plan.gripper().to_vec(),
            done: plan.steps_done(self.executor.time_at(now.steady)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_the_mean_of_the_last_second_and_zero_in_silence() {
        let mut meter = RateMeter::default();
        let at = |i: i32| Steady::from_secs_f64(10.0 + f64::from(i) * 0.01);
        for i in 0..300 {
            meter.count(at(i));
        }
        assert!((meter.rate(at(299)) - 100.0).abs() < 1e-6);
        assert!((meter.rate(at(305)) - 100.0).abs() < 1e-6);
        assert_eq!(meter.rate(at(320)), 0.0);
        meter.count(at(400));
        assert_eq!(meter.rate(at(400)), 0.0);
        meter.count(at(402));
        assert!((meter.rate(at(402)) - 50.0).abs() < 1e-6);
    }

    #[test]
    fn modes_have_the_numbers_of_the_message() {
        let message = include_str!("../../msg/ArmStatus.msg");
        for (mode, name) in [
            (ArmMode::Disarmed, "DISARMED"),
            (ArmMode::Holding, "HOLDING"),
            (ArmMode::Executing, "EXECUTING"),
            (ArmMode::Moving, "MOVING"),
            (ArmMode::Braking, "BRAKING"),
            (ArmMode::Stopped, "STOPPED"),
            (ArmMode::Fault, "FAULT"),
        ] {
            assert!(message.contains(&format!("uint8 {name}={} ", mode as u8)), "{name}");
        }
    }
}
