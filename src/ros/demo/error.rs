//! Why a run over ROS could not be finished.

use std::path::PathBuf;
use std::time::Duration;

use crate::ros::runtime::RuntimeError;
use crate::writer_lock::LockError;

/// Why a run over ROS could not be finished.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A program could not be started.
    #[error("cannot start {program}: {source}; the nodes are expected beside this program, `make demo` builds them")]
    Start {
        /// Program.
        program: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A node ended although nobody asked it to.
    #[error("{name} ended by itself ({status}); the last lines of {log}:\n{tail}")]
    Died {
        /// Node.
        name: String,
        /// Exit status.
        status: String,
        /// Its whole log.
        log: PathBuf,
        /// The end of it.
        tail: String,
    },
    /// A node did not end cleanly when asked.
    #[error("{name} was asked to end and did not do so cleanly: {status}; the last lines of {log}:\n{tail}")]
    Unclean {
        /// Node.
        name: String,
        /// What happened.
        status: String,
        /// Its whole log.
        log: PathBuf,
        /// The end of it.
        tail: String,
    },
    /// Something awaited did not happen.
    #[error("waited {limit:?} for {what} in vain; seen instead: {seen}")]
    Silent {
        /// What was awaited.
        what: String,
        /// How long.
        limit: Duration,
        /// What was there.
        seen: String,
    },
    /// A node said no.
    #[error("{service} refused: {message}")]
    Refused {
        /// Service asked.
        service: String,
        /// Its answer.
        message: String,
    },
    /// A file could not be read or written.
    #[error("cannot use {path}: {message}")]
    File {
        /// File or directory.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// Another run writes into the same folder.
    #[error(transparent)]
    Locked(#[from] LockError),
    /// The user ended the run.
    #[error("interrupted")]
    Interrupted,
    /// The observer node could not be run.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// ROS refused.
    #[error("ROS 2 refused: {0}")]
    Ros(#[from] rclrs::RclrsError),
}

impl RunError {
    /// For `map_err` on file operations.
    pub(super) fn file(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File {
            path,
            message: source.to_string(),
        }
    }
}
