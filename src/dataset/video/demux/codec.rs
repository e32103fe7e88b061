//! Codec and size of the frames of a track, as its description says.

use super::child;
use crate::dataset::video::boxes::{Boxes, Fields};
use crate::dataset::video::error::VideoError;

/// Maximum number of pixels of a frame; decoders allocate by it.
const MOST_PIXELS: u64 = 1 << 25;

/// Codec of the samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Codec {
    /// H.264, with its configuration.
    H264 {
        /// Sequence and picture parameter sets.
        sets: Vec<Vec<u8>>,
        /// Size of the length before each unit (bytes).
        length_size: usize,
    },
    /// AV1.
    Av1,
}

/// Types of the units of H.264 that hold parts of a picture, up to that of an IDR picture.
const PICTURE_UNITS: std::ops::RangeInclusive<u8> = 1..=IDR;

/// Type of the units of a picture that resets the decoder (IDR; ITU-T H.264, table 7-1).
const IDR: u8 = 5;

impl Codec {
    /// Whether a key frame resets the decoder, so that nothing from it on refers to pictures before it. A key frame of
    /// H.264 need not: that of an open group of pictures only begins with a picture that refers to no other.
    pub fn begins_anew(&self, sample: &[u8]) -> bool {
        let Self::H264 { length_size, .. } = self else {
            return true;
        };
        let mut rest = sample;
        while let Some((length, after)) = rest.split_at_checked(*length_size) {
            let length = length
                .iter()
                .fold(0_usize, |value, byte| value << 8 | usize::from(*byte));
            let kind = after.first().map_or(0, |header| header & 31);
            if length > 0 && PICTURE_UNITS.contains(&kind) {
                return kind == IDR;
            }
            rest = after.get(length..).unwrap_or_default();
        }
        // A damaged sample is reported by the decoder.
        true
    }
}

/// Description of the samples of a track.
pub(super) struct Description {
    /// Codec of the samples.
    pub codec: Codec,
    /// Width that the container announces (px).
    pub width: u32,
    /// Height that the container announces (px).
    pub height: u32,
}

impl Description {
    /// Reads the only description in an `stsd` box.
    ///
    /// # Errors
    /// When there are none or several, or the codec or size is not supported.
    pub fn read(stsd: &[u8]) -> Result<Self, VideoError> {
        let entries = stsd.get(8..).unwrap_or_default();
        let mut entries = Boxes::of(entries);
        let (kind, entry) = entries
            .next()
            .ok_or_else(|| VideoError::malformed("it does not name its codec"))?;
        if entries.next().is_some() {
            return Err(VideoError::unsupported("a video track of several descriptions"));
        }
        let mut fields = Fields::new(entry);
        fields.skip(24)?;
        let (width, height) = (u32::from(fields.u16()?), u32::from(fields.u16()?));
        if width == 0 || height == 0 || u64::from(width) * u64::from(height) > MOST_PIXELS {
            return Err(VideoError::malformed(format!(
                "its frames claim to be {width}x{height}"
            )));
        }
        let inner = entry.get(78..).unwrap_or_default();
        let codec = match &kind {
            b"avc1" | b"avc3" => h264(child(inner, b"avcC")?)?,
            b"av01" => Codec::Av1,
            b"hvc1" | b"hev1" => return Err(VideoError::unsupported("HEVC (H.265)")),
            b"vp09" => return Err(VideoError::unsupported("VP9")),
            other => {
                let name = String::from_utf8_lossy(other).into_owned();
                return Err(VideoError::unsupported(format!("video of type {name}")));
            }
        };
        Ok(Self { codec, width, height })
    }
}

/// Parses an `AVCDecoderConfigurationRecord`.
fn h264(record: &[u8]) -> Result<Codec, VideoError> {
    let mut fields = Fields::new(record);
    fields.skip(4)?;
    let length_size = usize::from(fields.u8()? & 3) + 1;
    let mut sets = Vec::new();
    for mask in [31, 255] {
        for _ in 0..fields.u8()? & mask {
            let length = usize::from(fields.u16()?);
            sets.push(fields.bytes(length)?.to_vec());
        }
    }
    Ok(Codec::H264 { sets, length_size })
}
