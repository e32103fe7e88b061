//! Start of a chunk: its anchor at the observation, the blend from the motion being commanded, and a look ahead.

use nalgebra::Vector6;

use super::time_scaling::{SampledPath, TimeScaling};
use super::{Active, Anchor, Blend, CATCH_UP, ChunkPlan, Executor, FadeLimits, PathState, PlanBounds, PlanError};
use crate::contract::Reference;
use crate::control::chunk::ActionChunk;
use crate::control::event::Check;
use crate::types::Joints;
use crate::types::time::{Now, Time};

/// Number of observation ages by which acceleration limits may lengthen a seam. The seam fades out what happened since
/// the observation, so a source with low latency is followed closely.
const OBSERVATION_AGES: f64 = 3.0;
/// Sample spacing of the look-ahead along a plan (s), and the largest number of samples.
const LOOK_AHEAD_SPACING_S: f64 = 0.02;
const LOOK_AHEAD_SAMPLES: usize = 200;

/// Errors of starting a chunk.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum StartError {
    /// The joint positions at the time of the observation are unknown.
    #[error("expected an observation since the arm was armed, found one {age:.3} s old; observe again")]
    UnknownPast {
        /// Age of the observation (s).
        age: f64,
    },
    /// The plan is refused.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// There is no plan to start again.
    #[error("expected a chunk in execution, found none; send one")]
    NoPlan,
}

impl StartError {
    /// Check under which the error is reported.
    pub fn check(&self) -> Check {
        match self {
            Self::UnknownPast { .. } => Check::Fresh,
            Self::Plan(error) => error.check(),
            Self::NoPlan => Check::Chunk,
        }
    }
}

impl Executor {
    /// Starts a chunk, blended into the motion being commanded.
    ///
    /// `clamped` says that the last command was not what the plan in execution asked for. Returns the slowest pace that the
    /// limits permit within the look-ahead (4 s); from 1 on nothing is slowed down.
    ///
    /// # Errors
    /// When the joint positions at the observation are unknown, the plan is refused, or within the look-ahead the plan leads
    /// far beyond what the arm can reach.
    pub fn start(&mut self, chunk: &ActionChunk, now: Now, clamped: bool) -> Result<f64, StartError> {
        let anchor = self.anchor(chunk).ok_or(StartError::UnknownPast {
            age: now.ros.seconds_since(chunk.observed),
        })?;
        let bounds = PlanBounds {
            workspace: &self.config.workspace,
            tool: &self.config.tool,
            limits: &self.config.limits,
            kinematics: &*self.kinematics,
        };
        let plan = ChunkPlan::new(chunk, &anchor, bounds)?;
        let started = now.ros.offset_secs(self.last.at.seconds_since(now.steady));
        let [joints, ..] = self.last.joints;
        let commanded = self.commanded_state(clamped);
        // A pose without a joint solution is reported at the first tick; the seam then has nothing to fade.
        let planned = self.state_of(&plan, started, &joints).unwrap_or(commanded);
        let age = started.seconds_since(chunk.observed).max(0.0);
        let fade = FadeLimits {
            velocity: self.config.limits.velocity(),
            acceleration: self.config.limits.acceleration(),
            shortest: self.config.executor.blend_s,
            longest: self.config.executor.blend_max_s,
            longest_for_acceleration: self.config.executor.blend_s + OBSERVATION_AGES * age,
        };
        let blend = Blend::new(&commanded, &planned, &fade);
        let path = self.look_ahead(&plan, &blend, started, &planned.position)?;
        let limits = &self.config.limits;
        let paces = TimeScaling::new(&path, &limits.velocity(), &limits.acceleration(), CATCH_UP);
        let slowest = paces.slowest();
        self.active = Some(Active {
            chunk: chunk.clone(),
            plan,
            blend,
            taken: now,
            started,
            reached: started,
            paces,
            pace: 0.0,
            near: planned.position,
        });
        Ok(slowest)
    }

    /// Starts the chunk in execution again from where the arm now rests. Returns as [`Executor::start`].
    ///
    /// # Errors
    /// As [`Executor::start`], and when there is no plan.
    pub fn start_again(&mut self, now: Now) -> Result<f64, StartError> {
        let active = self.active.take().ok_or(StartError::NoPlan)?;
        self.start(&active.chunk, now, true)
    }

    /// Samples a plan with its seam ahead of time. Ends early at a pose without a joint solution, which is an error if the plan
    /// leads far beyond it.
    fn look_ahead(
        &self,
        plan: &ChunkPlan,
        blend: &Blend,
        start: Time,
        near: &Joints,
    ) -> Result<SampledPath, PlanError> {
        let length = plan.end().seconds_since(start).max(blend.length()) + LOOK_AHEAD_SPACING_S;
        let samples = ((length / LOOK_AHEAD_SPACING_S).ceil() as usize).min(LOOK_AHEAD_SAMPLES);
        let mut near = *near;
        let mut joints = Vec::with_capacity(samples + 1);
        for j in 0..=samples {
            let elapsed = j as f64 * LOOK_AHEAD_SPACING_S;
            let time = start.offset_secs(elapsed);
            match self.solve(plan, time, &near) {
                Ok(found) => near = found,
                Err(error) => {
                    plan.check_overshoot(
                        time,
                        &self.base_from_tool(&near),
                        self.config.workspace.tolerance_m,
                        error,
                    )?;
                    break;
                }
            }
            joints.push(near + blend.at(elapsed));
        }
        Ok(SampledPath {
            start,
            spacing: LOOK_AHEAD_SPACING_S,
            joints,
        })
    }

    /// State of the plan at `time` from three joint positions around it, or from positions after it at the start of the plan,
    /// because the plan is at rest before its start. `None` when a pose has no joint solution.
    fn state_of(&self, plan: &ChunkPlan, time: Time, near: &Joints) -> Option<PathState> {
        let step = self.config.period();
        let first = time.offset_secs(-step).max(plan.observed);
        let at = |steps: f64| self.solve(plan, first.offset_secs(steps * step), near).ok();
        let derivatives =
            PathState::from_samples([at(0.0)?, at(1.0)?, at(2.0)?], step, time.seconds_since(first) / step);
        Some(PathState {
            position: self.solve(plan, time, near).ok()?,
            ..derivatives
        })
    }

    /// State being commanded: with the derivatives of the plan where it was followed, and with differences of the last
    /// commands where the gate changed them.
    fn commanded_state(&self, clamped: bool) -> PathState {
        let step = self.config.period();
        let [joints, one, two] = self.last.joints;
        if let (false, Some(active)) = (clamped, &self.active) {
            let fade = |offset: f64| active.blend.at(active.reached.seconds_since(active.started) + offset);
            if let Some(planned) = self.state_of(&active.plan, active.reached, &active.near) {
                let blend = PathState::from_samples([fade(-step), fade(0.0), fade(step)], step, 1.0);
                return PathState {
                    position: joints,
                    velocity: planned.velocity + blend.velocity,
                    acceleration: planned.acceleration + blend.acceleration,
                };
            }
        }
        PathState {
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
        // At the newest entry the velocity can only be computed from the past.
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
