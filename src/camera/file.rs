//! Pictures that lie in files.

use std::path::{Path, PathBuf};

use super::compressed::{DecodeError, decode};
use super::rgb::RgbImage;

/// Why the picture of a file cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("cannot read the picture {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It holds no PNG or JPEG that can be decoded.
    #[error("{path}: {source}")]
    Decode {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: DecodeError,
    },
}

/// Reads a PNG or JPEG file, whatever its name ends in, into `out`.
///
/// # Errors
/// When it cannot be read or decoded; names the file.
pub fn load(path: &Path, out: &mut RgbImage) -> Result<(), LoadError> {
    let bytes = std::fs::read(path).map_err(|source| LoadError::Read {
        path: path.to_owned(),
        source,
    })?;
    let format = if bytes.starts_with(b"\x89PNG") { "png" } else { "jpeg" };
    decode(format, &bytes, out).map_err(|source| LoadError::Decode {
        path: path.to_owned(),
        source,
    })
}
