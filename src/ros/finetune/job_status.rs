//! Status of a goal, for feedback, status messages, diagnostics and results.

use std::path::{Path, PathBuf};
use std::time::Instant;

use super::progress::Progress;
use crate::contract::FILE_NAME;
use crate::training::checkpoint::CheckpointDir;

/// State of the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobState {
    /// No goal has been received.
    Idle,
    /// Measuring the duration of a step, for a goal in minutes.
    Measuring,
    /// Training.
    Training,
    /// Training has been asked to end.
    Ending,
    /// The last goal succeeded.
    Succeeded,
    /// The last goal was cancelled.
    Cancelled,
    /// The last goal failed or was refused.
    Failed,
}

impl JobState {
    /// Name as it appears in messages.
    pub fn label(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Measuring => "measuring",
            Self::Training => "training",
            Self::Ending => "ending",
            Self::Succeeded => "succeeded",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
        }
    }
}

/// Status of the present or last goal.
#[derive(Debug, Clone)]
pub struct JobStatus {
    /// State of the job.
    pub state: JobState,
    /// Explanation in words.
    pub message: String,
    /// Directory of the run.
    pub out: PathBuf,
    /// Its last checkpoint.
    pub checkpoint: Option<PathBuf>,
    /// Number of steps of the whole run.
    pub steps: u64,
    /// Number of samples in a step.
    pub samples: u64,
    /// Progress read from its metrics.
    pub progress: Progress,
    /// Memory of the training process (MB).
    pub memory_mb: f64,
    /// Time at which work on it began.
    pub begun: Option<Instant>,
}

impl Default for JobStatus {
    fn default() -> Self {
        Self {
            state: JobState::Idle,
            message: String::new(),
            out: PathBuf::new(),
            checkpoint: None,
            steps: 0,
            samples: 0,
            progress: Progress::default(),
            memory_mb: 0.0,
            begun: None,
        }
    }
}

impl JobStatus {
    /// Remaining time (s); NaN before the first step.
    pub fn eta_s(&self) -> f64 {
        let left = self.steps.saturating_sub(self.progress.step()) as f64;
        self.progress.step_s().map_or(f64::NAN, |seconds| left * seconds)
    }

    /// Samples processed per second; 0 before the first step.
    pub fn samples_per_second(&self) -> f64 {
        self.progress
            .step_s()
            .map_or(0.0, |seconds| self.samples as f64 / seconds)
    }
}

/// End of a goal.
#[derive(Debug, Clone)]
pub struct JobOutcome {
    /// Succeeded, cancelled or failed; [`JobState::Ending`] when the node ends first.
    pub state: JobState,
    /// Explanation in words.
    pub message: String,
}

/// The newest checkpoint of a run.
pub fn last_checkpoint(out: &Path) -> Option<PathBuf> {
    let checkpoint_dir = CheckpointDir::at(out);
    let last = *checkpoint_dir.steps().ok()?.last()?;
    Some(checkpoint_dir.path(last))
}

/// Path of a checkpoint's contract.
pub fn contract_of(checkpoint: &Path) -> PathBuf {
    checkpoint.join(FILE_NAME)
}
