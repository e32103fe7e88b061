//! What can be wrong with a video or with making one.

use std::path::{Path, PathBuf};

/// Why a video could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum VideoError {
    /// The file system refused.
    #[error("{action} {path}: {source}")]
    File {
        /// What was tried, e.g. `open`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Reading or writing stopped half-way.
    #[error("video: {0}")]
    Stream(#[from] std::io::Error),
    /// The file is not the mp4 that it should be.
    #[error("damaged mp4: {0}")]
    Malformed(String),
    /// The file is sound and holds what we do not decode.
    #[error("{found}; expected 8-bit H.264 or AV1 in 4:2:0. Convert it: {CONVERT}")]
    Unsupported {
        /// What it holds.
        found: String,
    },
    /// The codec failed.
    #[error("frame {frame}: {problem}")]
    Codec {
        /// Frame, in the order of presentation.
        frame: usize,
        /// What the codec said.
        problem: String,
    },
    /// What is asked for cannot be had.
    #[error("{0}")]
    Request(String),
}

/// How a file of another codec becomes one that we read.
pub const CONVERT: &str = "ffmpeg -i IN.mp4 -c:v libx264 -g 2 -bf 0 -pix_fmt yuv420p -fps_mode passthrough OUT.mp4";

impl VideoError {
    /// For `map_err` after a call to the file system.
    pub fn file<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(std::io::Error) -> Self + 'a {
        move |source| Self::File {
            action,
            path: path.to_owned(),
            source,
        }
    }

    /// A file that contradicts itself.
    pub fn malformed(problem: impl Into<String>) -> Self {
        Self::Malformed(problem.into())
    }

    /// A sound file of another kind.
    pub fn unsupported(found: impl Into<String>) -> Self {
        Self::Unsupported { found: found.into() }
    }
}
