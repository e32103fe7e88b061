//! `thinkvla check`: describes a checkpoint and reports whether it may be run.

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use thinkvla::inspect::check::CheckpointCheck;

use super::foreign_checkpoint::ForeignCheckpoint;
use super::print_line;

/// Arguments of the verb.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Checkpoint: ours, a Hugging Face Qwen3-VL, or a StarVLA run or one weights file of it
    checkpoint: PathBuf,
    /// Directory of a data set: its contract.yaml and meta/stats.json are compared, frames are not read
    #[arg(long)]
    dataset: Option<PathBuf>,
    /// Dimension of the action that is meant to be constant, by name; may be repeated
    #[arg(long, value_name = "NAME")]
    allow_constant: Vec<String>,
    /// Print a line for every tensor: its file, name, shape and type
    #[arg(long)]
    coverage: bool,
    #[command(flatten)]
    foreign: ForeignCheckpoint,
}

/// Runs the verb.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let report = CheckpointCheck {
        options: &arguments.foreign.options()?,
        dataset: arguments.dataset.as_deref(),
        constant: &arguments.allow_constant,
    }
    .run(&arguments.checkpoint);
    if let Some(coverage) = report.coverage.as_ref().filter(|_| arguments.coverage) {
        print_line(coverage);
    }
    print_line(&report.to_string());
    if !report.failures.is_empty() {
        bail!("{} must not be run", arguments.checkpoint.display());
    }
    Ok(())
}
