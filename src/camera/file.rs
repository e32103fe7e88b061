//! Loads and saves image files.

use std::path::{Path, PathBuf};

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder as _};

use super::compressed::{DecodeError, decode};
use super::rgb::RgbImage;
use crate::files;

/// Errors of loading an image file.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("cannot read the picture {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Error of the operating system.
        source: std::io::Error,
    },
    /// The file holds no PNG or JPEG that can be decoded.
    #[error("{path}: {source}")]
    Decode {
        /// The file.
        path: PathBuf,
        /// Error of the decoder.
        source: DecodeError,
    },
}

/// Loads a PNG or JPEG file into `out`; the content decides the format, not the extension.
///
/// # Errors
/// When the file cannot be read or decoded; the error names it.
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

/// Error of saving an image, with the file it was for.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the picture {path}: {message}")]
pub struct SaveError {
    /// The file.
    path: PathBuf,
    /// Error message of the encoder or the operating system.
    message: String,
}

/// Saves a PNG file with the strongest compression, creating its directory if needed.
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
