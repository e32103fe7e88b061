//! Follows chunks: anchors them at their observation, sews them together and turns them into joints, a tick at a time.

mod history;
mod plan;
mod seam;
mod spline;
#[cfg(test)]
mod tests;

pub use history::History;
pub use plan::{Anchor, Bounds, Plan, PlanError, Target};
pub use seam::{Seam, State};
pub use spline::{Sample, Spline};

use nalgebra::{Translation3, Vector6};

use super::chunk::ActionChunk;
use super::config::ArmConfig;
use super::kinematics::{InverseError, JointLimits, Rm75};
use super::time::Time;
use super::types::{Joints, Pose};
use crate::contract::Reference;

/// Seconds of commands and measurements that are remembered.
const HISTORY_S: f64 = 6.0;
/// Most joint states a second that are remembered [Hz].
const STATE_RATE_HZ: f64 = 250.0;

/// Why a chunk cannot start.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum StartError {
    /// It is not known where the arm was.
    #[error("expected an observation since the arm was armed, found one {age:.3} s old; observe again")]
    UnknownPast {
        /// Age of the observation [s].
        age: f64,
    },
    /// The waypoints do not work.
    #[error(transparent)]
    Plan(#[from] PlanError),
}

/// The plan in execution.
#[derive(Debug, Clone)]
struct Active {
    plan: Plan,
    seam: Seam,
    started: Time,
    /// Last joints of the plan itself, without the seam: what the inverse kinematics continues from.
    near: Joints,
}

/// Turns chunks into joints.
#[derive(Debug)]
pub struct Executor {
    config: ArmConfig,
    kinematics: Rm75,
    flange_from_tool: Pose,
    commanded: History,
    measured: History,
    active: Option<Active>,
}

impl Executor {
    /// An executor that has nothing to do.
    pub fn new(config: &ArmConfig) -> Self {
        let mut kinematics = Rm75::b();
        kinematics.limits = JointLimits {
            lower: config.limits.lowest(),
            upper: config.limits.highest(),
        };
        Self {
            kinematics,
            flange_from_tool: Pose::from_parts(Translation3::from(config.tool.offset()), Default::default()),
            commanded: History::new((HISTORY_S * config.command_rate_hz) as usize),
            measured: History::new((HISTORY_S * STATE_RATE_HZ) as usize),
            active: None,
            config: config.clone(),
        }
    }

    /// `base_from_tool` [m] at joints [rad].
    pub fn base_from_tool(&self, joints: &Joints) -> Pose {
        self.kinematics.forward(joints) * self.flange_from_tool
    }

    /// The arm was taken up at `joints` [rad]; everything before is forgotten.
    pub fn restart(&mut self, now: Time, joints: Joints) {
        self.active = None;
        self.commanded.restart(now, joints);
    }

    /// Remembers the command of this tick [rad], moving or not.
    pub fn remember_command(&mut self, now: Time, joints: Joints) {
        self.commanded.push(now, joints);
    }

    /// Remembers a measurement [rad].
    pub fn remember_state(&mut self, now: Time, joints: Joints) {
        self.measured.push(now, joints);
    }

    /// The plan in execution.
    pub fn plan(&self) -> Option<&Plan> {
        self.active.as_ref().map(|active| &active.plan)
    }

    /// Drops the plan in execution.
    pub fn drop_plan(&mut self) {
        self.active = None;
    }

    /// Starts a chunk, sewn to what is being commanded.
    ///
    /// `clamped` says that the last command was not what the plan in execution asked for.
    ///
    /// # Errors
    /// When it is not known where the arm was, or a waypoint does not work.
    pub fn start(&mut self, chunk: &ActionChunk, now: Time, clamped: bool) -> Result<(), StartError> {
        let unknown = StartError::UnknownPast {
            age: now.seconds_since(chunk.observed),
        };
        let (started, joints) = self.commanded.last().ok_or(unknown.clone())?;
        let anchor = self.anchor(chunk).ok_or(unknown)?;
        let bounds = Bounds {
            workspace: &self.config.workspace,
            tool: &self.config.tool,
        };
        let plan = Plan::new(chunk, &anchor, bounds)?;
        let commanded = self.commanded_state(started, joints, clamped);
        // A pose that cannot be taken up shows at the first tick; the seam then has nothing to fade.
        let planned = self.state_of(&plan, started, &joints).unwrap_or(commanded);
        let lengths = (self.config.executor.blend_s, self.config.executor.blend_max_s);
        let seam = Seam::new(&commanded, &planned, &self.config.limits.velocity(), lengths);
        self.active = Some(Active {
            plan,
            seam,
            started,
            near: planned.position,
        });
        Ok(())
    }

    /// Joints of the plan with its seam at `now` [rad]; `None` when there is no plan.
    ///
    /// # Errors
    /// When the arm cannot take up the pose.
    pub fn joints_at(&mut self, now: Time) -> Option<Result<Joints, InverseError>> {
        let active = self.active.as_ref()?;
        let planned = match self.solve(&active.plan, now, &active.near) {
            Ok(planned) => planned,
            Err(error) => return Some(Err(error)),
        };
        let active = self.active.as_mut()?;
        active.near = planned;
        Some(Ok(planned + active.seam.at(now.seconds_since(active.started))))
    }

    /// Time at which plan and seam are over.
    pub fn end(&self) -> Option<Time> {
        let active = self.active.as_ref()?;
        Some(active.plan.end().max(active.started.offset_secs(active.seam.length())))
    }

    fn solve(&self, plan: &Plan, time: Time, near: &Joints) -> Result<Joints, InverseError> {
        match plan.at(time) {
            Target::Joints(joints) => Ok(joints),
            Target::Pose(pose) => self.kinematics.inverse(&(pose * self.flange_from_tool.inverse()), near),
        }
    }

    fn state_of(&self, plan: &Plan, time: Time, near: &Joints) -> Option<State> {
        let step = self.config.period();
        let at = |offset: f64| self.solve(plan, time.offset_secs(offset), near).ok();
        Some(State::from_samples([at(-step)?, at(0.0)?, at(step)?], step))
    }

    /// What is being commanded, with its derivatives: the plan's own where it was followed, differences of the last
    /// commands where the gate changed them.
    fn commanded_state(&self, time: Time, joints: Joints, clamped: bool) -> State {
        let step = self.config.period();
        if let (false, Some(active)) = (clamped, &self.active) {
            let fade = |offset: f64| active.seam.at(time.seconds_since(active.started) + offset);
            if let Some(planned) = self.state_of(&active.plan, time, &active.near) {
                let seam = State::from_samples([fade(-step), fade(0.0), fade(step)], step);
                return State {
                    position: joints,
                    velocity: planned.velocity + seam.velocity,
                    acceleration: planned.acceleration + seam.acceleration,
                };
            }
        }
        let before = self.commanded.at(time.offset_secs(-step)).unwrap_or(joints);
        State {
            position: joints,
            velocity: (joints - before) / step,
            acceleration: Joints::zeros(),
        }
    }

    fn anchor(&self, chunk: &ActionChunk) -> Option<Anchor> {
        let history = match chunk.reference {
            Reference::Commanded => &self.commanded,
            Reference::Measured => &self.measured,
        };
        let step = self.config.period();
        let joints = history.at(chunk.observed)?;
        let before = history.at(chunk.observed.offset_secs(-step)).unwrap_or(joints);
        let next = chunk.observed.offset_secs(step);
        // Right at the newest entry only the past tells the velocity.
        let known = history.last().is_some_and(|(last, _)| last >= next);
        let (after, span) = if known {
            (history.at(next)?, 2.0 * step)
        } else {
            (joints, step)
        };
        let (earlier, later) = (self.base_from_tool(&before), self.base_from_tool(&after));
        let linear = (later.translation.vector - earlier.translation.vector) / span;
        let angular = (later.rotation * earlier.rotation.inverse()).scaled_axis() / span;
        Some(Anchor {
            joints,
            joint_velocity: (after - before) / span,
            pose: self.base_from_tool(&joints),
            twist: Vector6::new(linear.x, linear.y, linear.z, angular.x, angular.y, angular.z),
        })
    }
}
