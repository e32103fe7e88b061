//! Datasets as ROS 2 recordings (MCAP) and back: for Foxglove, `ros2 bag play`, and recordings made by `ros2 bag record`.

mod bag;
pub mod cdr;
pub mod clock;
pub mod compression;
mod episode;
pub mod export;
mod exported;
mod files;
pub mod import;
mod index;
pub mod messages;
mod plan;
mod sample;
mod signals;
mod streams;
mod topic_names;

pub use clock::Clock;
pub use export::{ExportOptions, export_episodes};
pub use import::{ImportOptions, ImportReport, Source, SourceTopic, import_bags};

use std::path::{Path, PathBuf};

/// Why a recording could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum BagError {
    /// The file system refused.
    #[error("{action} {path}: {source}")]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The recording is damaged.
    #[error("{path}: {problem}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The dataset failed.
    #[error(transparent)]
    Dataset(#[from] super::DatasetError),
    /// What is asked for does not fit.
    #[error("{0}")]
    Request(String),
}

impl BagError {
    fn file<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(std::io::Error) -> Self + 'a {
        move |source| Self::File {
            action,
            path: path.to_owned(),
            source,
        }
    }

    fn content(path: &Path, problem: impl ToString) -> Self {
        Self::Content {
            path: path.to_owned(),
            problem: problem.to_string(),
        }
    }
}
