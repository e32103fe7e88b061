//! What can be wrong with a dataset or with writing one.

use std::path::{Path, PathBuf};

use crate::writer_lock::LockError;

/// Why a dataset could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// The file system refused.
    #[error("{action} {path}: {source}")]
    Io {
        /// What was tried, e.g. `write`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{path}: {problem}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What was expected and found, and what to do.
        problem: String,
    },
    /// What is asked for does not fit the dataset.
    #[error("{0}")]
    Request(String),
    /// Somebody else writes there.
    #[error(transparent)]
    Locked(#[from] LockError),
}

impl DatasetError {
    /// For `map_err` after a call to the file system.
    pub fn io<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(std::io::Error) -> Self + 'a {
        move |source| Self::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }

    /// A file whose content is wrong.
    pub fn content(path: &Path, problem: impl ToString) -> Self {
        Self::Content {
            path: path.to_owned(),
            problem: problem.to_string(),
        }
    }

    /// Whether the disk is full or may not be written to: trying again will not help.
    pub fn is_disk(&self) -> bool {
        use std::io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
        matches!(self, Self::Io { source, .. }
            if matches!(source.kind(), StorageFull | ReadOnlyFilesystem | QuotaExceeded | PermissionDenied))
    }
}
