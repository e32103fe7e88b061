//! Runs the scripted expert or a policy over ROS on many seeds of each task.

use std::path::PathBuf;

use serde::Serialize;

use crate::eval::machine::Machine;
use crate::stats::SuccessRate;

use super::episode::{self, DrivenEpisode, EpisodeStart, Executing};
use super::error::HarnessError;
use super::finetune_run::{FinetuneFigures, FinetuneOptions, FinetuneRun};
use super::recorder::{Recorder, Recording};
use super::session::{self, Finished, HarnessSession, Simulated};

/// The tasks of the simulator.
pub const TASKS: [&str; 3] = ["height", "container", "position"];
/// Number of variations of each task.
const VARIATIONS: u64 = 3;
/// Number of attempts for an episode that the recorder rejects, because the machine was too busy for its cameras.
const TRIES: u32 = 5;
/// Camera images per recorded row, so that each row has an image near its time.
const IMAGES_PER_ROW: f64 = 2.0;

/// Rollout to run.
#[derive(Debug, Clone)]
pub struct Rollout {
    /// Directory of the report and the logs.
    pub out: PathBuf,
    /// Tasks, each on every seed.
    pub tasks: Vec<String>,
    /// First seed.
    pub first_seed: u64,
    /// Number of seeds of each task; seed modulo the number of variations gives the variation.
    pub seeds: u64,
    /// Command rate of the arm node (Hz).
    pub command_rate_hz: f64,
    /// The expert or a policy.
    pub driver: RolloutDriver,
}

/// The expert or a policy.
#[derive(Debug, Clone)]
pub enum RolloutDriver {
    /// The scripted expert. With a recording, successful episodes are recorded, and the cameras are on.
    Expert(Option<Recording>),
    /// A checkpoint.
    Policy(RolloutPolicy),
}

/// A policy that drives.
#[derive(Debug, Clone)]
pub struct RolloutPolicy {
    /// Checkpoint directory.
    pub checkpoint: PathBuf,
    /// Longest episode (s, simulated).
    pub seconds: f64,
    /// Rate of each camera (Hz).
    pub camera_rate_hz: f64,
    /// Training that a finetune_node runs at the same time.
    pub beside: Option<FinetuneOptions>,
}

/// Result of a rollout.
#[derive(Debug, Clone, Serialize)]
pub struct RolloutReport {
    /// Results by task, in the order requested.
    pub tasks: Vec<TaskResult>,
    /// Result of the training that ran at the same time.
    pub tuned: Option<FinetuneFigures>,
    /// Machine it ran on.
    pub machine: Machine,
}

/// Episodes of one task.
#[derive(Debug, Clone, Serialize)]
pub struct TaskResult {
    /// Task.
    pub task: String,
    /// Successes and their interval.
    pub rate: SuccessRate,
    /// Time in mode EXECUTING (s).
    pub executing_s: f64,
    /// Commands in that time divided by it (Hz).
    pub command_rate_hz: f64,
    /// Underruns: chunks that ended before the next one arrived.
    pub underruns: u64,
    /// Every episode.
    pub episodes: Vec<SeedResult>,
}

/// One episode.
#[derive(Debug, Clone, Serialize)]
pub struct SeedResult {
    /// Task, variation and seed.
    pub start: EpisodeStart,
    /// Result of the episode.
    #[serde(flatten)]
    pub episode: DrivenEpisode,
}

/// The started driver.
enum Driving<'a> {
    Expert(Option<Recorder>),
    Policy(&'a RolloutPolicy),
}

impl Rollout {
    /// Runs all episodes; all nodes have ended when this returns.
    ///
    /// # Errors
    /// When a node cannot be started, dies, refuses, or does not answer in time.
    pub fn run(self, progress: impl Fn(&str) + Send + 'static) -> Result<Finished<RolloutReport>, HarnessError> {
        let logs = self.out.join("logs");
        session::run("rollout_observer", &logs, move |session| {
            self.script(session, &progress)
        })
    }

    fn script(&self, session: &HarnessSession, progress: &impl Fn(&str)) -> Result<RolloutReport, HarnessError> {
        session.start_robot(&Simulated {
            camera_rate_hz: self.driver.camera_rate_hz(),
            command_rate_hz: self.command_rate_hz,
        })?;
        let mut finetune = None;
        let driving = match &self.driver {
            RolloutDriver::Expert(recording) => {
                let recorder = recording.as_ref().map(|recording| Recorder::launch(session, recording));
                Driving::Expert(recorder.transpose()?)
            }
            RolloutDriver::Policy(policy) => {
                session.start_policy(&policy.checkpoint)?;
                if let Some(tuning) = &policy.beside {
                    progress("waiting for training to begin");
                    finetune = Some(FinetuneRun::begin(session, tuning)?);
                }
                Driving::Policy(policy)
            }
        };
        let tasks = self
            .tasks
            .iter()
            .map(|task| self.task(session, task, &driving, progress));
        Ok(RolloutReport {
            tasks: tasks.collect::<Result<_, _>>()?,
            tuned: finetune.map(|finetune| finetune.end(session)).transpose()?,
            machine: Machine::current(),
        })
    }

    fn task(
        &self,
        session: &HarnessSession,
        task: &str,
        driving: &Driving,
        progress: &impl Fn(&str),
    ) -> Result<TaskResult, HarnessError> {
        let mut episodes = Vec::new();
        for seed in self.first_seed..self.first_seed + self.seeds {
            let start = EpisodeStart {
                task: task.to_owned(),
                variation: u8::try_from(seed % VARIATIONS).unwrap_or(0),
                seed,
            };
            let mut episode = driving.episode(session, &start)?;
            for _ in 1..TRIES {
                let Some(why) = &episode.not_recorded else { break };
                progress(&format!("{task} seed {seed}: once more, {why}"));
                episode = driving.episode(session, &start)?;
            }
            progress(&result_line(&start, &episode));
            episodes.push(SeedResult { start, episode });
        }
        Ok(TaskResult::of(task, episodes))
    }
}

impl RolloutDriver {
    fn camera_rate_hz(&self) -> f64 {
        match self {
            Self::Expert(None) => 0.0,
            Self::Expert(Some(recording)) => IMAGES_PER_ROW * recording.fps,
            Self::Policy(policy) => policy.camera_rate_hz,
        }
    }
}

impl Driving<'_> {
    fn episode(&self, session: &HarnessSession, start: &EpisodeStart) -> Result<DrivenEpisode, HarnessError> {
        match self {
            Self::Expert(recorder) => episode::by_expert(session, start, recorder.as_ref()),
            Self::Policy(policy) => episode::by_policy(session, start, policy.seconds),
        }
    }
}

fn result_line(start: &EpisodeStart, episode: &DrivenEpisode) -> String {
    let EpisodeStart { task, variation, seed } = start;
    let (seconds, clamps) = (episode.episode_s, episode.figures.clamps);
    let head = format!("{task} seed {seed} variation {variation}");
    match episode.success {
        true => format!("{head}: success after {seconds:.1} s, {clamps} clamps"),
        false => format!(
            "{head}: FAILED after {seconds:.1} s, {clamps} clamps ({})",
            episode.detail
        ),
    }
}

impl TaskResult {
    fn of(task: &str, episodes: Vec<SeedResult>) -> Self {
        let successes = episodes.iter().filter(|of| of.episode.success).count();
        let executing = episodes.iter().map(|of| of.episode.figures.executing());
        let executing = executing.fold(Executing::default(), Executing::and);
        Self {
            task: task.to_owned(),
            rate: SuccessRate::of(
                u32::try_from(successes).unwrap_or(u32::MAX),
                u32::try_from(episodes.len()).unwrap_or(u32::MAX),
            ),
            executing_s: executing.seconds,
            command_rate_hz: executing.rate_hz(),
            underruns: episodes.iter().map(|of| of.episode.figures.underruns).sum(),
            episodes,
        }
    }
}

impl std::fmt::Display for RolloutReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(
            f,
            "| task | successes | 95 % interval (Wilson) | following chunks [s] | commands [Hz] | underruns |"
        )?;
        writeln!(f, "|---|---|---|---|---|---|")?;
        for task in &self.tasks {
            let SuccessRate {
                successes,
                trials,
                low,
                high,
            } = task.rate;
            writeln!(
                f,
                "| {} | {successes} / {trials} | {:.0} – {:.0} % | {:.1} | {:.2} | {} |",
                task.task,
                low * 100.0,
                high * 100.0,
                task.executing_s,
                task.command_rate_hz,
                task.underruns
            )?;
        }
        if let Some(tuned) = &self.tuned {
            writeln!(
                f,
                "\nMeanwhile training took {} steps, {:.1} samples a second, in {:.0} MB; 95 % of the policy's chunks took \
                 at most {} ms.",
                tuned.steps,
                tuned.samples_per_second,
                tuned.memory_mb,
                tuned.policy_p95_ms.map_or("–".to_owned(), |p95| format!("{p95:.0}"))
            )?;
        }
        write!(f, "\nMeasured on {}.", self.machine)
    }
}
