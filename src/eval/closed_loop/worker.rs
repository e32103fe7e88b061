//! A thread that runs trials.

use std::time::Instant;

use super::cost::Cost;
use super::error::EvaluationError;
use super::video::{Camera, TrialVideo};
use super::{ChunkLatency, EvaluatedPolicy, Evaluation, Trial};
use crate::eval::smoothness::SmoothnessMeter;
use crate::eval::trials::TrialResult;
use crate::sim::camera::CameraRenderer;
use crate::sim::episode::{self, EpisodeMoment, EpisodeOutcome, EpisodeSetup};
use crate::sim::expert::ExpertPilot;
use crate::sim::pilot::Pilot;
use crate::sim::scene::SceneOptions;
use crate::sim::tasks::EpisodeId;

/// A policy with its cameras, and a separate camera for videos, so that videos do not change the policy's images.
pub(super) struct Worker<'a> {
    evaluation: &'a Evaluation,
    candidate: &'a mut EvaluatedPolicy,
    renderer: CameraRenderer,
    camera: Camera,
}

/// Result and cost of a trial.
pub(super) struct FinishedTrial {
    pub result: TrialResult,
    pub cost: Cost,
}

impl<'a> Worker<'a> {
    pub fn new(evaluation: &'a Evaluation, candidate: &'a mut EvaluatedPolicy) -> Self {
        Self {
            evaluation,
            candidate,
            renderer: CameraRenderer::default(),
            camera: Camera::default(),
        }
    }

    /// Runs a trial and writes its pictures.
    pub fn make(&mut self, id: EpisodeId, video: bool) -> Result<FinishedTrial, EvaluationError> {
        let begun = Instant::now();
        let evaluation = self.evaluation;
        let setup = EpisodeSetup {
            sim: &evaluation.sim,
            arm: &evaluation.arm,
            id,
            scene: SceneOptions::default(),
        };
        let mut watch = TrialRecorder {
            meter: SmoothnessMeter::new(evaluation.arm.period()),
            seam: false,
            trial_video: TrialVideo::begin(&mut self.camera, &evaluation.out, id, video)?,
        };
        let (outcome, spent) = match self.candidate {
            EvaluatedPolicy::Expert => {
                let latency_s = match evaluation.latency {
                    ChunkLatency::Fixed(seconds) => seconds,
                    ChunkLatency::Measured => 0.0,
                };
                let mut pilot = ExpertPilot::new(&evaluation.sim, latency_s);
                (watch.run_episode(&setup, &mut pilot)?, Cost::default())
            }
            EvaluatedPolicy::Network(network) => {
                let mut pilot = network.pilot(evaluation, &mut self.renderer);
                let outcome = watch.run_episode(&setup, &mut pilot)?;
                (outcome, pilot.spent)
            }
        };
        let TrialRecorder { meter, trial_video, .. } = watch;
        let film_s = trial_video.end()?.as_secs_f64();
        Ok(FinishedTrial {
            cost: Cost {
                trials: 1,
                total_s: begun.elapsed().as_secs_f64(),
                film_s,
                simulated_s: outcome.seconds,
                ..spent
            },
            result: result(outcome, &meter),
        })
    }
}

/// Measures and films one trial.
struct TrialRecorder<'a> {
    meter: SmoothnessMeter,
    /// Whether the next command is the first of a chunk.
    seam: bool,
    trial_video: TrialVideo<'a>,
}

impl TrialRecorder<'_> {
    fn run_episode(
        &mut self,
        setup: &EpisodeSetup<'_>,
        pilot: &mut impl Pilot<EvaluationError>,
    ) -> Result<EpisodeOutcome, EvaluationError> {
        episode::run_episode(setup, pilot, |moment| self.observe(&moment))
    }

    fn observe(&mut self, moment: &EpisodeMoment<'_>) -> Result<(), EvaluationError> {
        if moment.ticked {
            let seam = std::mem::take(&mut self.seam);
            self.meter.push(moment.status().commanded_joints, seam);
            self.trial_video.observe(moment)?;
        }
        self.seam |= moment.chunk_began;
        Ok(())
    }
}

fn result(outcome: EpisodeOutcome, meter: &SmoothnessMeter) -> TrialResult {
    let events = outcome.tally.iter();
    TrialResult {
        trial: Trial::of(outcome.id),
        success: outcome.success,
        seconds: outcome.seconds,
        chunks: outcome.chunks,
        commands: outcome.commands,
        clamps: outcome.clamps,
        refusals: outcome.refusals,
        underruns: outcome.underruns,
        events: events
            .map(|((kind, check), times)| (format!("{kind} {check}"), *times))
            .collect(),
        smoothness: meter.figures(),
        detail: outcome.detail,
    }
}
