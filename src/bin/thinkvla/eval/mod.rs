//! `thinkvla eval`: a checkpoint in closed loop in the simulator, on a running robot, or against the rows of a dataset.

#[cfg(feature = "sim")]
mod closed;
mod open;
#[cfg(feature = "ros")]
mod robot;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;
use thinkvla::model::layers::device::DeviceChoice;
use thinkvla::model::policy::PolicyOptions;

/// Arguments of the verb.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Directory of the checkpoint; in closed loop also `expert`, the scripted expert as upper bound, and TASK=DIRECTORY
    /// for the checkpoint of a task; may be repeated
    #[arg(long, required = true)]
    checkpoint: Vec<String>,
    /// Seed of the first scene, each trial taking the next, or of the rows that are drawn
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Folder of all results; an interrupted closed-loop evaluation continues there
    #[arg(long, default_value = "out/eval")]
    out: PathBuf,
    /// auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto")]
    device: DeviceChoice,
    /// Threads of one operation on the processor; libtorch's choice when not given
    #[arg(long)]
    threads: Option<u16>,
    #[command(flatten)]
    open: open::OpenLoop,
    #[cfg(feature = "sim")]
    #[command(flatten)]
    closed: closed::ClosedLoop,
    #[cfg(feature = "ros")]
    #[command(flatten)]
    robot: robot::Robot,
}

impl Arguments {
    fn options(&self) -> PolicyOptions {
        PolicyOptions {
            device: self.device,
            threads: self.threads,
            ..PolicyOptions::default()
        }
    }
}

/// Runs the verb.
///
/// # Errors
/// When arguments or configurations cannot work, the checkpoint does not fit the robot or the dataset, or the disk
/// refuses.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    #[cfg(feature = "ros")]
    if let Some(instruction) = arguments.robot.instruction() {
        return robot::run(arguments, instruction);
    }
    match arguments.open.dataset() {
        Some(dataset) => open::run(arguments, dataset),
        #[cfg(feature = "sim")]
        None => closed::run(arguments),
        #[cfg(not(feature = "sim"))]
        None => anyhow::bail!("expected --dataset; the closed loop needs a build with the feature sim"),
    }
}

/// Writes a report as `eval.json` and `eval.md`, and prints it.
fn write(out: &Path, report: &impl Serialize, text: &str) -> anyhow::Result<()> {
    std::fs::create_dir_all(out).with_context(|| format!("make {}", out.display()))?;
    for (name, text) in [
        ("eval.json", serde_json::to_string_pretty(report)? + "\n"),
        ("eval.md", text.to_owned()),
    ] {
        let path = out.join(name);
        std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
    }
    super::print_line(&format!("{text}\nreport: {}", out.join("eval.md").display()));
    Ok(())
}
