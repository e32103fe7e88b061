//! `thinkvla demo`: the whole run-time path on a simulated arm, with a picture and a report.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};
use thinkvla::ros::demo::episode::Start;
use thinkvla::ros::demo::rollout::TASKS;
use thinkvla::ros::demo::session::Finished;
use thinkvla::ros::demo::tour::{Report, Tour};
use thinkvla::ros::demo::{picture, surroundings};

/// What to show.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Directory of picture, report and logs
    #[arg(long, default_value = "out/demo")]
    out: PathBuf,
    /// Task
    #[arg(long, default_value = "height", value_parser = clap::builder::PossibleValuesParser::new(TASKS))]
    task: String,
    /// Level of the factor the task is about
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..3))]
    variation: u8,
    /// Seed of everything else
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Checkpoint of the policy; a small untrained one is made when none is given
    #[arg(long)]
    checkpoint: Option<PathBuf>,
    /// How long the policy drives [s]
    #[arg(long, default_value_t = 10.0)]
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
    let domain = surroundings::enter()?;
    std::fs::create_dir_all(&arguments.out).with_context(|| format!("cannot make {}", arguments.out.display()))?;
    let (report, sheet) = (
        arguments.out.join("report.json"),
        arguments.out.join("contact_sheet.png"),
    );
    for old in [&report, &sheet] {
        if old.exists() {
            std::fs::remove_file(old).with_context(|| format!("cannot remove {}", old.display()))?;
        }
    }
    say(&format!("ROS domain {} on this machine alone", domain.id));
    let checkpoint = checkpoint_or_new(arguments.checkpoint, &arguments.out)?;
    let tour = Tour {
        out: arguments.out.clone(),
        checkpoint,
        start: Start {
            task: arguments.task,
            variation: arguments.variation,
            seed: arguments.seed,
        },
        policy_s: arguments.policy_seconds,
        camera_rate_hz: arguments.camera_rate,
        command_rate_hz: arguments.command_rate,
    };
    let Finished { value: outcome, ended } = tour.run(say)?;
    std::fs::write(&report, serde_json::to_string_pretty(&outcome.report)?)
        .with_context(|| format!("cannot write {}", report.display()))?;
    picture::save(&outcome, &sheet)?;
    tell(&outcome.report);
    say(&format!("picture: {}", sheet.display()));
    say(&format!("report:  {}", report.display()));
    let complaints = outcome.report.complaints();
    if !complaints.is_empty() {
        bail!("{}", complaints.join("; "));
    }
    Ok(ended?)
}

/// The checkpoint given, or a new small untrained one in `out`.
pub fn checkpoint_or_new(given: Option<PathBuf>, out: &Path) -> anyhow::Result<PathBuf> {
    if let Some(given) = given {
        return Ok(given);
    }
    let directory = out.join("checkpoint");
    if directory.join("model.safetensors").exists() {
        return Ok(directory);
    }
    say("making a small checkpoint with random weights");
    let own = std::env::current_exe().context("cannot find this program")?;
    let status = Command::new(own)
        .args(["init-checkpoint", "--size", "small"])
        .arg(&directory)
        .status()
        .context("cannot start this program a second time")?;
    if !status.success() {
        bail!("init-checkpoint failed ({status}); its message is above");
    }
    Ok(directory)
}

/// Prints a line; a closed terminal is no reason to stop an arm.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn tell(report: &Report) {
    for phase in &report.phases {
        say(&format!(
            "{}: {} after {:.1} s ({}); {} chunks, {} commands at {:.2} Hz, {} clamps, {} refusals",
            phase.driver,
            if phase.success {
                "did the task"
            } else {
                "did not do the task"
            },
            phase.episode_s,
            phase.detail,
            phase.figures.chunks,
            phase.figures.commands,
            phase.figures.command_rate_hz,
            phase.figures.clamps,
            phase.figures.refusals,
        ));
    }
    if let (Some(p50), Some(p95)) = (report.policy_ms_p50, report.policy_ms_p95) {
        say(&format!(
            "policy:  {p50:.0} ms a chunk (p50), {p95:.0} ms (p95), weights: {}",
            report.weights
        ));
    }
}
