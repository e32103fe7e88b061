//! Errors of runs over ROS.

use std::path::PathBuf;
use std::time::Duration;

use crate::ros::node::runtime::RuntimeError;
use crate::writer_lock::LockError;

/// Error that ends a run over ROS.
#[derive(Debug, thiserror::Error)]
pub enum HarnessError {
    /// A program could not be started.
    #[error("cannot start {program}: {source}; the nodes are expected beside this program, `make demo` builds them")]
    Start {
        /// Program.
        program: PathBuf,
        /// Error of the operating system.
        source: std::io::Error,
    },
    /// A node ended by itself.
    #[error("{name} ended by itself ({status}); the last lines of {log}:\n{tail}")]
    Died {
        /// Node.
        name: String,
        /// Exit status.
        status: String,
        /// Path of its log.
        log: PathBuf,
        /// Last lines of the log.
        tail: String,
    },
    /// A node did not end cleanly when it was stopped.
    #[error("{name} was asked to end and did not do so cleanly: {status}; the last lines of {log}:\n{tail}")]
    Unclean {
        /// Node.
        name: String,
        /// Exit status or error.
        status: String,
        /// Path of its log.
        log: PathBuf,
        /// Last lines of the log.
        tail: String,
    },
    /// An awaited event did not happen in time.
    #[error("waited {limit:?} for {what} in vain; seen instead: {seen}")]
    Silent {
        /// Description of the event.
        what: String,
        /// Time limit.
        limit: Duration,
        /// What was observed instead.
        seen: String,
    },
    /// A service refused the request.
    #[error("{service} refused: {message}")]
    Refused {
        /// Name of the service.
        service: String,
        /// Message of the response.
        message: String,
    },
    /// A file could not be read or written.
    #[error("cannot use {path}: {message}")]
    File {
        /// File or directory.
        path: PathBuf,
        /// Description of the error.
        message: String,
    },
    /// Another run writes to the same folder.
    #[error(transparent)]
    Locked(#[from] LockError),
    /// The user ended the run.
    #[error("interrupted")]
    Interrupted,
    /// The observer node could not be run.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// Error of ROS.
    #[error("ROS 2 refused: {0}")]
    Ros(#[from] rclrs::RclrsError),
}

impl HarnessError {
    /// Returns a conversion of I/O errors of `path`, for `map_err`.
    pub(super) fn file(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File {
            path,
            message: source.to_string(),
        }
    }
}
