//! The scripted expert over ROS on many seeds of each task.

use std::path::PathBuf;

use serde::Serialize;

use crate::eval::machine::Machine;
use crate::eval::statistics::SuccessRate;

use super::episode::{self, Episode, Start};
use super::error::RunError;
use super::recorder::{Recorder, Recording};
use super::session::{self, Finished, Session, Simulated};

/// The tasks of the simulator.
pub const TASKS: [&str; 3] = ["height", "container", "position"];
/// Variations of each task.
const VARIATIONS: u64 = 3;
/// How often an episode is driven that the recorder will not keep, because the machine was too busy for its cameras.
const TRIES: u32 = 5;
/// Images per second while episodes are recorded: two for every row, so that each row has one near it.
const CAMERA_RATE_HZ: f64 = 20.0;

/// What to run.
#[derive(Debug, Clone)]
pub struct Rollout {
    /// Directory of the report and the logs.
    pub out: PathBuf,
    /// Tasks, each on every seed.
    pub tasks: Vec<String>,
    /// First seed.
    pub first_seed: u64,
    /// Seeds of each task; the variations take turns.
    pub seeds: u64,
    /// Commands per second.
    pub command_rate_hz: f64,
    /// Record what succeeds; the cameras are on then.
    pub recording: Option<Recording>,
}

/// What came of it.
#[derive(Debug, Clone, Serialize)]
pub struct RolloutReport {
    /// By task, in the order asked.
    pub tasks: Vec<TaskResult>,
    /// What it ran on.
    pub machine: Machine,
}

/// Episodes of one task.
#[derive(Debug, Clone, Serialize)]
pub struct TaskResult {
    /// Task.
    pub task: String,
    /// Successes and their interval.
    pub rate: SuccessRate,
    /// Every episode.
    pub episodes: Vec<SeedResult>,
}

/// Whom to tell of an episode, and who records it.
struct Told<'a, T> {
    tell: &'a T,
    recorder: Option<&'a Recorder>,
}

/// One episode.
#[derive(Debug, Clone, Serialize)]
pub struct SeedResult {
    /// Where it began.
    pub start: Start,
    /// What came of it.
    pub figures: Episode,
}

impl Rollout {
    /// Runs all episodes, cameras off unless they are recorded; all nodes have ended when this returns.
    ///
    /// # Errors
    /// When a node cannot be started, dies, refuses or stays silent.
    pub fn run(self, tell: impl Fn(&str) + Send + 'static) -> Result<Finished<RolloutReport>, RunError> {
        let logs = self.out.join("logs");
        session::run("rollout_observer", &logs, move |session| self.script(session, &tell))
    }

    fn script(&self, session: &Session, tell: &impl Fn(&str)) -> Result<RolloutReport, RunError> {
        session.start_robot(&Simulated {
            camera_rate_hz: if self.recording.is_some() { CAMERA_RATE_HZ } else { 0.0 },
            command_rate_hz: self.command_rate_hz,
        })?;
        let recorder = match &self.recording {
            Some(recording) => Some(Recorder::launch(session, recording)?),
            None => None,
        };
        let told = Told {
            tell,
            recorder: recorder.as_ref(),
        };
        let tasks = self
            .tasks
            .iter()
            .map(|task| self.task(session, task, &told))
            .collect::<Result<_, _>>()?;
        Ok(RolloutReport {
            tasks,
            machine: Machine::this(),
        })
    }

    fn task<T: Fn(&str)>(&self, session: &Session, task: &str, told: &Told<'_, T>) -> Result<TaskResult, RunError> {
        let mut episodes = Vec::new();
        for seed in self.first_seed..self.first_seed + self.seeds {
            let start = Start {
                task: task.to_owned(),
                variation: u8::try_from(seed % VARIATIONS).unwrap_or(0),
                seed,
            };
            let mut figures = episode::by_expert(session, &start, told.recorder)?;
            for _ in 1..TRIES {
                let Some(why) = &figures.not_recorded else { break };
                (told.tell)(&format!("{task} seed {seed}: once more, {why}"));
                figures = episode::by_expert(session, &start, told.recorder)?;
            }
            (told.tell)(&format!(
                "{task} seed {seed} variation {}: {} after {:.1} s, {} clamps{}",
                start.variation,
                if figures.success { "success" } else { "FAILED" },
                figures.episode_s,
                figures.clamps,
                if figures.success {
                    String::new()
                } else {
                    format!(" ({})", figures.detail)
                },
            ));
            episodes.push(SeedResult { start, figures });
        }
        let successes = episodes.iter().filter(|episode| episode.figures.success).count();
        Ok(TaskResult {
            task: task.to_owned(),
            rate: SuccessRate::of(
                u32::try_from(successes).unwrap_or(u32::MAX),
                u32::try_from(episodes.len()).unwrap_or(u32::MAX),
            ),
            episodes,
        })
    }
}

impl std::fmt::Display for RolloutReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "| task | successes | 95 % interval (Wilson) |")?;
        writeln!(f, "|---|---|---|")?;
        for TaskResult { task, rate, .. } in &self.tasks {
            let (low, high) = (rate.low * 100.0, rate.high * 100.0);
            writeln!(
                f,
                "| {task} | {} / {} | {low:.0} – {high:.0} % |",
                rate.successes, rate.trials
            )?;
        }
        write!(f, "\nMeasured on {}.", self.machine)
    }
}
