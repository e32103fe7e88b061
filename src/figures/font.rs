//! Bitmap font, and the mixing of its letters into an image: no fonts of the system are needed.

use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster, get_raster_width};

use crate::camera::rgb::RgbImage;

/// Weight and height of the letters; all have the same width.
#[derive(Debug, Clone, Copy)]
pub(super) struct Font {
    /// Weight.
    pub weight: FontWeight,
    /// Height of a line.
    pub height: RasterHeight,
}

/// Dot of a text: its place right of and below the upper left corner (px).
#[derive(Debug, Clone, Copy)]
pub(super) struct Dot {
    /// Pixels to the right.
    pub x: usize,
    /// Pixels down.
    pub y: usize,
    /// Opacity, above 0 and up to 1.
    pub opacity: f64,
}

impl Font {
    /// Width of a letter with its gap (px).
    pub const fn letter_width(self) -> usize {
        get_raster_width(self.weight, self.height)
    }

    /// Dots of one line of text; letters that the font lacks become `?`.
    pub fn dots(self, text: &str) -> impl Iterator<Item = Dot> {
        let lefts = (0..).step_by(self.letter_width().max(1));
        text.chars().zip(lefts).flat_map(move |(letter, left)| {
            let raster =
                get_raster(letter, self.weight, self.height).or_else(|| get_raster('?', self.weight, self.height));
            let rows = raster.into_iter().flat_map(|raster| raster.rows()).zip(0..);
            rows.flat_map(move |(row, y)| {
                let lit = row.iter().zip(left..).filter(|(strength, _)| **strength > 0);
                lit.map(move |(strength, x)| Dot {
                    x,
                    y,
                    opacity: f64::from(*strength) / 255.0,
                })
            })
        })
    }
}

/// Mixes a colour into the pixel at `[x, y]` with an opacity of 0 to 1; one outside of the image is ignored.
pub(super) fn mix(image: &mut RgbImage, [x, y]: [usize; 2], colour: [u8; 3], opacity: f64) {
    let row = image.rows_mut().nth(y);
    let pixel = row.and_then(|row| row.as_chunks_mut::<3>().0.get_mut(x));
    for (old, new) in pixel.into_iter().flatten().zip(colour) {
        let mixed = f64::from(*old) + (f64::from(new) - f64::from(*old)) * opacity;
        *old = mixed.round().clamp(0.0, 255.0) as u8;
    }
}
