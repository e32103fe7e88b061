//! Executor: anchors chunks at their observation, blends each into the present motion and computes joints at every tick.
//!
//! The times of a chunk are ROS times. When a chunk is accepted they are mapped onto the steady clock, and from then on the
//! chunk is followed on the steady clock, because the arm moves in real time: on a ROS clock that stands still the arm
//! would get the same target for ever, on one that runs ten times as fast the plan would end before the arm has begun,
//! and after a jump the target would be elsewhere on the path. The next chunk is mapped anew, so the two clocks drift
//! apart by no more than they do within one chunk. Past joint positions are stored in ROS time, because observations are
//! stamped in it.

mod blend;
mod history;
mod plan;
mod spline;
mod start;
mod time_scaling;

pub use blend::{Blend, FadeLimits, PathState};
pub use history::History;
pub use plan::{Anchor, ChunkPlan, PlanBounds, PlanError, PlanTarget};
pub use spline::{Spline, SplineSample};
pub use start::StartError;

use time_scaling::TimeScaling;

use std::sync::Arc;

use nalgebra::Translation3;

use super::chunk::ActionChunk;
use super::config::ArmConfig;
use super::kinematics::{InverseError, JointLimits, Kinematics};
use crate::types::time::{Now, Steady, Time};
use crate::types::{Joints, Pose};

/// Duration of the history of commands and measurements (s).
const HISTORY_S: f64 = 6.0;
/// Highest rate of joint states that the history is sized for (Hz).
const STATE_RATE_HZ: f64 = 250.0;

/// Highest pace along a plan while catching up with it (plan seconds per second).
const CATCH_UP: f64 = 1.2;
/// Fractions of the difference from the present pace to the full one, tried when the full pace would exceed a limit.
const FASTER: [f64; 7] = [0.7, 0.45, 0.3, 0.2, 0.1, 0.05, 0.02];
/// Fractions of the present pace, tried after those.
const SLOWER: [f64; 8] = [1.0, 0.97, 0.9, 0.8, 0.65, 0.45, 0.2, 0.0];

/// Joint positions at a time along a plan.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlannedJoints {
    /// Time along the plan.
    pub time: Time,
    /// Positions with the seam, to be commanded (rad).
    pub positions: Joints,
    /// Positions without the seam (rad).
    planned: Joints,
}

/// Plan in execution.
#[derive(Debug, Clone)]
struct Active {
    chunk: ActionChunk,
    plan: ChunkPlan,
    blend: Blend,
    /// Time at which the plan was accepted; maps the time along the plan to the steady clock.
    taken: Now,
    /// Time along the plan at which its seam begins.
    started: Time,
    /// Time along the plan that the commands have reached: that of the last tick, or earlier where limits slow the arm down.
    reached: Time,
    paces: TimeScaling,
    /// Pace of the last command (plan seconds per second).
    pace: f64,
    /// Last joint positions of the plan without the seam; the inverse kinematics continues from them.
    near: Joints,
}

impl Active {
    /// Time along the plan at `now`.
    fn time_at(&self, now: Steady) -> Time {
        self.taken.ros.offset_secs(now.seconds_since(self.taken.steady))
    }
}

/// Last commands, from which derivatives are computed.
#[derive(Debug, Clone, Copy, Default)]
struct LastCommands {
    at: Steady,
    /// Joint positions one period apart, newest first (rad).
    joints: [Joints; 3],
}

/// Executor of chunks.
#[derive(Debug)]
pub struct Executor {
    config: ArmConfig,
    /// Kinematics with the joint limits that commands keep.
    kinematics: Arc<dyn Kinematics>,
    flange_from_tool: Pose,
    commanded: History,
    measured: History,
    last: LastCommands,
    active: Option<Active>,
}

impl Executor {
    /// Creates an executor without a plan, for an arm whose joint limits are narrowed to those of the parameters.
    pub fn new(config: &ArmConfig, kinematics: &dyn Kinematics) -> Self {
        Self {
            kinematics: kinematics.with_limits(JointLimits {
                lower: config.limits.lowest(),
                upper: config.limits.highest(),
            }),
            flange_from_tool: Pose::from_parts(Translation3::from(config.tool.offset()), Default::default()),
            commanded: History::new((HISTORY_S * config.command_rate_hz) as usize),
            measured: History::new((HISTORY_S * STATE_RATE_HZ) as usize),
            last: LastCommands::default(),
            active: None,
            config: config.clone(),
        }
    }

    /// Returns `base_from_tool` (m) at joint positions (rad).
    pub fn base_from_tool(&self, joints: &Joints) -> Pose {
        self.kinematics.forward(joints) * self.flange_from_tool
    }

    /// Drops everything stamped in ROS time: the plan and the history. Commands continue from `joints` (rad).
    pub fn restart(&mut self, now: Time, joints: Joints) {
        self.active = None;
        self.measured.clear();
        self.commanded.restart(now, joints);
    }

    /// Sets the arm at rest at `joints` (rad), where it has been for some ticks up to the one at `last_tick`.
    pub fn rest(&mut self, joints: Joints, last_tick: Steady) {
        self.last = LastCommands {
            at: last_tick,
            joints: [joints; 3],
        };
    }

    /// Replaces the commanded positions since the arm came to rest by the measured ones, for an arm that rests elsewhere than
    /// commanded.
    pub fn rest_as_measured(&mut self) {
        self.commanded.replace_rest(&self.measured);
    }

    /// Records the command of this tick (rad), moving or not.
    pub fn remember_command(&mut self, now: Now, joints: Joints) {
        self.commanded.push(now.ros, joints);
        let [newest, before, _] = self.last.joints;
        self.last = LastCommands {
            at: now.steady,
            joints: [joints, newest, before],
        };
    }

    /// Records measured joint positions (rad).
    pub fn remember_state(&mut self, now: Time, joints: Joints) {
        self.measured.push(now, joints);
    }

    /// Plan in execution.
    pub fn plan(&self) -> Option<&ChunkPlan> {
        self.active.as_ref().map(|active| &active.plan)
    }

    /// Chunk in execution.
    pub fn chunk(&self) -> Option<&ActionChunk> {
        self.active.as_ref().map(|active| &active.chunk)
    }

    /// Drops the plan in execution.
    pub fn drop_plan(&mut self) {
        self.active = None;
    }

    /// Steady time of the observation of the plan in execution, from its age when the plan was accepted.
    pub fn observed(&self) -> Option<Steady> {
        let active = self.active.as_ref()?;
        let age = active.taken.ros.seconds_since(active.plan.observed);
        Some(active.taken.steady.offset_secs(-age))
    }

    /// Time along the plan in execution at `now`; `None` without a plan.
    pub fn time_at(&self, now: Steady) -> Option<Time> {
        self.active.as_ref().map(|active| active.time_at(now))
    }

    /// Time since the end of the plan in execution (s), negative before it; `None` without a plan.
    pub fn overdue(&self, now: Steady) -> Option<f64> {
        let active = self.active.as_ref()?;
        Some(active.time_at(now).seconds_since(active.plan.end()))
    }

    /// Candidate times along the plan for a command at `now`, best first: the time of the steady clock, or as near to it as
    /// catching up permits, then paces between that and the present pace, then slower ones. An arm at its limits thus stays
    /// on its path and only arrives later. Empty without a plan.
    pub fn candidates(&self, now: Steady) -> impl Iterator<Item = Time> + use<> {
        let period = self.config.period();
        let present = self.active.as_ref().map(|active| {
            let limit = active.paces.limit_at(active.reached).min(CATCH_UP);
            let furthest = active.reached.offset_secs(limit * period).min(active.time_at(now));
            (active.reached, active.pace, furthest.max(active.reached))
        });
        present.into_iter().flat_map(move |(reached, pace, furthest)| {
            let full = furthest.seconds_since(reached) / period;
            let faster = FASTER
                .into_iter()
                .map(move |share| pace + (full - pace).max(0.0) * share);
            let slower = SLOWER.into_iter().map(move |share| pace * share);
            let at = move |pace: f64| reached.offset_secs(pace * period).min(furthest);
            std::iter::once(furthest).chain(faster.chain(slower).map(at))
        })
    }

    /// Joint positions of the plan with its seam at `time` along the plan (rad); `None` without a plan.
    ///
    /// # Errors
    /// When the pose has no joint solution.
    pub fn joints_at(&self, time: Time) -> Option<Result<PlannedJoints, InverseError>> {
        let active = self.active.as_ref()?;
        Some(
            self.solve(&active.plan, time, &active.near)
                .map(|planned| PlannedJoints {
                    time,
                    positions: planned + active.blend.at(time.seconds_since(active.started)),
                    planned,
                }),
        )
    }

    /// Records that `to` was commanded: the plan continues from there.
    pub fn advance(&mut self, to: &PlannedJoints) {
        if let Some(active) = self.active.as_mut() {
            active.pace = to.time.seconds_since(active.reached) / self.config.period();
            active.near = to.planned;
            active.reached = to.time;
        }
    }

    /// Gripper opening at the point of the plan that the commands have reached.
    pub fn gripper(&self) -> Option<f64> {
        let active = self.active.as_ref()?;
        active.plan.gripper_at(active.reached)
    }

    /// Whether the commands have passed the end of plan and seam.
    pub fn is_over(&self) -> bool {
        self.active.as_ref().is_some_and(|active| {
            active.reached >= active.plan.end().max(active.started.offset_secs(active.blend.length()))
        })
    }

    fn solve(&self, plan: &ChunkPlan, time: Time, near: &Joints) -> Result<Joints, InverseError> {
        match plan.at(time) {
            PlanTarget::Joints(joints) => Ok(joints),
            PlanTarget::Pose(pose) => self.kinematics.inverse(&(pose * self.flange_from_tool.inverse()), near),
        }
    }
}

#[cfg(test)]
mod tests;
