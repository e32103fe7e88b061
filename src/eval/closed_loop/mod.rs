//! Closed-loop evaluation of a policy on the simulated table-top: camera images in, chunks through executor and gate,
//! judged by the physics. It runs in one process, and trials are independent of one another.

mod corrections;
mod cost;
mod error;
mod network;
mod shuffled_cameras;
mod video;
mod worker;

use std::path::PathBuf;

use sha2::{Digest as _, Sha256};

pub use corrections::{CorrectionError, Corrections};
pub use cost::Cost;
pub use error::EvaluationError;
pub use network::{NetworkOptions, SimNetwork};

use super::journal::TrialJournal;
use super::trials::{Setting, Trial, TrialResult, TrialsReport};
use crate::control::config::ArmConfig;
use crate::parallel::in_order;
use crate::sim::config::SimConfig;
use crate::sim::tasks::{EpisodeId, Task};
use worker::Worker;

/// Levels of the factor a task is about.
const VARIATIONS: u64 = 3;

/// Latency from a picture to the arm having its chunk.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ChunkLatency {
    /// A fixed time (s): trials are then reproducible to the bit.
    Fixed(f64),
    /// The time each inference took on this machine.
    Measured,
}

/// Trials of one policy.
#[derive(Debug, Clone)]
pub struct Evaluation {
    /// The simulated table-top.
    pub sim: SimConfig,
    /// The arm's parameters.
    pub arm: ArmConfig,
    /// Trials, in the order in which they are reported and saved.
    pub trials: Vec<EpisodeId>,
    /// Latency from a picture to the arm having its chunk.
    pub latency: ChunkLatency,
    /// Steps of a chunk that are executed before the next one is computed; `None` stands for half of the checkpoint's
    /// chunk, rounded up. The expert has its own.
    pub replan_steps: Option<u32>,
    /// Simulated time after which a trial has failed (s).
    pub time_limit_s: f64,
    /// Whether the policy gets the camera images of the expert's episode on the scene of the next seed, in place of its
    /// own.
    pub shuffle_cameras: bool,
    /// Folder of the trials and their pictures.
    pub out: PathBuf,
    /// Number of trials, from the first on, of which a video is made.
    pub videos: usize,
}

/// The evaluated policy.
pub enum EvaluatedPolicy {
    /// The scripted expert, which knows all poses: an upper bound under this task, arm and latency.
    Expert,
    /// A checkpoint.
    Network(Box<SimNetwork>),
}

/// Report and cost of an evaluation.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluated {
    /// Report on all trials that were asked for.
    pub report: TrialsReport,
    /// Machine time of the trials that were run now.
    pub cost: Cost,
}

impl EvaluatedPolicy {
    fn name(&self) -> String {
        match self {
            Self::Expert => crate::sim::expert::SOURCE.to_owned(),
            Self::Network(network) => network.hash().to_owned(),
        }
    }
}

impl Evaluation {
    /// Runs the trials that the folder does not hold yet, and calls `progress` with each; the result covers all that were
    /// asked for. `candidates` are copies of one policy, one for each thread.
    ///
    /// # Errors
    /// When the folder holds another evaluation, the disk refuses, or simulator or network fail.
    pub fn run(
        &self,
        candidates: &mut [EvaluatedPolicy],
        progress: impl Fn(&TrialResult),
    ) -> Result<Evaluated, EvaluationError> {
        let setting = self.setting(candidates)?;
        let mut journal = TrialJournal::open(&self.out, &setting)?;
        let numbered = self.trials.iter().copied().enumerate();
        let missing: Vec<_> = numbered.filter(|(_, id)| !journal.holds(&Trial::of(*id))).collect();
        let mut cost = Cost::default();
        self.make(&missing, candidates, |made| {
            cost += made.cost;
            progress(&made.result);
            Ok(journal.add(&made.result)?)
        })?;
        let asked: Vec<Trial> = self.trials.iter().copied().map(Trial::of).collect();
        let done = journal.done().iter().filter(|of| asked.contains(&of.trial));
        let trials: Vec<TrialResult> = done.cloned().collect();
        video::sheet(&self.out, &trials)?;
        Ok(Evaluated {
            report: TrialsReport::of(setting, trials),
            cost,
        })
    }

    /// Runs trials on whichever thread is free; calls `keep` in their order.
    fn make(
        &self,
        trials: &[(usize, EpisodeId)],
        candidates: &mut [EvaluatedPolicy],
        mut keep: impl FnMut(worker::FinishedTrial) -> Result<(), EvaluationError>,
    ) -> Result<(), EvaluationError> {
        let work = |worker: &mut Worker<'_>, turn: usize| {
            let (number, id) = trials.get(turn).copied()?;
            Some(worker.make(id, number < self.videos))
        };
        in_order(
            trials.len(),
            candidates,
            |candidate| Worker::new(self, candidate),
            work,
            |made| made.map_or(Ok(()), |made| keep(made?)),
        )
    }

    fn setting(&self, candidates: &[EvaluatedPolicy]) -> Result<Setting, EvaluationError> {
        let candidate = candidates.first().ok_or(EvaluationError::Nobody)?;
        let replan_steps = match candidate {
            EvaluatedPolicy::Expert => self.sim.expert.replan_steps as u32,
            EvaluatedPolicy::Network(network) => network.replan_steps(self),
        };
        // A digest of other text would set these trials apart from those made before, so types keep their old names in it.
        let text = format!("{:?}{:?}", self.sim, self.arm).replace("SimDriverConfig", "DriverConfig");
        let parameters = Sha256::digest(text);
        Ok(Setting {
            policy: candidate.name(),
            latency_ms: match self.latency {
                ChunkLatency::Fixed(seconds) => Some(1e3 * seconds),
                ChunkLatency::Measured => None,
            },
            replan_steps,
            time_limit_s: self.time_limit_s,
            shuffled_cameras: self.shuffle_cameras,
            parameters: parameters.iter().map(|byte| format!("{byte:02x}")).collect(),
        })
    }
}

/// Returns the trials of a task for these seeds; the variations alternate unless one is named.
pub fn trials(task: Task, variation: Option<u8>, seeds: std::ops::Range<u64>) -> Vec<EpisodeId> {
    let first = seeds.start;
    let trial = |seed| EpisodeId {
        task,
        variation: variation.unwrap_or(((seed - first) % VARIATIONS) as u8),
        seed,
    };
    seeds.map(trial).collect()
}

impl Trial {
    fn of(id: EpisodeId) -> Self {
        Self {
            task: id.task.to_string(),
            variation: id.variation,
            seed: id.seed,
        }
    }
}
