//! Captions of pictures, and the pasting of pictures into sheets.

use noto_sans_mono_bitmap::{FontWeight, RasterHeight};

use super::font::{Font, mix};
use crate::camera::rgb::RgbImage;

const FONT: Font = Font {
    weight: FontWeight::Bold,
    height: RasterHeight::Size20,
};

/// Width of a letter with its gap (px).
pub(crate) const LETTER_WIDTH: u32 = FONT.letter_width() as u32;

/// Height of a line of letters (px).
pub(crate) const LETTER_HEIGHT: u32 = FONT.height.val() as u32;

/// Position and style of a caption.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CaptionStyle {
    /// Left edge (px).
    pub left: u32,
    /// Top edge (px).
    pub top: u32,
    /// Colour of the letters.
    pub colour: [u8; 3],
}

/// Fills a rectangle, clipped to the image.
pub(crate) fn fill(image: &mut RgbImage, [left, top]: [u32; 2], [width, height]: [u32; 2], colour: [u8; 3]) {
    for row in image.rows_mut().skip(top as usize).take(height as usize) {
        let pixels = row.as_chunks_mut::<3>().0.iter_mut();
        pixels
            .skip(left as usize)
            .take(width as usize)
            .for_each(|pixel| *pixel = colour);
    }
}

/// Copies `picture` with its upper left corner at `[left, top]`, clipped to the image.
pub(crate) fn paste(image: &mut RgbImage, picture: &RgbImage, [left, top]: [u32; 2]) {
    for (to, from) in image.rows_mut().skip(top as usize).zip(picture.rows()) {
        let pixels = to.as_chunks_mut::<3>().0.iter_mut().skip(left as usize);
        pixels.zip(from.as_chunks::<3>().0).for_each(|(to, from)| *to = *from);
    }
}

/// Draws one line of text; letters that the font lacks become `?`, those outside the image are clipped.
pub(crate) fn write(image: &mut RgbImage, pen: CaptionStyle, text: &str) {
    for dot in FONT.dots(text) {
        let place = [pen.left as usize + dot.x, pen.top as usize + dot.y];
        mix(image, place, pen.colour, dot.opacity);
    }
}
