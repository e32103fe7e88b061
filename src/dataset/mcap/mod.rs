//! Exports datasets as ROS 2 recordings (MCAP), for Foxglove and `ros2 bag play`, and imports recordings of
//! `ros2 bag record`.

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
mod message_error;
pub mod messages;
mod plan;
mod record_lengths;
mod sample;
mod signals;
mod streams;
mod topic_names;

pub use clock::StampClock;
pub use export::{ExportOptions, export_episodes};
pub use import::{ColumnSource, ImportOptions, ImportReport, SourceTopic, import_bags};
pub use message_error::MessageError;

use std::path::Path;

use super::DatasetError;

/// Error of writing or reading a recording.
#[derive(Debug, thiserror::Error)]
pub enum BagError {
    /// A file of the recording or the dataset is damaged, or cannot be read or written.
    #[error(transparent)]
    File(#[from] DatasetError),
    /// The request does not fit the recording or the dataset.
    #[error("{0}")]
    Request(String),
}

impl BagError {
    fn file<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(std::io::Error) -> Self + 'a {
        move |source| Self::File(DatasetError::io(action, path)(source))
    }

    fn content(path: &Path, problem: impl ToString) -> Self {
        Self::File(DatasetError::content(path, problem))
    }
}
