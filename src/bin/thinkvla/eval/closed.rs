//! Closed-loop evaluation in the simulator.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use thinkvla::control::config::ArmConfig;
use thinkvla::eval::closed_loop::{ChunkLatency, Cost, Evaluated, EvaluatedPolicy, Evaluation, SimNetwork, trials};
use thinkvla::eval::machine::Machine;
use thinkvla::eval::trials::{TrialResult, TrialsReport};
use thinkvla::model::policy::PolicyOptions;
use thinkvla::sim::config::SimConfig;
use thinkvla::sim::tasks::Task;

/// Trials of a task in the paper's protocol: fifty of each variation.
const PAPER_TRIALS: u64 = 150;

/// Arguments of the closed loop.
#[derive(Debug, Args)]
pub struct ClosedLoop {
    /// height, container or position; may be repeated
    #[arg(long, required_unless_present_any = ["dataset", "protocol", "robot"])]
    task: Vec<Task>,
    /// The paper's trials in place of --task, --variation and --episodes
    #[arg(long, conflicts_with_all = ["task", "variation", "episodes"])]
    protocol: Option<Protocol>,
    /// Trials of each task; the three variations alternate unless one is named
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    episodes: u64,
    /// Level of the factor the task is about
    #[arg(long, value_parser = clap::value_parser!(u8).range(0..=2))]
    variation: Option<u8>,
    /// Time from a picture to the arm having its chunk [ms], or `measured`: the time of each inference on this machine
    #[arg(long, default_value = "100")]
    latency: LatencyChoice,
    /// Steps of a chunk that are executed before the next one is computed; half of the checkpoint's chunk when not given
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    replan_steps: Option<u32>,
    /// Simulated time after which a trial has failed [s]
    #[arg(long, default_value = "20", value_parser = seconds)]
    time_limit: f64,
    /// Show the policy the camera images of another episode; a policy that uses its images fails then
    #[arg(long)]
    shuffle_cameras: bool,
    /// Number of first trials that get a video
    #[arg(long, default_value_t = 3)]
    videos: usize,
    /// Trials at the same time; the policy is loaded once for each, with one thread unless --threads says otherwise
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    jobs: u16,
    /// The table-top; the shipped one when not given
    #[arg(long)]
    sim: Option<PathBuf>,
    /// The arm's parameters; the shipped ones when not given
    #[arg(long)]
    arm: Option<PathBuf>,
}

/// Trials by name.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Protocol {
    /// Three tasks, three variations, fifty trials of each
    Paper,
}

/// A latency on the command line.
#[derive(Debug, Clone, Copy)]
struct LatencyChoice(ChunkLatency);

impl FromStr for LatencyChoice {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        if text == "measured" {
            return Ok(Self(ChunkLatency::Measured));
        }
        match text.parse::<f64>() {
            Ok(ms) if ms.is_finite() && ms >= 0.0 => Ok(Self(ChunkLatency::Fixed(ms / 1e3))),
            _ => bail!("expected milliseconds from 0 up, or measured, found {text}"),
        }
    }
}

fn seconds(text: &str) -> anyhow::Result<f64> {
    match text.parse::<f64>() {
        Ok(seconds) if seconds.is_finite() && seconds > 0.0 => Ok(seconds),
        _ => bail!("expected seconds above 0, found {text}"),
    }
}

/// A report with its computing cost and the machine it ran on.
#[derive(Debug, Serialize)]
struct Written {
    #[serde(flatten)]
    report: TrialsReport,
    cost: Cost,
    machine: Machine,
}

impl Written {
    fn text(&self) -> String {
        format!("{}\n{}. Machine: {}.\n", self.report, self.cost, self.machine)
    }
}

/// Evaluates one task after another; with several, each has its own folder below the common one.
pub fn run(common: &super::Arguments) -> anyhow::Result<()> {
    let ClosedLoop { protocol, episodes, .. } = common.closed;
    let (tasks, episodes) = match protocol {
        Some(Protocol::Paper) => (Task::ALL.to_vec(), PAPER_TRIALS),
        None => (common.closed.task.clone(), episodes),
    };
    let mut all = Vec::new();
    for task in &tasks {
        let out = if tasks.len() > 1 {
            common.out.join(task.name())
        } else {
            common.out.clone()
        };
        let evaluation = evaluation(common, *task, episodes, out)?;
        let mut candidates = candidates(common, *task)?;
        let bar = ProgressBar::new(episodes).with_message(task.to_string());
        bar.set_style(ProgressStyle::with_template(
            "{msg} {bar:30} {pos}/{len} trials, {elapsed} + {eta}",
        )?);
        let Evaluated { report, cost } = evaluation.run(&mut candidates, |result| {
            bar.println(line(result));
            bar.inc(1);
        })?;
        bar.finish_and_clear();
        let machine = Machine::current();
        let written = Written { report, cost, machine };
        super::write(&evaluation.out, &written, &written.text())?;
        all.push(written);
    }
    if tasks.len() > 1 {
        let text: Vec<_> = all.iter().map(Written::text).collect();
        super::write(&common.out, &all, &text.join("\n"))?;
    }
    Ok(())
}

fn evaluation(common: &super::Arguments, task: Task, episodes: u64, out: PathBuf) -> anyhow::Result<Evaluation> {
    let arguments = &common.closed;
    let seeds = common.seed..common.seed.saturating_add(episodes);
    Ok(Evaluation {
        sim: match &arguments.sim {
            Some(path) => SimConfig::load(path)?,
            None => SimConfig::shipped()?,
        },
        arm: match &arguments.arm {
            Some(path) => ArmConfig::load(path).context("the arm's parameters")?,
            None => ArmConfig::shipped()?,
        },
        trials: trials(task, arguments.variation, seeds),
        latency: arguments.latency.0,
        replan_steps: arguments.replan_steps,
        time_limit_s: arguments.time_limit,
        shuffle_cameras: arguments.shuffle_cameras,
        out,
        videos: arguments.videos,
    })
}

fn candidates(common: &super::Arguments, task: Task) -> anyhow::Result<Vec<EvaluatedPolicy>> {
    let checkpoint = checkpoint_of(&common.checkpoint, task)?;
    let jobs = common.closed.jobs;
    let options = PolicyOptions {
        threads: common.threads.or((jobs > 1).then_some(1)),
        ..common.options()
    };
    let load = |_| match checkpoint {
        "expert" if common.closed.shuffle_cameras => bail!("--shuffle-cameras: the expert has no cameras"),
        "expert" => Ok(EvaluatedPolicy::Expert),
        path => Ok(EvaluatedPolicy::Network(Box::new(SimNetwork::load(
            Path::new(path),
            options,
        )?))),
    };
    (0..jobs).map(load).collect()
}

/// Returns the checkpoint named for a task, or the one named for all tasks.
fn checkpoint_of(named: &[String], task: Task) -> anyhow::Result<&str> {
    let of_task = |text: &'_ str| text.split_once('=').and_then(|(name, _)| name.parse::<Task>().ok());
    let own = named.iter().rev().find(|text| of_task(text) == Some(task));
    let own = own.and_then(|text| text.split_once('=')).map(|(_, path)| path);
    let shared = named.iter().rev().find(|text| of_task(text).is_none());
    own.or(shared.map(String::as_str)).with_context(|| {
        format!(
            "--checkpoint: expected one for {task} or for all tasks, found {}",
            named.join(", ")
        )
    })
}

fn line(result: &TrialResult) -> String {
    let verdict = if result.success { "success" } else { "FAILED" };
    format!(
        "{} variation {} seed {}: {verdict} after {:.1} s, {}",
        result.trial.task, result.trial.variation, result.trial.seed, result.seconds, result.detail
    )
}
