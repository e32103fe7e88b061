//! Resizes frames with the same arithmetic as the code that made the training data.

use super::area_average;
use super::filter_weights::{Kernel, Precision};
use super::resample::{Resampler, Target};
use super::rgb::RgbImage;
use crate::contract::{Filter, Resize};

/// Errors of resizing a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ResizeError {
    /// A side is zero or too long.
    #[error("resize: expected sides of 1..={MAX_SIDE} pixels, found {width}x{height}")]
    Size {
        /// Width found (px).
        width: u32,
        /// Height found (px).
        height: u32,
    },
    /// The `area` filter would enlarge, which OpenCV does by another rule.
    #[error(
        "resize by area from {from_width}x{from_height}: expected a target no larger on either side, found {width}x{height}; use a larger camera image or the filter bicubic"
    )]
    Enlarges {
        /// Width of the frame (px).
        from_width: u32,
        /// Height of the frame (px).
        from_height: u32,
        /// Target width (px).
        width: u32,
        /// Target height (px).
        height: u32,
    },
}

/// Longest side of source or target (px).
pub const MAX_SIDE: u32 = 1 << 14;

/// Resizer that keeps its weights and buffers between calls.
#[derive(Debug, Clone, Default)]
pub struct Resizer {
    resampler: Resampler,
}

impl Resizer {
    /// Resizes `source` by the contract's rule and writes the result into `out`. A frame of the right size is copied.
    ///
    /// `bicubic` and `bilinear` are Pillow's (antialiased, two passes with bytes between them), `area` is OpenCV's
    /// `INTER_AREA`; all three agree with their reference (Pillow 11.3, OpenCV 5.0) in every byte. Pillow 13 filters
    /// along y first for some pairs of sizes and then differs in a few bytes; 640×480 to 224×224 is not among them.
    ///
    /// # Errors
    /// When a side is zero or longer than [`MAX_SIDE`], or `area` would enlarge.
    pub fn resize(&mut self, source: &RgbImage, rule: Resize, out: &mut RgbImage) -> Result<(), ResizeError> {
        let Resize { width, height, filter } = rule;
        check(source.width(), source.height())?;
        check(width, height)?;
        let kernel = match filter {
            Filter::Bicubic => Kernel::Bicubic,
            Filter::Bilinear => Kernel::Bilinear,
            Filter::Area if width > source.width() || height > source.height() => {
                let (from_width, from_height) = (source.width(), source.height());
                return Err(ResizeError::Enlarges {
                    from_width,
                    from_height,
                    width,
                    height,
                });
            }
            Filter::Area => {
                area_average::shrink(source, width, height, out);
                return Ok(());
            }
        };
        let precision = Precision::Fixed22;
        self.resampler.run(
            source,
            Target {
                width,
                height,
                kernel,
                precision,
            },
            out,
        );
        Ok(())
    }

    /// Resizes `source` as the Qwen3-VL processor does it (torchvision v2, bicubic, antialias, on `uint8`) and writes it to
    /// `out`; agrees with torchvision 0.26 in every byte.
    ///
    /// # Errors
    /// When a side is zero or longer than [`MAX_SIDE`].
    pub fn resize_for_network(
        &mut self,
        source: &RgbImage,
        width: u32,
        height: u32,
        out: &mut RgbImage,
    ) -> Result<(), ResizeError> {
        check(source.width(), source.height())?;
        check(width, height)?;
        let (kernel, precision) = (Kernel::Bicubic, Precision::Fit16);
        self.resampler.run(
            source,
            Target {
                width,
                height,
                kernel,
                precision,
            },
            out,
        );
        Ok(())
    }
}

fn check(width: u32, height: u32) -> Result<(), ResizeError> {
    let sides = 1..=MAX_SIDE;
    if sides.contains(&width) && sides.contains(&height) {
        return Ok(());
    }
    Err(ResizeError::Size { width, height })
}
