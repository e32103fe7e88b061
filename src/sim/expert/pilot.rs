//! Pilot that drives episodes with the expert.

use super::{Expert, ExpertObservation, SOURCE};
use crate::sim::config::SimConfig;
use crate::sim::episode::{EpisodeMoment, due};
use crate::sim::error::SimError;
use crate::sim::pilot::{Decision, Pilot};

/// Time an episode may take beyond the expert's plan (s).
const TIME_MARGIN_S: f64 = 4.0;

/// Drives one episode after another with the expert.
#[derive(Debug, Clone)]
pub struct ExpertPilot<'a> {
    config: &'a SimConfig,
    latency_s: f64,
    current: Option<Current>,
}

/// State of one episode.
#[derive(Debug, Clone)]
struct Current {
    expert: Expert,
    /// Time at which the next chunk is due (s).
    next: f64,
}

impl<'a> ExpertPilot<'a> {
    /// Creates a pilot whose chunks reach the arm `latency_s` (s) after their observation.
    pub fn new(config: &'a SimConfig, latency_s: f64) -> Self {
        Self {
            config,
            latency_s,
            current: None,
        }
    }

    /// Returns the duration of the path through this episode (s); 0 before the first.
    pub fn duration_s(&self) -> f64 {
        self.current.as_ref().map_or(0.0, |current| current.expert.duration())
    }
}

impl<E: From<SimError>> Pilot<E> for ExpertPilot<'_> {
    fn source(&self) -> &'static str {
        SOURCE
    }

    fn begin(&mut self, moment: &EpisodeMoment<'_>) -> Result<(), E> {
        let commanded = moment.status().commanded_pose;
        self.current = Some(Current {
            expert: Expert::new(self.config, &moment.episode_world.layout, commanded),
            next: moment.episode_world.world.time() + moment.command_period_s(),
        });
        Ok(())
    }

    fn limit_s(&self) -> f64 {
        self.duration_s() + TIME_MARGIN_S
    }

    fn decide(&mut self, moment: &EpisodeMoment<'_>) -> Result<Decision, E> {
        let Some(Current { expert, next }) = &mut self.current else {
            return Ok(Decision::Wait);
        };
        if !due(moment.episode_world.world.time(), next, expert.replan_s()) {
            return Ok(Decision::Wait);
        }
        let status = moment.status();
        let chunk = expert.chunk(&ExpertObservation {
            time: moment.time(),
            commanded: status.commanded_pose,
            lease: status.lease,
        });
        let chunk = chunk.map_err(|e| SimError::Begin(e.to_string()))?;
        Ok(chunk.map_or(Decision::Finish, |chunk| Decision::Send {
            chunk,
            latency_s: self.latency_s,
        }))
    }
}
