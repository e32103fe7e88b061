//! A thread that runs trials.

use std::time::Instant;

use super::cost::Cost;
use super::error::EvaluationError;
use super::film::{Camera, Film};
use super::{Candidate, Evaluation, Latency, Trial};
use crate::eval::smoothness::SmoothnessMeter;
use crate::eval::trials::TrialResult;
use crate::sim::camera::Eyes;
use crate::sim::episode::{self, Moment, Outcome, Stage};
use crate::sim::expert::ExpertPilot;
use crate::sim::pilot::Pilot;
use crate::sim::scene::SceneOptions;
use crate::sim::tasks::EpisodeId;

/// A policy with its cameras, and a separate camera for videos, so that videos do not change the policy's images.
pub(super) struct Worker<'a> {
    evaluation: &'a Evaluation,
    candidate: &'a mut Candidate,
    eyes: Eyes,
    camera: Camera,
}

/// Result and cost of a trial.
pub(super) struct Made {
    pub result: TrialResult,
    pub cost: Cost,
}

impl<'a> Worker<'a> {
    pub fn new(evaluation: &'a Evaluation, candidate: &'a mut Candidate) -> Self {
        Self {
            evaluation,
            candidate,
            eyes: Eyes::default(),
            camera: Camera::default(),
        }
    }

    /// Runs a trial and writes its pictures.
    pub fn make(&mut self, id: EpisodeId, video: bool) -> Result<Made, EvaluationError> {
        let begun = Instant::now();
        let evaluation = self.evaluation;
        let stage = Stage {
            sim: &evaluation.sim,
            arm: &evaluation.arm,
            id,
            scene: SceneOptions::default(),
        };
        let mut watch = Watch {
            meter: SmoothnessMeter::new(evaluation.arm.period()),
            seam: false,
            film: Film::begin(&mut self.camera, &evaluation.out, id, video)?,
        };
        let (outcome, spent) = match self.candidate {
            Candidate::Expert => {
                let latency_s = match evaluation.latency {
                    Latency::Fixed(seconds) => seconds,
                    Latency::Measured => 0.0,
                };
                let mut pilot = ExpertPilot::new(&evaluation.sim, latency_s);
                (watch.fly(&stage, &mut pilot)?, Cost::default())
            }
            Candidate::Network(network) => {
                let mut pilot = network.pilot(evaluation, &mut self.eyes);
                let outcome = watch.fly(&stage, &mut pilot)?;
                (outcome, pilot.spent)
            }
        };
        let Watch { meter, film, .. } = watch;
        let film_s = film.end()?.as_secs_f64();
        Ok(Made {
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
struct Watch<'a> {
    meter: SmoothnessMeter,
    /// Whether the next command is the first of a chunk.
    seam: bool,
    film: Film<'a>,
}

impl Watch<'_> {
    fn fly(&mut self, stage: &Stage<'_>, pilot: &mut impl Pilot<EvaluationError>) -> Result<Outcome, EvaluationError> {
        episode::fly(stage, pilot, |moment| self.see(&moment))
    }

    fn see(&mut self, moment: &Moment<'_>) -> Result<(), EvaluationError> {
        if moment.ticked {
            let seam = std::mem::take(&mut self.seam);
            self.meter.push(moment.status().commanded_joints, seam);
            self.film.see(moment)?;
        }
        self.seam |= moment.chunk_began;
        Ok(())
    }
}

fn result(outcome: Outcome, meter: &SmoothnessMeter) -> TrialResult {
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
