//! Errors of reading and writing videos.

use std::path::{Path, PathBuf};

/// Error of reading or writing a video.
#[derive(Debug, thiserror::Error)]
pub enum VideoError {
    /// A file system operation failed.
    #[error("{action} {path}: {source}")]
    File {
        /// Operation, e.g. `open`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Error of the operating system.
        source: std::io::Error,
    },
    /// Reading or writing stopped half-way.
    #[error("video: {0}")]
    Stream(#[from] std::io::Error),
    /// The file is not a valid mp4.
    #[error("damaged mp4: {0}")]
    Malformed(String),
    /// The file is undamaged, but its format is not supported.
    #[error("{found}; expected 8-bit H.264 or AV1 in 4:2:0. Convert it: {CONVERT}")]
    Unsupported {
        /// Format that was found.
        found: String,
    },
    /// The codec failed.
    #[error("frame {frame}: {problem}")]
    Codec {
        /// Index of the frame, in the order of presentation.
        frame: usize,
        /// Error of the codec.
        problem: String,
    },
    /// The request cannot be met.
    #[error("{0}")]
    Request(String),
}

/// Command that converts a file to a supported codec.
pub const CONVERT: &str = "ffmpeg -i IN.mp4 -c:v libx264 -g 2 -bf 0 -pix_fmt yuv420p -fps_mode passthrough OUT.mp4";

impl VideoError {
    /// Returns a function for `map_err` that adds operation and path to an error of the file system.
    pub fn file<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(std::io::Error) -> Self + 'a {
        move |source| Self::File {
            action,
            path: path.to_owned(),
            source,
        }
    }

    /// Returns the error for a damaged file.
    pub fn malformed(problem: impl Into<String>) -> Self {
        Self::Malformed(problem.into())
    }

    /// Returns the error for an undamaged file of an unsupported format.
    pub fn unsupported(found: impl Into<String>) -> Self {
        Self::Unsupported { found: found.into() }
    }
}
