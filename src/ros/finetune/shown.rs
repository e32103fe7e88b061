//! What is known of a goal: for feedback, status, diagnostics and results.

use std::path::{Path, PathBuf};
use std::time::Instant;

use super::progress::Progress;
use crate::contract::FILE_NAME;
use crate::training::checkpoint::Shelf;

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nothing has been asked for.
    Idle,
    /// How long a step takes, for a goal in minutes.
    Measuring,
    /// Steps are taken.
    Training,
    /// Training was asked to end.
    Ending,
    /// The last goal, done.
    Succeeded,
    /// The last goal, cancelled.
    Cancelled,
    /// The last goal, failed or refused.
    Failed,
}

impl State {
    /// As messages say it.
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

/// What is known of the present goal, or the last one.
#[derive(Debug, Clone)]
pub struct Shown {
    /// What is being done.
    pub state: State,
    /// For people.
    pub message: String,
    /// Directory of the run.
    pub out: PathBuf,
    /// Its last checkpoint.
    pub checkpoint: Option<PathBuf>,
    /// Steps of the whole run.
    pub steps: u64,
    /// Samples of a step.
    pub samples: u64,
    /// What its metrics say.
    pub progress: Progress,
    /// Memory of the training process (MB).
    pub memory_mb: f64,
    /// When it was taken up.
    pub begun: Option<Instant>,
}

impl Default for Shown {
    fn default() -> Self {
        Self {
            state: State::Idle,
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

impl Shown {
    /// Time to the end (s); NaN before the first step.
    pub fn eta_s(&self) -> f64 {
        let left = self.steps.saturating_sub(self.progress.step()) as f64;
        self.progress.step_s().map_or(f64::NAN, |seconds| left * seconds)
    }

    /// Samples that are learned in a second; 0 before the first step.
    pub fn samples_per_second(&self) -> f64 {
        self.progress
            .step_s()
            .map_or(0.0, |seconds| self.samples as f64 / seconds)
    }
}

/// How a goal ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// Succeeded, cancelled or failed; [`State::Ending`] when the node ends first.
    pub state: State,
    /// Why.
    pub message: String,
}

/// The newest checkpoint of a run.
pub fn last_checkpoint(out: &Path) -> Option<PathBuf> {
    let shelf = Shelf::at(out);
    let last = *shelf.steps().ok()?.last()?;
    Some(shelf.path(last))
}

/// The contract beside a checkpoint.
pub fn contract_of(checkpoint: &Path) -> PathBuf {
    checkpoint.join(FILE_NAME)
}
