//! Errors that end or prevent training.

use std::path::{Path, PathBuf};

use crate::contract::ContractError;
use crate::dataset::DatasetError;
use crate::model::error::ModelError;
use crate::writer_lock::LockError;

/// Error of a training step.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// A loss or a gradient is not a number.
    #[error(
        "{what}: expected a finite number, found {found}; nothing was changed by this step, look at its batch or train \
         with a smaller learning rate"
    )]
    NotFinite {
        /// Name of the loss, or of the group of gradients.
        what: String,
        /// Value that was found.
        found: f64,
    },
    /// A batch does not fit the network.
    #[error("batch, {part}: expected {expected}, found {found}")]
    Batch {
        /// Part of the batch.
        part: &'static str,
        /// What was expected.
        expected: String,
        /// What was found.
        found: String,
    },
    /// A saved optimiser state does not fit the trained weights.
    #[error("optimiser state {key}: expected {expected}, found {found}; resume with the configuration that wrote it")]
    State {
        /// Name of the tensor.
        key: String,
        /// What was expected.
        expected: String,
        /// What was found.
        found: String,
    },
    /// The network failed.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A libtorch operation failed.
    #[error(transparent)]
    Torch(#[from] tch::TchError),
}

/// Error of a training run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The configuration cannot work.
    #[error("{path}: {message}")]
    Config {
        /// The file.
        path: PathBuf,
        /// What was expected and found, with the line if the file itself is wrong.
        message: String,
    },
    /// The data does not fit the checkpoint, or is inconsistent.
    #[error("{path}: {message}")]
    Data {
        /// Folder of the dataset.
        path: PathBuf,
        /// What was expected and found.
        message: String,
    },
    /// A file of the run cannot be read or written.
    #[error("cannot {action} {path}: {message}")]
    File {
        /// Operation, e.g. `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Error of the operating system, and what to do.
        message: String,
    },
    /// A training checkpoint could not be written; earlier ones are unchanged.
    #[error(
        "cannot write the checkpoint of step {step} to {path}: {message}; earlier checkpoints are whole: free space \
         there and go on with --resume"
    )]
    Save {
        /// Number of steps taken.
        step: u64,
        /// The file or folder.
        path: PathBuf,
        /// Error of the operating system.
        message: String,
    },
    /// Another process trains into the same directory.
    #[error(transparent)]
    Locked(#[from] LockError),
    /// A dataset cannot be read.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// A contract cannot be read, or does not fit another.
    #[error(transparent)]
    Contract(#[from] ContractError),
    /// The checkpoint cannot be used.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A step failed.
    #[error("step {step}: {source}")]
    Step {
        /// Number of steps taken before it.
        step: u64,
        /// Error of the step.
        source: StepError,
    },
    /// Questions and answers do not fit the checkpoint.
    #[error("text.sources: {0}")]
    Answers(String),
    /// Processes that train together cannot begin or continue.
    #[error("{0}")]
    Ranks(String),
    /// The network could not be prepared for training.
    #[error(transparent)]
    Method(#[from] StepError),
    /// A libtorch operation failed.
    #[error(transparent)]
    Torch(#[from] tch::TchError),
}

impl RunError {
    /// Returns a function for `map_err` that adds operation and path to an error.
    pub(super) fn file<E: ToString>(action: &'static str, path: &Path) -> impl FnOnce(E) -> Self + use<E> {
        let path = path.to_owned();
        move |error| Self::File {
            action,
            path,
            message: error.to_string(),
        }
    }

    /// Returns the error for a configuration that cannot work.
    pub(super) fn config(path: &Path, message: impl Into<String>) -> Self {
        Self::Config {
            path: path.to_owned(),
            message: message.into(),
        }
    }

    /// Returns the error for data that does not fit.
    pub(crate) fn data(path: &Path, message: impl Into<String>) -> Self {
        Self::Data {
            path: path.to_owned(),
            message: message.into(),
        }
    }
}
