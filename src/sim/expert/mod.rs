//! A scripted expert: knows all poses and sends chunks like a policy.

mod path;
mod pilot;
mod plan;
mod resume;

use nalgebra::Vector3;

pub use path::{Path, ToolSpeedLimits};
pub use pilot::ExpertPilot;
pub use plan::plan;
pub(super) use plan::{CLOSING_S, GRASP, OPENING_S};
pub use resume::{Interrupted, resume};

use super::config::{ExpertConfig, SimConfig};
use super::tasks::TaskLayout;
use crate::contract::{ActionSpace, Composition, Reference};
use crate::control::chunk::{ActionChunk, ActionsError, PhysicalActions};
use crate::types::Pose;
use crate::types::time::Time;

/// Period of the steps of a chunk (s).
pub const STEP_PERIOD_S: f64 = 0.1;
/// Source name in leases, chunks and heartbeats.
pub const SOURCE: &str = "expert";

/// Distance from its path beyond which the expert continues from where the arm is instead of making it catch up (m).
const LAG: f64 = 0.002;
/// Longest time from a chunk's observation to its start (s).
const EXPIRY_S: f64 = 0.4;

/// Observation from which the expert plans a chunk.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExpertObservation {
    /// Time of the observation.
    pub time: Time,
    /// `base_from_tool` commanded at that time.
    pub commanded: Pose,
    /// Lease to put into the chunk.
    pub lease: u64,
}

/// The expert on one episode.
#[derive(Debug, Clone)]
pub struct Expert {
    path: Path,
    config: ExpertConfig,
    frame: String,
    /// Time of the last observation, and the arm's position along the path at that time (s).
    last: Option<(Time, f64)>,
    plan_id: u64,
}

impl Expert {
    /// Plans an episode that starts with the tool at `base_from_tool`.
    pub fn new(config: &SimConfig, layout: &TaskLayout, base_from_tool: Pose) -> Self {
        Self {
            path: plan(config, layout, base_from_tool),
            config: config.expert,
            frame: "base_link".to_owned(),
            last: None,
            plan_id: 0,
        }
    }

    /// Returns the time from one chunk to the next (s).
    pub fn replan_s(&self) -> f64 {
        self.config.replan_steps as f64 * STEP_PERIOD_S
    }

    /// Returns the duration of the whole path (s).
    pub fn duration(&self) -> f64 {
        self.path.duration()
    }

    /// Reports whether the path is finished.
    pub fn done(&self) -> bool {
        self.last.is_some_and(|(_, along)| along >= self.path.duration())
    }

    /// Returns the next chunk; `None` when the path is finished.
    ///
    /// # Errors
    /// When the observed pose is not finite.
    pub fn chunk(&mut self, observation: &ExpertObservation) -> Result<Option<ActionChunk>, ActionsError> {
        let along = self.locate(observation);
        self.last = Some((observation.time, along));
        if self.done() {
            return Ok(None);
        }
        let mut values = Vec::with_capacity(self.config.horizon * ActionSpace::Ee7.dim());
        let mut before = observation.commanded;
        for step in 0..self.config.horizon {
            let start = along + step as f64 * STEP_PERIOD_S;
            let after = self.path.pose(start + STEP_PERIOD_S);
            let delta: Vector3<f64> = after.translation.vector - before.translation.vector;
            let turn = (after.rotation * before.rotation.inverse()).scaled_axis();
            values.extend(delta.iter().chain(turn.iter()));
            // The value holds during the step, so it is that of the step's start.
            values.push(self.path.opening(start));
            before = after;
        }
        self.plan_id += 1;
        Ok(Some(ActionChunk {
            actions: PhysicalActions::new(ActionSpace::Ee7, values)?,
            composition: Composition::Sequential,
            reference: Reference::Commanded,
            frame: self.frame.clone(),
            step_period: STEP_PERIOD_S,
            observed: observation.time,
            expires: observation.time.offset_secs(EXPIRY_S),
            source: SOURCE.to_owned(),
            lease: observation.lease,
            plan_id: self.plan_id,
        }))
    }

    /// Returns the arm's position along the path (s): the elapsed time, unless the arm lags behind.
    fn locate(&self, observation: &ExpertObservation) -> f64 {
        let Some((time, along)) = self.last else {
            return 0.0;
        };
        let latest = along + observation.time.seconds_since(time).max(0.0);
        let distance = |along: f64| {
            let path = self.path.pose(along).translation.vector;
            (path - observation.commanded.translation.vector).norm()
        };
        if distance(latest) <= LAG {
            return latest;
        }
        let steps = ((latest - along) / 0.01) as usize;
        // Search from the latest on, so that pauses for the gripper are not repeated.
        let candidates = (0..=steps).rev().map(|i| along + i as f64 * 0.01);
        let nearest = candidates.min_by(|a, b| distance(*a).total_cmp(&distance(*b)));
        nearest.unwrap_or(along)
    }
}
