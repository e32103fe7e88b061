//! `thinkvla rollout`: runs the scripted expert or a policy over ROS on many seeds.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use thinkvla::ros::harness::finetune_run::FinetuneOptions;
use thinkvla::ros::harness::recorder::Recording;
use thinkvla::ros::harness::rollout::{Rollout, RolloutDriver, RolloutPolicy, TASKS};
use thinkvla::ros::harness::ros_domain;
use thinkvla::ros::harness::session::Finished;

use super::print_line;

/// Arguments of the verb.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Directory of the report and the logs
    #[arg(long, default_value = "out/rollout")]
    out: PathBuf,
    /// Tasks; all three when none is named
    #[arg(long, value_parser = clap::builder::PossibleValuesParser::new(TASKS))]
    task: Vec<String>,
    /// First seed
    #[arg(long, default_value_t = 1)]
    first_seed: u64,
    /// Seeds of each task; the three variations alternate
    #[arg(long, default_value_t = 20)]
    seeds: u64,
    /// Commands a second
    #[arg(long, default_value_t = 100.0)]
    command_rate: f64,
    /// Record successful episodes as a dataset in this folder, through record_node
    #[arg(long)]
    record: Option<PathBuf>,
    /// Rows a second of the recording; fewer where the machine renders slowly
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=30), requires = "record")]
    fps: u32,
    /// Checkpoint of the policy; the scripted expert when not given
    #[arg(long, conflicts_with = "record")]
    checkpoint: Option<PathBuf>,
    /// Longest episode of a policy [s]
    #[arg(long, default_value_t = 20.0, requires = "checkpoint")]
    policy_seconds: f64,
    /// Images a second of each camera for a policy
    #[arg(long, default_value_t = 5.0, requires = "checkpoint")]
    camera_rate: f64,
    /// Fine-tune the checkpoint on this dataset at the same time, in a finetune_node
    #[arg(long, requires = "checkpoint")]
    fine_tune: Option<PathBuf>,
    /// Fail when a task has fewer successes than this
    #[arg(long, default_value_t = 0)]
    at_least: u32,
}

/// Runs the verb.
pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    let _domain = ros_domain::enter()?;
    let path = arguments.out.join("rollout.json");
    let driver = match arguments.checkpoint {
        Some(checkpoint) => RolloutDriver::Policy(RolloutPolicy {
            beside: arguments.fine_tune.map(|dataset| FinetuneOptions {
                checkpoint: checkpoint.clone(),
                dataset,
                runs: arguments.out.join("runs"),
            }),
            checkpoint,
            seconds: arguments.policy_seconds,
            camera_rate_hz: arguments.camera_rate,
        }),
        None => RolloutDriver::Expert(arguments.record.map(|dataset| Recording {
            dataset,
            fps: f64::from(arguments.fps),
            begin_with: "motion",
        })),
    };
    let rollout = Rollout {
        out: arguments.out,
        tasks: match arguments.task {
            none if none.is_empty() => TASKS.map(str::to_owned).to_vec(),
            tasks => tasks,
        },
        first_seed: arguments.first_seed,
        seeds: arguments.seeds,
        command_rate_hz: arguments.command_rate,
        driver,
    };
    let Finished { value: report, ended } = rollout.run(print_line)?;
    std::fs::write(&path, serde_json::to_string_pretty(&report)?)
        .with_context(|| format!("cannot write {}", path.display()))?;
    print_line(&format!("\n{report}\n\nreport: {}", path.display()));
    if let Some(short) = report
        .tasks
        .iter()
        .find(|task| task.rate.successes < arguments.at_least)
    {
        bail!(
            "{}: expected at least {} successes, found {}",
            short.task,
            arguments.at_least,
            short.rate.successes
        );
    }
    Ok(ended?)
}
