//! Size to which the Qwen3-VL processor resizes an image for the network.

/// Bounds and grid of the processor's size rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SizeRule {
    /// Both sides become multiples of this (px): patch size times merge size.
    pub factor: u32,
    /// Least area (px²).
    pub min_pixels: u64,
    /// Largest area (px²).
    pub max_pixels: u64,
}

/// An image size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Height (px).
    pub height: u32,
    /// Width (px).
    pub width: u32,
}

/// Largest ratio of the longer to the shorter side.
pub const MAX_ASPECT: u32 = 200;

/// Errors of computing the size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SmartResizeError {
    /// A side is zero.
    #[error("image for the network: expected both sides to be at least 1 pixel, found {width}x{height}")]
    Empty {
        /// Width found (px).
        width: u32,
        /// Height found (px).
        height: u32,
    },
    /// The aspect ratio exceeds [`MAX_ASPECT`].
    #[error("image for the network: expected an aspect ratio of at most {MAX_ASPECT}, found {width}x{height}")]
    Aspect {
        /// Width found (px).
        width: u32,
        /// Height found (px).
        height: u32,
    },
    /// The rule itself is invalid.
    #[error(
        "size rule of the network: expected a factor of at least 1 and 1 <= min_pixels <= max_pixels, found factor {}, min_pixels {}, max_pixels {}",
        .0.factor, .0.min_pixels, .0.max_pixels
    )]
    Rule(SizeRule),
}

/// Computes the nearest size whose sides are multiples of the factor and whose area is within bounds, with the arithmetic
/// of the Qwen3-VL reference (rounding half to even, double precision).
///
/// # Errors
/// When a side is zero, the aspect ratio exceeds [`MAX_ASPECT`], or the rule is invalid.
pub fn smart_resize(size: Size, rule: SizeRule) -> Result<Size, SmartResizeError> {
    let Size { height, width } = size;
    let SizeRule {
        factor,
        min_pixels,
        max_pixels,
    } = rule;
    // A minimum area of at least one pixel also covers sides that round to zero multiples of the factor.
    if factor == 0 || min_pixels == 0 || max_pixels < min_pixels {
        return Err(SmartResizeError::Rule(rule));
    }
    if height == 0 || width == 0 {
        return Err(SmartResizeError::Empty { width, height });
    }
    let (short, long) = (f64::from(height.min(width)), f64::from(height.max(width)));
    if long / short > f64::from(MAX_ASPECT) {
        return Err(SmartResizeError::Aspect { width, height });
    }
    let factor = f64::from(factor);
    let sides = [height, width].map(f64::from);
    let area = sides.iter().product::<f64>();
    let rounded = sides.map(|side| (side / factor).round_ties_even() * factor);
    let rounded_area = rounded.iter().product::<f64>();
    let [height, width] = if rounded_area > max_pixels as f64 {
        let shrink = (area / max_pixels as f64).sqrt();
        sides.map(|side| ((side / shrink / factor).floor() * factor).max(factor))
    } else if rounded_area < min_pixels as f64 {
        let grow = (min_pixels as f64 / area).sqrt();
        sides.map(|side| (side * grow / factor).ceil() * factor)
    } else {
        rounded
    };
    Ok(Size {
        height: height as u32,
        width: width as u32,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const QWEN3_VL: SizeRule = SizeRule {
        factor: 32,
        min_pixels: 65_536,
        max_pixels: 16_777_216,
    };

    fn of(height: u32, width: u32) -> [u32; 2] {
        let size = smart_resize(Size { height, width }, QWEN3_VL).unwrap();
        [size.height, size.width]
    }

    #[test]
    fn sizes_are_those_of_the_reference() {
        assert_eq!(of(224, 224), [256, 256]);
        assert_eq!(of(256, 256), [256, 256]);
        assert_eq!(of(480, 640), [480, 640]);
        assert_eq!(of(240, 320), [256, 320]);
        assert_eq!(of(360, 640), [352, 640]);
    }

    #[test]
    fn halves_round_to_even_as_in_python() {
        assert_eq!(of(400, 400), [384, 384], "12.5 cells become 12");
        assert_eq!(of(432, 432), [448, 448], "13.5 cells become 14");
    }

    #[test]
    fn areas_are_brought_within_bounds() {
        assert_eq!(of(8000, 6000), [4704, 3520]);
        let co_training = SizeRule {
            min_pixels: 784,
            max_pixels: 307_200,
            ..QWEN3_VL
        };
        let size = smart_resize(
            Size {
                height: 1080,
                width: 1920,
            },
            co_training,
        )
        .unwrap();
        assert_eq!(
            size,
            Size {
                height: 384,
                width: 736
            }
        );
        assert_eq!(of(3, 2), [320, 224]);
        let size = smart_resize(Size { height: 10, width: 10 }, co_training).unwrap();
        assert_eq!(size, Size { height: 32, width: 32 });
    }

    #[test]
    fn ribbons_and_impossible_rules_are_refused() {
        let ribbon = smart_resize(Size { height: 1, width: 201 }, QWEN3_VL).unwrap_err();
        assert!(ribbon.to_string().contains("201x1"), "{ribbon}");
        assert!(smart_resize(Size { height: 1, width: 200 }, QWEN3_VL).is_ok());
        for rule in [
            SizeRule { factor: 0, ..QWEN3_VL },
            SizeRule {
                min_pixels: 0,
                ..QWEN3_VL
            },
            SizeRule {
                max_pixels: 1000,
                ..QWEN3_VL
            },
        ] {
            assert_eq!(
                smart_resize(Size { height: 9, width: 9 }, rule),
                Err(SmartResizeError::Rule(rule))
            );
        }
    }
}
