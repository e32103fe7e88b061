//! Errors of reading and writing datasets.

use std::path::{Path, PathBuf};

use crate::writer_lock::LockError;

/// Error of reading or writing a dataset.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// A file system operation failed.
    #[error("{action} {path}: {cause}")]
    Io {
        /// Operation, e.g. `write`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Error of the operating system, which the message includes.
        cause: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{path}: {problem}")]
    Content {
        /// The file.
        path: PathBuf,
        /// Problem: what was expected, what was found, and what to do.
        problem: String,
    },
    /// The request does not fit the dataset.
    #[error("{0}")]
    Request(String),
    /// The lock of the dataset's only writer cannot be taken.
    #[error(transparent)]
    Locked(#[from] LockError),
}

impl DatasetError {
    /// Returns a function for `map_err` that adds operation and path to an error of the file system.
    pub fn io<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(std::io::Error) -> Self + 'a {
        move |cause| Self::Io {
            action,
            path: path.to_owned(),
            cause,
        }
    }

    /// Returns the error for a file with wrong content.
    pub fn content(path: &Path, problem: impl ToString) -> Self {
        Self::Content {
            path: path.to_owned(),
            problem: problem.to_string(),
        }
    }
}
