//! Pictures that lie in files.

use std::path::{Path, PathBuf};

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder as _};

use super::compressed::{DecodeError, decode};
use super::rgb::RgbImage;
use crate::files;

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
    let bytes = files::read(path, files::PICTURE).map_err(|source| LoadError::Read {
        path: path.to_owned(),
        source,
    })?;
    let format = if bytes.starts_with(b"\x89PNG") { "png" } else { "jpeg" };
    decode(format, &bytes, out).map_err(|source| LoadError::Decode {
        path: path.to_owned(),
        source,
    })
}

/// Why a picture cannot be kept.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the picture {path}: {message}")]
pub struct SaveError {
    /// The file.
    path: PathBuf,
    /// What the encoder or the system said.
    message: String,
}

/// Writes a PNG file, as small as it gets, making its directory if needed.
///
/// # Errors
/// When the image has no pixels or the file cannot be written.
pub fn save(image: &RgbImage, path: &Path) -> Result<(), SaveError> {
    let failed = |message: String| SaveError {
        path: path.to_owned(),
        message,
    };
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory).map_err(|e| failed(e.to_string()))?;
    }
    let mut png = Vec::new();
    PngEncoder::new_with_quality(&mut png, CompressionType::Best, FilterType::Adaptive)
        .write_image(image.data(), image.width(), image.height(), ExtendedColorType::Rgb8)
        .map_err(|e| failed(e.to_string()))?;
    std::fs::write(path, png).map_err(|e| failed(e.to_string()))
}
