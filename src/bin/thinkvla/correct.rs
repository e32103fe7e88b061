//! `thinkvla correct`: a policy drives in the simulator, and the expert's next chunk is recorded in each state it
//! reaches.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context as _;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use thinkvla::control::config::ArmConfig;
use thinkvla::eval::closed_loop::{Corrections, NetworkOptions, SimNetwork, trials};
use thinkvla::sim::config::SimConfig;
use thinkvla::sim::frames::create_dataset;
use thinkvla::sim::tasks::Task;
use thinkvla::stats::SuccessRate;

use super::collect::Images;

/// Arguments of the verb.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Checkpoint of the policy that drives
    checkpoint: PathBuf,
    /// Folder of the dataset, new or empty
    out: PathBuf,
    /// Tasks
    #[arg(long, value_delimiter = ',', default_values_t = Task::ALL)]
    tasks: Vec<Task>,
    /// Episodes of each task; the variations alternate
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    episodes: u64,
    /// Seed of the first scene of each task
    #[arg(long, default_value_t = 520_000)]
    seed: u64,
    /// Times from a picture to the arm having its chunk [ms]; episodes alternate between them
    #[arg(long, value_delimiter = ',', default_values_t = [50.0, 100.0, 200.0, 100.0])]
    latency: Vec<f64>,
    /// Steps of a chunk that are executed before the next one is computed; each chunk is a row
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    replan_steps: u32,
    /// Simulated time after which an episode ends [s]
    #[arg(long, default_value_t = 14.0)]
    time_limit: f64,
    /// Steps of each recorded chunk, at 10 Hz
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=100))]
    steps: u16,
    /// Episodes at the same time; the dataset is the same for any number
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: u16,
    /// Format of the pictures in the rows
    #[arg(long, default_value = "jpeg")]
    images: Images,
    /// Quality of JPEG
    #[arg(long, default_value_t = 92, value_parser = clap::value_parser!(u8).range(1..=100))]
    quality: u8,
}

/// Runs the verb.
///
/// # Errors
/// When the checkpoint does not fit the simulated robot, nothing can be rendered, or the disk refuses.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let seeds = arguments.seed..arguments.seed + arguments.episodes;
    let trials = arguments
        .tasks
        .iter()
        .flat_map(|task| trials(*task, None, seeds.clone()));
    let corrections = Corrections {
        sim: SimConfig::shipped()?,
        arm: ArmConfig::shipped().context("the arm's parameters")?,
        trials: trials.collect(),
        replan_steps: arguments.replan_steps,
        time_limit_s: arguments.time_limit,
        latencies: arguments.latency.iter().map(|ms| ms / 1e3).collect(),
        steps: usize::from(arguments.steps),
        images: arguments.images.mode(arguments.quality),
    };
    let options = NetworkOptions {
        threads: Some(1),
        ..NetworkOptions::default()
    };
    let networks = (0..arguments.jobs).map(|_| SimNetwork::load(&arguments.checkpoint, options));
    let mut networks = networks.collect::<Result<Vec<_>, _>>()?;
    let mut writer = create_dataset(&arguments.out, corrections.images, corrections.steps)?;
    let begun = Instant::now();
    let count = corrections.trials.len();
    let bar = ProgressBar::new(count as u64);
    bar.set_style(ProgressStyle::with_template(
        "{bar:30} {pos}/{len} episodes, {elapsed} + {eta}",
    )?);
    let (mut done, mut rows) = (0, 0);
    corrections.collect(&mut networks, &mut writer, |outcome, recorded| {
        bar.inc(1);
        done += u32::from(outcome.success);
        rows += recorded;
    })?;
    bar.finish_and_clear();
    let rate = SuccessRate::of(done, u32::try_from(count).unwrap_or(u32::MAX));
    super::print_line(&format!(
        "{rows} rows of {count} episodes in {:.0} s; the policy succeeded in {} ({:.1} % to {:.1} % with 95 % confidence)\n{}",
        begun.elapsed().as_secs_f64(),
        rate.successes,
        100.0 * rate.low,
        100.0 * rate.high,
        arguments.out.display()
    ));
    Ok(())
}
