//! Why a training run cannot start or go on.

use std::path::{Path, PathBuf};

use crate::contract::ContractError;
use crate::dataset::DatasetError;
use crate::model::error::ModelError;
use crate::writer_lock::LockError;

use super::error::StepError;

/// What went wrong around the steps.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The configuration cannot work.
    #[error("{path}: {message}")]
    Config {
        /// The file.
        path: PathBuf,
        /// What was expected and found, with the line where the file itself is wrong.
        message: String,
    },
    /// The data does not fit the checkpoint, or itself.
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
        /// What was tried, e.g. `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said, and what to do.
        message: String,
    },
    /// A training checkpoint could not be written; earlier ones are as they were.
    #[error(
        "cannot write the checkpoint of step {step} to {path}: {message}; earlier checkpoints are whole: free space \
         there and go on with --resume"
    )]
    Save {
        /// Steps taken.
        step: u64,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        message: String,
    },
    /// Another process trains into the same directory.
    #[error(transparent)]
    Locked(#[from] LockError),
    /// A dataset cannot be read.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// A contract cannot be read, or another does not fit it.
    #[error(transparent)]
    Contract(#[from] ContractError),
    /// The checkpoint cannot be used.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A step failed.
    #[error("step {step}: {source}")]
    Step {
        /// Steps taken before it.
        step: u64,
        /// Why.
        source: StepError,
    },
    /// Questions and answers do not fit the checkpoint.
    #[error("text.sources: {0}")]
    Answers(String),
    /// Processes that train together cannot begin or go on.
    #[error("{0}")]
    Ranks(String),
    /// What trains could not be made.
    #[error(transparent)]
    Method(#[from] StepError),
    /// libtorch refused an operation.
    #[error(transparent)]
    Torch(#[from] tch::TchError),
}

impl RunError {
    /// For `map_err` after a call to the file system.
    pub(super) fn file<E: ToString>(action: &'static str, path: &Path) -> impl FnOnce(E) -> Self + use<E> {
        let path = path.to_owned();
        move |error| Self::File {
            action,
            path,
            message: error.to_string(),
        }
    }

    /// Data that does not fit.
    pub(crate) fn data(path: &Path, message: impl Into<String>) -> Self {
        Self::Data {
            path: path.to_owned(),
            message: message.into(),
        }
    }
}
