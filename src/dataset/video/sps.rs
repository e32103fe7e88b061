//! Parses the sequence parameter set of H.264 (ITU-T H.264, 7.3.2.1 and annex E).

use super::colour::ColourEncoding;
use super::error::VideoError;

/// Properties of a stream that are needed before decoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sps {
    /// Width after cropping (px).
    pub width: u32,
    /// Height after cropping (px).
    pub height: u32,
    /// Colour matrix and range.
    pub colour: ColourEncoding,
}

/// Profiles whose parameter sets also have chroma format and bit depth.
const HIGH: [u32; 13] = [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135];

impl Sps {
    /// Parses the unit `nal`, which begins with its header byte.
    ///
    /// # Errors
    /// When it ends too early, or announces pictures that are not progressive 8-bit 4:2:0, or are without loss.
    pub fn parse(nal: &[u8]) -> Result<Self, VideoError> {
        let mut bits = Bits::new(nal.get(1..).unwrap_or_default());
        let profile = bits.take(8)?;
        bits.take(16)?;
        bits.unsigned()?;
        if HIGH.contains(&profile) {
            bits.require_supported_samples()?;
        }
        bits.unsigned()?;
        bits.skip_picture_order()?;
        bits.unsigned()?;
        bits.take(1)?;
        let macroblocks = [bits.unsigned()?, bits.unsigned()?];
        if !bits.flag()? {
            return Err(VideoError::unsupported("interlaced H.264"));
        }
        bits.take(1)?;
        let crop = if bits.flag()? {
            [bits.unsigned()?, bits.unsigned()?, bits.unsigned()?, bits.unsigned()?]
        } else {
            [0; 4]
        };
        let ([across, down], [left, right, top, bottom]) = (macroblocks, crop);
        let sides = side(across, left, right).zip(side(down, top, bottom));
        let (width, height) = sides.ok_or_else(|| VideoError::malformed("H.264 pictures without pixels"))?;
        let colour = bits.colour()?;
        Ok(Self { width, height, colour })
    }
}

/// Returns the length of a side (px) of so many macroblocks and one, less the cropping of its ends by pairs of pixels.
fn side(blocks: u32, first: u32, last: u32) -> Option<u32> {
    let full = u64::from(blocks) * 16 + 16;
    let cropped = full.checked_sub(2 * (u64::from(first) + u64::from(last)));
    cropped
        .and_then(|side| u32::try_from(side).ok())
        .filter(|side| *side > 0)
}

/// Reads bits, without the bytes that only prevent start codes.
struct Bits {
    bytes: Vec<u8>,
    position: usize,
}

impl Bits {
    fn new(payload: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(payload.len());
        let mut zeros = 0;
        for byte in payload {
            if zeros >= 2 && *byte == 3 {
                zeros = 0;
                continue;
            }
            zeros = if *byte == 0 { zeros + 1 } else { 0 };
            bytes.push(*byte);
        }
        Self { bytes, position: 0 }
    }

    fn flag(&mut self) -> Result<bool, VideoError> {
        let byte = self.bytes.get(self.position / 8);
        let byte = byte.ok_or_else(|| VideoError::malformed("an H.264 parameter set ends too early"))?;
        let bit = byte >> (7 - self.position % 8) & 1;
        self.position += 1;
        Ok(bit == 1)
    }

    fn take(&mut self, count: u32) -> Result<u32, VideoError> {
        (0..count).try_fold(0_u32, |value, _| Ok(value << 1 | u32::from(self.flag()?)))
    }

    /// Reads an unsigned exponential Golomb code.
    fn unsigned(&mut self) -> Result<u32, VideoError> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
            if zeros > 31 {
                return Err(VideoError::malformed("a number of an H.264 parameter set is too large"));
            }
        }
        Ok((1_u32 << zeros) - 1 + self.take(zeros)?)
    }

    fn signed(&mut self) -> Result<i64, VideoError> {
        let code = i64::from(self.unsigned()?);
        Ok(if code % 2 == 1 { (code + 1) / 2 } else { -(code / 2) })
    }

    /// Reads what only high profiles say of samples.
    fn require_supported_samples(&mut self) -> Result<(), VideoError> {
        let chroma = self.unsigned()?;
        if chroma != 1 {
            let sampling = match chroma {
                0 => "4:0:0 (grey)",
                2 => "4:2:2",
                3 => "4:4:4",
                _ => "an unknown chroma format",
            };
            return Err(VideoError::unsupported(format!("H.264 in {sampling}")));
        }
        let depths = [self.unsigned()?, self.unsigned()?];
        if depths != [0, 0] {
            return Err(VideoError::unsupported(format!("H.264 with {} bits", depths[0] + 8)));
        }
        // Blocks without loss skip the transform, which only this profile has.
        if self.flag()? {
            return Err(VideoError::unsupported(
                "H.264 without loss (profile High 4:4:4 Predictive)",
            ));
        }
        if self.flag()? {
            self.skip_scaling_lists()?;
        }
        Ok(())
    }

    /// Skips how the order of pictures is coded.
    fn skip_picture_order(&mut self) -> Result<(), VideoError> {
        match self.unsigned()? {
            0 => drop(self.unsigned()?),
            1 => {
                self.take(1)?;
                self.unsigned()?;
                self.unsigned()?;
                for _ in 0..self.unsigned()?.min(255) {
                    self.unsigned()?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn skip_scaling_lists(&mut self) -> Result<(), VideoError> {
        for list in 0..8 {
            if !self.flag()? {
                continue;
            }
            let (mut last, mut next) = (8_i64, 8_i64);
            for _ in 0..if list < 6 { 16 } else { 64 } {
                if next != 0 {
                    next = (last + self.signed()?).rem_euclid(256);
                }
                last = if next == 0 { last } else { next };
            }
        }
        Ok(())
    }

    /// Reads the colour encoding from the first part of the usability information (VUI).
    fn colour(&mut self) -> Result<ColourEncoding, VideoError> {
        let unspecified = ColourEncoding::from_code_points(2, false);
        if !self.flag()? {
            return unspecified;
        }
        if self.flag()? && self.take(8)? == 255 {
            self.take(32)?;
        }
        if self.flag()? {
            self.take(1)?;
        }
        if !self.flag()? {
            return unspecified;
        }
        self.take(3)?;
        let full_range = self.flag()?;
        let matrix = if self.flag()? {
            self.take(16)?;
            self.take(8)? as u8
        } else {
            2
        };
        ColourEncoding::from_code_points(matrix, full_range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_that_ends_anywhere_is_an_error() {
        // baseline, level 3.0, 640x480, no usability information
        let whole = [0x67, 0x42, 0xC0, 0x1E, 0xF4, 0x05, 0x01, 0xE8, 0x80];
        let sps = Sps::parse(&whole).unwrap();
        assert_eq!((sps.width, sps.height), (640, 480));
        assert_eq!(sps.colour, ColourEncoding::WRITTEN);
        for length in 0..8 {
            assert!(Sps::parse(&whole[..length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn other_samplings_of_colour_are_called_by_their_names() {
        // the first two codes behind profile and level: number of the set, chroma format
        for (codes, name) in [(0xC0, "4:0:0"), (0xB0, "4:2:2"), (0x90, "4:4:4")] {
            let said = Sps::parse(&[0x67, 0xF4, 0, 0x0A, codes, 0]).err().unwrap().to_string();
            assert!(said.contains(&format!("H.264 in {name}")), "{said}");
        }
    }
}
