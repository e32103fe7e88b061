//! Captions: an 8×8 bitmap font drawn at twice its size.

use font8x8::legacy::BASIC_LEGACY;

use crate::camera::rgb::RgbImage;

/// Side of the square that each dot of a letter becomes (px).
const SCALE: u32 = 2;

/// Width of a letter with its gap (px).
pub(crate) const LETTER_WIDTH: u32 = 8 * SCALE;

/// Height of a line of letters (px).
pub(crate) const LETTER_HEIGHT: u32 = 8 * SCALE;

/// Position and style of a caption.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pen {
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

/// Draws one line of text; characters outside ASCII become `?`, those outside the image are clipped.
pub(crate) fn write(image: &mut RgbImage, pen: Pen, text: &str) {
    let mut left = pen.left;
    for letter in text.chars() {
        let code = if letter.is_ascii_graphic() || letter == ' ' {
            letter
        } else {
            '?'
        };
        let dots = BASIC_LEGACY.get(code as usize).copied().unwrap_or_default();
        for (line, top) in dots.into_iter().zip((pen.top..).step_by(SCALE as usize)) {
            for dot in (0..8).filter(|dot| line >> dot & 1 == 1) {
                fill(image, [left + dot * SCALE, top], [SCALE, SCALE], pen.colour);
            }
        }
        left += LETTER_WIDTH;
    }
}
