//! Decodes the JPEG and PNG data of a `sensor_msgs/CompressedImage`.

use std::io::Cursor;

use image::codecs::png::PngDecoder;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder};
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

use super::rgb::RgbImage;
use super::{jpeg_segments, orientation};

/// Largest image that is decoded (px²): 4096 × 4096, the most that the network's processor accepts.
pub const MAX_PIXELS: u64 = 1 << 24;

/// Longest side that is decoded (px).
pub const MAX_SIDE: u32 = 1 << 14;

/// Supported compressions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// JPEG, baseline or progressive.
    Jpeg,
    /// PNG with 8 bits a channel.
    Png,
}

/// Errors of decoding a compressed image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The format string names no supported compression.
    #[error("compressed image format: expected jpeg or png (such as \"rgb8; jpeg compressed bgr8\"), found {found:?}")]
    Format {
        /// Format found.
        found: String,
    },
    /// A Bayer mosaic was compressed as if it were a grey image.
    #[error(
        "compressed image format: expected colours or grey, found a Bayer mosaic, {found:?}: choose rgb8 in the camera \
         driver, or run debayer_node of image_proc and name its image_color/compressed"
    )]
    Mosaic {
        /// Format found.
        found: String,
    },
    /// The data lacks the start or end marker of its compression.
    #[error("compressed image: expected a whole {compression:?} file of {length} bytes, but {problem}")]
    NotWhole {
        /// Compression named by the format string.
        compression: Compression,
        /// Bytes found.
        length: usize,
        /// Description of the problem.
        problem: &'static str,
    },
    /// The image header announces a size out of bounds; nothing has been allocated for it.
    #[error(
        "compressed image: expected sides of 1..={MAX_SIDE} and at most {MAX_PIXELS} pixels, found {width}x{height}"
    )]
    Size {
        /// Announced width (px).
        width: u32,
        /// Announced height (px).
        height: u32,
    },
    /// The channels do not have 8 bits, as in depth images and 16-bit colours.
    #[error(
        "compressed image: expected 8-bit colour or grey, found {found}: convert colours to 8 bits; mark a column of \
         depth with is_depth_map, or leave the topic out"
    )]
    Depth {
        /// Colour type found.
        found: String,
    },
    /// The decoder reported an error.
    #[error("compressed image: the {compression:?} data is damaged: {message}")]
    Damaged {
        /// Compression named by the format string.
        compression: Compression,
        /// Error message of the decoder.
        message: String,
    },
}

impl Compression {
    /// Parses the format string as ROS writes it: `jpeg`, `png` or `rgb8; jpeg compressed bgr8`.
    ///
    /// # Errors
    /// When it names neither; `compressedDepth` is refused because its data has a header of its own. When what was
    /// compressed is a Bayer mosaic.
    pub fn parse(format: &str) -> Result<Self, DecodeError> {
        let (encoding, after_encoding) = format.split_once(';').unwrap_or(("", format));
        let mut words = after_encoding.split_whitespace();
        let name = words.next().unwrap_or("").to_ascii_lowercase();
        // The encoding of what was compressed; it is left out where nothing was converted.
        let compressed = words.clone().next_back().filter(|word| *word != "compressed");
        let is_mosaic = compressed.unwrap_or(encoding).starts_with("bayer_");
        let is_depth = words.any(|word| word.eq_ignore_ascii_case("compressedDepth"));
        let found = || format.chars().take(64).collect();
        match name.as_str() {
            "jpeg" | "jpg" | "png" if !is_depth && is_mosaic => Err(DecodeError::Mosaic { found: found() }),
            "jpeg" | "jpg" if !is_depth => Ok(Self::Jpeg),
            "png" if !is_depth => Ok(Self::Png),
            _ => Err(DecodeError::Format { found: found() }),
        }
    }
}

/// Problem reported for an image of 0 bytes.
const EMPTY: &str = "it is an empty file";

/// Decodes `data` into `out`, whose allocation is reused where the decoder permits.
///
/// # Errors
/// When the format is unknown, the data is cut short or damaged, or the announced size is out of bounds; `out` is then
/// unspecified.
pub fn decode(format: &str, data: &[u8], out: &mut RgbImage) -> Result<(), DecodeError> {
    match Compression::parse(format)? {
        Compression::Jpeg => decode_jpeg(data, out),
        Compression::Png => decode_png(data, out),
    }
}

fn check_size(width: u32, height: u32) -> Result<(), DecodeError> {
    let sides = 1..=MAX_SIDE;
    let pixels = u64::from(width) * u64::from(height);
    if sides.contains(&width) && sides.contains(&height) && pixels <= MAX_PIXELS {
        return Ok(());
    }
    Err(DecodeError::Size { width, height })
}

fn decode_jpeg(data: &[u8], out: &mut RgbImage) -> Result<(), DecodeError> {
    let compression = Compression::Jpeg;
    let not_whole = |problem| DecodeError::NotWhole {
        compression,
        length: data.len(),
        problem,
    };
    let damaged = |e: &dyn std::fmt::Display| DecodeError::Damaged {
        compression,
        message: e.to_string(),
    };
    if data.is_empty() {
        return Err(not_whole(EMPTY));
    }
    if !data.starts_with(&[0xff, 0xd8]) {
        return Err(not_whole("it does not begin with the start-of-image marker"));
    }
    // A decoder fills missing parts with grey, so the end marker decides whether the file is whole.
    let Some(data) = jpeg_segments::up_to_end(data) else {
        return Err(not_whole("it has no end-of-image marker"));
    };
    let completed = jpeg_segments::with_tables(data);
    let data = completed.as_deref().unwrap_or(data);
    let options = DecoderOptions::new_fast()
        .set_strict_mode(true)
        .set_max_width(MAX_SIDE as usize)
        .set_max_height(MAX_SIDE as usize)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(data), options);
    decoder.decode_headers().map_err(|e| damaged(&e))?;
    let info = decoder.info().ok_or_else(|| damaged(&"no frame header"))?;
    let (width, height) = (u32::from(info.width), u32::from(info.height));
    check_size(width, height)?;
    out.reset(width, height);
    if decoder.output_buffer_size() != Some(out.data().len()) {
        return Err(damaged(&"its colours cannot be turned into RGB"));
    }
    decoder.decode_into(out.data_mut()).map_err(|e| damaged(&e))?;
    turn(out, orientation::of_jpeg(data).unwrap_or(Orientation::NoTransforms));
    Ok(())
}

/// Rotates and mirrors an image by its orientation, as Hugging Face's datasets do on reading.
fn turn(image: &mut RgbImage, orientation: Orientation) {
    if orientation == Orientation::NoTransforms {
        return;
    }
    let pixels = image.data().to_vec();
    if let Some(whole) = image::RgbImage::from_raw(image.width(), image.height(), pixels) {
        let mut turned = DynamicImage::ImageRgb8(whole);
        turned.apply_orientation(orientation);
        let turned = turned.into_rgb8();
        image.reset(turned.width(), turned.height());
        image.data_mut().copy_from_slice(turned.as_raw());
    }
}

fn decode_png(data: &[u8], out: &mut RgbImage) -> Result<(), DecodeError> {
    require_png(data)?;
    let compression = Compression::Png;
    let damaged = |e: &dyn std::fmt::Display| DecodeError::Damaged {
        compression,
        message: e.to_string(),
    };
    let mut limits = image::Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_PIXELS * 8);
    let decoder = PngDecoder::with_limits(Cursor::new(data), limits).map_err(|e| damaged(&e))?;
    let orientation = orientation::of_png(data).unwrap_or(Orientation::NoTransforms);
    let (width, height) = decoder.dimensions();
    check_size(width, height)?;
    let channels = match decoder.color_type() {
        image::ColorType::L8 => 1,
        image::ColorType::La8 => 2,
        image::ColorType::Rgb8 => 3,
        image::ColorType::Rgba8 => 4,
        other => {
            return Err(DecodeError::Depth {
                found: format!("{other:?}"),
            });
        }
    };
    out.reset(width, height);
    if channels == 3 {
        decoder.read_image(out.data_mut()).map_err(|e| damaged(&e))?;
    } else {
        let mut raw = vec![0; width as usize * height as usize * channels];
        decoder.read_image(&mut raw).map_err(|e| damaged(&e))?;
        for (from, to) in raw.chunks_exact(channels).zip(out.data_mut().as_chunks_mut::<3>().0) {
            *to = match *from {
                [r, g, b, _] => [r, g, b],
                [v] | [v, _] => [v, v, v],
                _ => *to,
            };
        }
    }
    turn(out, orientation);
    Ok(())
}

/// Refuses data that does not begin like a PNG, or whose header announces a size out of bounds. IHDR comes first in every
/// PNG, so the size is checked before the decoder reads the file.
fn require_png(data: &[u8]) -> Result<(), DecodeError> {
    if !data.starts_with(b"\x89PNG\r\n\x1a\n") {
        let problem = match data.is_empty() {
            true => EMPTY,
            false => "it does not begin with the PNG signature",
        };
        return Err(DecodeError::NotWhole {
            compression: Compression::Png,
            length: data.len(),
            problem,
        });
    }
    let size = data
        .get(16..24)
        .and_then(|size| size.as_chunks::<4>().0.as_array::<2>());
    match size {
        Some(size) => {
            let [width, height] = size.map(u32::from_be_bytes);
            check_size(width, height)
        }
        None => Ok(()),
    }
}
