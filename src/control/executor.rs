//! Follows chunks: anchors them at their observation, sews them together and turns them into joints, a tick at a time.

mod history;
mod pace;
mod plan;
mod seam;
mod spline;

pub use history::History;
pub use plan::{Anchor, Bounds, Plan, PlanError, Target};
pub use seam::{FadeLimits, Seam, State};
pub use spline::{Sample, Spline};

use pace::{PaceProfile, SampledPath};

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

/// Fastest pace along a plan while catching up with it.
const CATCH_UP: f64 = 1.2;
/// A seam that is stretched for the sake of acceleration limits grows by so many ages of the observation: what it fades is
/// what happened meanwhile, and a source that is quick is to be followed closely.
const OBSERVATION_AGES: f64 = 3.0;
/// Spacing of the look-ahead along a plan [s], and its most samples.
const LOOK_AHEAD_SPACING_S: f64 = 0.02;
const LOOK_AHEAD_SAMPLES: usize = 200;
/// Shares of the way from the present pace to the full one that are tried when a limit stands against the full one.
const FASTER: [f64; 7] = [0.7, 0.45, 0.3, 0.2, 0.1, 0.05, 0.02];
/// Shares of the present pace that are tried after those.
const SLOWER: [f64; 8] = [1.0, 0.97, 0.9, 0.8, 0.65, 0.45, 0.2, 0.0];

/// Joints at a time along a plan.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlannedJoints {
    /// Time along the plan.
    pub time: Time,
    /// With the seam: what is to be commanded [rad].
    pub positions: Joints,
    /// Without the seam [rad].
    planned: Joints,
}

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
    /// How far along the plan the commands are: the time of the last tick, or earlier where limits slow the arm down.
    reached: Time,
    paces: PaceProfile,
    /// Seconds along the plan a second of the last command.
    pace: f64,
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
    /// `clamped` says that the last command was not what the plan in execution asked for. Returns the slowest pace the
    /// limits leave anywhere on the plan; from 1 up nothing is slowed.
    ///
    /// # Errors
    /// When it is not known where the arm was, or a waypoint does not work.
    pub fn start(&mut self, chunk: &ActionChunk, now: Time, clamped: bool) -> Result<f64, StartError> {
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
        let age = started.seconds_since(chunk.observed).max(0.0);
        let fade = FadeLimits {
            velocity: self.config.limits.velocity(),
            acceleration: self.config.limits.acceleration(),
            shortest: self.config.executor.blend_s,
            longest: self.config.executor.blend_max_s,
            longest_for_acceleration: self.config.executor.blend_s + OBSERVATION_AGES * age,
        };
        let seam = Seam::new(&commanded, &planned, &fade);
        let paces = self.paces(&plan, &seam, started, &planned.position);
        let slowest = paces.slowest();
        self.active = Some(Active {
            plan,
            seam,
            started,
            reached: started,
            paces,
            pace: 0.0,
            near: planned.position,
        });
        Ok(slowest)
    }

    /// Times along the plan a command at `now` may go to, best first: `now`, or as near to it as catching up permits,
    /// then paces between that and the present one, then slower ones. An arm at its limits thus stays on its path and
    /// only comes later.
    pub fn candidates(&self, now: Time) -> impl Iterator<Item = Time> + use<> {
        let period = self.config.period();
        let (reached, pace, limit) = self.active.as_ref().map_or((now, 1.0, 1.0), |active| {
            (
                active.reached,
                active.pace,
                active.paces.limit_at(active.reached).min(CATCH_UP),
            )
        });
        let furthest = reached.offset_secs(limit * period).min(now);
        let full = furthest.seconds_since(reached) / period;
        let faster = FASTER
            .into_iter()
            .map(move |share| pace + (full - pace).max(0.0) * share);
        let slower = SLOWER.into_iter().map(move |share| pace * share);
        let at = move |pace: f64| reached.offset_secs(pace * period).min(furthest);
        std::iter::once(furthest).chain(faster.chain(slower).map(at))
    }

    /// Joints of the plan with its seam at a time along the plan [rad]; `None` when there is no plan.
    ///
    /// # Errors
    /// When the arm cannot take up the pose.
    pub fn joints_at(&self, time: Time) -> Option<Result<PlannedJoints, InverseError>> {
        let active = self.active.as_ref()?;
        Some(
            self.solve(&active.plan, time, &active.near)
                .map(|planned| PlannedJoints {
                    time,
                    positions: planned + active.seam.at(time.seconds_since(active.started)),
                    planned,
                }),
        )
    }

    /// The joints were commanded: the plan goes on from there.
    pub fn advance(&mut self, to: &PlannedJoints) {
        if let Some(active) = self.active.as_mut() {
            active.pace = to.time.seconds_since(active.reached) / self.config.period();
            active.near = to.planned;
            active.reached = to.time;
        }
    }

    /// Gripper opening where the commands are along the plan.
    pub fn gripper(&self) -> Option<f64> {
        let active = self.active.as_ref()?;
        active.plan.gripper_at(active.reached)
    }

    /// Whether plan and seam are behind the commands.
    pub fn is_over(&self) -> bool {
        self.active.as_ref().is_some_and(|active| {
            active.reached >= active.plan.end().max(active.started.offset_secs(active.seam.length()))
        })
    }

    /// Looks ahead along a plan with its seam, as far as its poses can be taken up.
    fn paces(&self, plan: &Plan, seam: &Seam, start: Time, near: &Joints) -> PaceProfile {
        let length = plan.end().seconds_since(start).max(seam.length()) + LOOK_AHEAD_SPACING_S;
        let samples = ((length / LOOK_AHEAD_SPACING_S).ceil() as usize).min(LOOK_AHEAD_SAMPLES);
        let mut near = *near;
        let joints = (0..=samples).map_while(|j| {
            let elapsed = j as f64 * LOOK_AHEAD_SPACING_S;
            near = self.solve(plan, start.offset_secs(elapsed), &near).ok()?;
            Some(near + seam.at(elapsed))
        });
        let path = SampledPath {
            start,
            spacing: LOOK_AHEAD_SPACING_S,
            joints: joints.collect(),
        };
        let limits = &self.config.limits;
        PaceProfile::new(&path, &limits.velocity(), &limits.acceleration(), CATCH_UP)
    }

    fn solve(&self, plan: &Plan, time: Time, near: &Joints) -> Result<Joints, InverseError> {
        match plan.at(time) {
            Target::Joints(joints) => Ok(joints),
            Target::Pose(pose) => self.kinematics.inverse(&(pose * self.flange_from_tool.inverse()), near),
        }
    }

    /// From three joint positions around `time`, or after it where the plan only begins: before that it rests.
    fn state_of(&self, plan: &Plan, time: Time, near: &Joints) -> Option<State> {
        let step = self.config.period();
        let first = time.offset_secs(-step).max(plan.observed);
        let at = |steps: f64| self.solve(plan, first.offset_secs(steps * step), near).ok();
        let derivatives = State::from_samples([at(0.0)?, at(1.0)?, at(2.0)?], step, time.seconds_since(first) / step);
        Some(State {
            position: self.solve(plan, time, near).ok()?,
            ..derivatives
        })
    }

    /// What is being commanded, with its derivatives: the plan's own where it was followed, differences of the last
    /// commands where the gate changed them.
    fn commanded_state(&self, time: Time, joints: Joints, clamped: bool) -> State {
        let step = self.config.period();
        if let (false, Some(active)) = (clamped, &self.active) {
            let fade = |offset: f64| active.seam.at(active.reached.seconds_since(active.started) + offset);
            if let Some(planned) = self.state_of(&active.plan, active.reached, &active.near) {
                let seam = State::from_samples([fade(-step), fade(0.0), fade(step)], step, 1.0);
                return State {
                    position: joints,
                    velocity: planned.velocity + seam.velocity,
                    acceleration: planned.acceleration + seam.acceleration,
                };
            }
        }
        let back = |steps: f64| self.commanded.at(time.offset_secs(-steps * step)).unwrap_or(joints);
        let (one, two) = (back(1.0), back(2.0));
        State {
            position: joints,
            velocity: (joints * 3.0 - one * 4.0 + two) / (2.0 * step),
            acceleration: (joints - one * 2.0 + two) / (step * step),
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

#[cfg(test)]
mod tests;
