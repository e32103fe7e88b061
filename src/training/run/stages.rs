//! Stages of a run: each trains the result of the one before it, with settings of its own.

use std::path::{Path, PathBuf};

use super::{RunOutcome, TrainingRun};
use crate::training::checkpoint::CheckpointDir;
use crate::training::config::TrainingConfig;
use crate::training::error::RunError;

/// Trains the stages of a configuration, or the single run without any; `file` is the configuration, for messages.
/// `max_steps` ends each stage. With `resume`, complete stages before the last are skipped.
///
/// # Errors
/// As for [`TrainingRun::open`] and [`TrainingRun::train`].
pub fn train(
    config: TrainingConfig,
    file: &Path,
    resume: bool,
    max_steps: Option<u64>,
    stop: &dyn Fn() -> bool,
) -> Result<RunOutcome, RunError> {
    let stages = config.stages(file)?;
    let count = stages.len();
    let mut begins_with = config.checkpoint.clone();
    let mut outcome = None;
    for (number, mut stage) in stages.into_iter().enumerate() {
        stage.checkpoint.clone_from(&begins_with);
        let end = max_steps.map_or(stage.steps, |max| max.min(stage.steps));
        let is_last = number + 1 == count;
        if let Some(done) = finished(&stage.out, end)?.filter(|_| resume && !is_last) {
            tracing::info!("{} is done", stage.out.display());
            begins_with = done;
            continue;
        }
        tracing::info!("training {} for {end} steps", stage.out.display());
        let mut run = TrainingRun::open(stage, file, resume)?;
        let found = run.train_until(max_steps, stop)?;
        begins_with.clone_from(&found.checkpoint);
        let interrupted = found.interrupted;
        outcome = Some(found);
        if interrupted {
            break;
        }
    }
    outcome.ok_or_else(|| RunError::config(file, "stages: expected at least one to train, found none"))
}

/// Returns the checkpoint of a stage that has reached its last step.
fn finished(out: &Path, end: u64) -> Result<Option<PathBuf>, RunError> {
    let checkpoint_dir = CheckpointDir::at(out);
    let last = checkpoint_dir.steps()?.last().copied();
    Ok(last.filter(|last| *last >= end).map(|last| checkpoint_dir.path(last)))
}
