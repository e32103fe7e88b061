//! Row of a dataset while it is recorded, and its images.

use std::collections::BTreeMap;
use std::io::Cursor;

use crate::camera::compressed::{Compression, decode};
use crate::camera::rgb::RgbImage;
use crate::files::signatures;

/// Encoding of images in rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageMode {
    /// JPEG of this quality, 1 to 100.
    Jpeg(u8),
    /// PNG: lossless, four to eight times the size.
    Png,
}

/// Row of a dataset.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// Values of each vector, by the name of its column.
    pub vectors: BTreeMap<String, Vec<f32>>,
    /// Images, in the order of the layout's cameras.
    pub pictures: Vec<Picture>,
}

/// Encoded image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Format of the bytes.
    pub compression: Compression,
    /// Content of the image file.
    pub bytes: Vec<u8>,
}

impl Picture {
    /// Encodes an image.
    ///
    /// # Errors
    /// When it is empty or larger than the format allows.
    pub fn encode(image: &RgbImage, mode: ImageMode) -> Result<Self, String> {
        match mode {
            ImageMode::Jpeg(quality) => {
                let side = |side: u32| u16::try_from(side).map_err(|_| format!("a JPEG side: {side} px is too long"));
                let (width, height) = (side(image.width())?, side(image.height())?);
                let mut bytes = Vec::new();
                jpeg_encoder::Encoder::new(&mut bytes, quality)
                    .encode(image.data(), width, height, jpeg_encoder::ColorType::Rgb)
                    .map_err(|e| e.to_string())?;
                Ok(Self {
                    compression: Compression::Jpeg,
                    bytes,
                })
            }
            ImageMode::Png => {
                use image::codecs::png::{CompressionType, FilterType, PngEncoder};
                use image::{ExtendedColorType, ImageEncoder as _};
                let mut bytes = Vec::new();
                PngEncoder::new_with_quality(Cursor::new(&mut bytes), CompressionType::Fast, FilterType::Sub)
                    .write_image(image.data(), image.width(), image.height(), ExtendedColorType::Rgb8)
                    .map_err(|e| e.to_string())?;
                Ok(Self {
                    compression: Compression::Png,
                    bytes,
                })
            }
        }
    }

    /// Wraps the bytes of an image file and detects their format.
    ///
    /// # Errors
    /// When they begin like neither JPEG nor PNG; the error names other known formats.
    pub fn of_bytes(bytes: Vec<u8>) -> Result<Self, String> {
        let compression = match bytes.as_slice() {
            [0xff, 0xd8, ..] => Compression::Jpeg,
            [0x89, b'P', b'N', b'G', ..] => Compression::Png,
            [] => return Err("a picture: expected JPEG or PNG, found an empty one".into()),
            other => {
                let found = signatures::foreign(other).map(|what| format!("this is {what}"));
                let found = found.unwrap_or_else(|| "found neither".to_owned());
                return Err(format!("a picture: expected JPEG or PNG, {found}"));
            }
        };
        Ok(Self { compression, bytes })
    }

    /// Decodes the image into `out`.
    ///
    /// # Errors
    /// When the bytes are damaged.
    pub fn decode(&self, out: &mut RgbImage) -> Result<(), String> {
        let format = match self.compression {
            Compression::Jpeg => "jpeg",
            Compression::Png => "png",
        };
        decode(format, &self.bytes, out).map_err(|e| e.to_string())
    }
}
