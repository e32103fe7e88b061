//! `thinkvla train`: a checkpoint learns from recorded datasets.

use std::path::PathBuf;

use clap::Args;
use thinkvla::training::config::TrainingConfig;
use thinkvla::training::run::Run;

/// Arguments of the verb.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Configuration; config/train.yaml states and explains every field
    config: PathBuf,
    /// End after so many steps in all, before the schedule does
    #[arg(long)]
    max_steps: Option<u64>,
    /// Directory of checkpoints and metrics, instead of the configuration's
    #[arg(long)]
    out: Option<PathBuf>,
    /// Go on from the last checkpoint in that directory, if there is one
    #[arg(long)]
    resume: bool,
}

/// Runs the verb.
pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    let mut config = TrainingConfig::load(&arguments.config)?;
    if let Some(out) = arguments.out {
        config.out = out;
    }
    let mut run = Run::open(config, &arguments.config, arguments.resume)?;
    tracing::info!("training from step {}", run.step());
    let outcome = run.train(arguments.max_steps)?;
    let held_out = outcome
        .held_out
        .map_or(String::new(), |e| format!(", held-out action error {e:.4}"));
    tracing::info!(
        "step {}: {}{held_out}; {:.1} % of the time waited for data",
        outcome.step,
        outcome.checkpoint.display(),
        100.0 * outcome.data_wait
    );
    if outcome.targets_made > 0 {
        tracing::info!(
            "{} geometry targets were made, the others were there",
            outcome.targets_made
        );
    }
    Ok(())
}
