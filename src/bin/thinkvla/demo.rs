//! `thinkvla demo`: runs the whole pipeline on a simulated arm, and writes a picture and a report.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use thinkvla::ros::harness::demo::{Demo, DemoDriver, DemoReport};
use thinkvla::ros::harness::episode::{DrivenEpisode, EpisodeStart};
use thinkvla::ros::harness::rollout::TASKS;
use thinkvla::ros::harness::session::Finished;
use thinkvla::ros::harness::{picture, ros_domain};
use thinkvla::ros::node::share;

use super::print_line;

/// The policy that ships with the package.
const SHIPPED_POLICY: &str = "checkpoints/small/model.safetensors";
/// File name of weights in a checkpoint.
const WEIGHTS: &str = "model.safetensors";

/// Arguments of the verb.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Directory of picture, report and logs
    #[arg(long, default_value = "out/demo")]
    out: PathBuf,
    /// Task
    #[arg(long, default_value = "position", value_parser = clap::builder::PossibleValuesParser::new(TASKS))]
    task: String,
    /// Level of the factor the task is about
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..3))]
    variation: u8,
    /// Seed of everything else
    #[arg(long, default_value_t = 2)]
    seed: u64,
    /// Checkpoint of the policy; the shipped one when not given
    #[arg(long)]
    checkpoint: Option<PathBuf>,
    /// Let the scripted expert drive instead of a policy
    #[arg(long, conflicts_with = "checkpoint")]
    expert: bool,
    /// Longest the policy drives [s]
    #[arg(long, default_value_t = 25.0)]
    policy_seconds: f64,
    /// Images a second of each camera; rendering costs 10 to 30 ms an image on a processor
    #[arg(long, default_value_t = 5.0)]
    camera_rate: f64,
    /// Commands a second
    #[arg(long, default_value_t = 100.0)]
    command_rate: f64,
}

/// Runs the verb.
pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    let domain = ros_domain::enter()?;
    std::fs::create_dir_all(&arguments.out).with_context(|| format!("cannot make {}", arguments.out.display()))?;
    let [report, sheet, moving] = ["report.json", "contact_sheet.png", "demo.gif"].map(|name| arguments.out.join(name));
    for old in [&report, &sheet, &moving] {
        if old.exists() {
            std::fs::remove_file(old).with_context(|| format!("cannot remove {}", old.display()))?;
        }
    }
    print_line(&format!("ROS domain {} on this machine alone", domain.id));
    let demo = Demo {
        out: arguments.out.clone(),
        driver: match arguments.expert {
            true => DemoDriver::Expert,
            false => DemoDriver::Policy {
                checkpoint: checkpoint_or_shipped(arguments.checkpoint)?,
                limit_s: arguments.policy_seconds,
            },
        },
        start: EpisodeStart {
            task: arguments.task,
            variation: arguments.variation,
            seed: arguments.seed,
        },
        camera_rate_hz: arguments.camera_rate,
        command_rate_hz: arguments.command_rate,
    };
    let Finished { value: outcome, ended } = demo.run(print_line)?;
    std::fs::write(&report, serde_json::to_string_pretty(&outcome.report)?)
        .with_context(|| format!("cannot write {}", report.display()))?;
    picture::save(&outcome, &sheet)?;
    #[cfg(feature = "sim")]
    {
        thinkvla::ros::harness::animation::save(&outcome, &moving)?;
        print_line(&format!("moving:  {}", moving.display()));
    }
    print_report(&outcome.report);
    print_line(&format!("picture: {}", sheet.display()));
    print_line(&format!("report:  {}", report.display()));
    let complaints = outcome.report.complaints();
    if !complaints.is_empty() {
        bail!("{}", complaints.join("; "));
    }
    Ok(ended?)
}

/// Returns the given checkpoint, or the one that ships with the package.
pub fn checkpoint_or_shipped(given: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    let weights = given.map_or_else(|| share::file(SHIPPED_POLICY), |directory| directory.join(WEIGHTS));
    match weights.parent() {
        Some(directory) if weights.exists() => Ok(directory.to_owned()),
        _ => bail!(
            "expected {}, found none; name a checkpoint with --checkpoint",
            weights.display()
        ),
    }
}

fn print_report(report: &DemoReport) {
    let DrivenEpisode {
        driver,
        success,
        detail,
        episode_s,
        figures,
        ..
    } = &report.episode;
    print_line(&format!(
        "{driver}: {} after {episode_s:.1} s ({detail}); {} chunks, {} commands at {:.2} Hz, {} clamps, {} refusals",
        if *success {
            "did the task"
        } else {
            "did not do the task"
        },
        figures.chunks,
        figures.commands,
        figures.command_rate_hz,
        figures.clamps,
        figures.refusals,
    ));
    if let (Some(p50), Some(p95), Some(weights)) = (figures.policy_ms_p50, figures.policy_ms_p95, &report.weights) {
        print_line(&format!(
            "policy: {p50:.0} ms a chunk (p50), {p95:.0} ms (p95), weights: {weights}"
        ));
    }
}
