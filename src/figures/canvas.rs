//! Image that plotters can draw on, with a bitmap font: no fonts of the system are needed.

use std::convert::Infallible;

use noto_sans_mono_bitmap::{FontWeight, RasterHeight};
use plotters_backend::text_anchor::{HPos, VPos};
use plotters_backend::{BackendColor, BackendCoord, BackendTextStyle, DrawingBackend, DrawingErrorKind};
use plotters_backend::{FontStyle, FontTransform};

use super::font::{Font, mix};
use crate::camera::rgb::RgbImage;

/// Result of drawing on a canvas, which cannot fail.
pub(super) type DrawResult = Result<(), DrawingErrorKind<Infallible>>;

/// Image of fixed size, filled with white.
pub(super) struct Canvas<'a> {
    image: &'a mut RgbImage,
}

impl<'a> Canvas<'a> {
    pub(super) fn new(image: &'a mut RgbImage) -> Self {
        image.data_mut().fill(255);
        Self { image }
    }
}

/// Font for a style.
fn font<S: BackendTextStyle>(style: &S) -> Font {
    let weight = match style.style() {
        FontStyle::Bold => FontWeight::Bold,
        _ => FontWeight::Regular,
    };
    let height = if style.size() >= 18.0 {
        RasterHeight::Size20
    } else {
        RasterHeight::Size16
    };
    Font { weight, height }
}

/// Width and height of a line of text (px).
fn extent<S: BackendTextStyle>(text: &str, style: &S) -> (i32, i32) {
    let font = font(style);
    let width = font.letter_width() * text.chars().count();
    (width as i32, font.height.val() as i32)
}

impl DrawingBackend for Canvas<'_> {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        (self.image.width(), self.image.height())
    }

    fn ensure_prepared(&mut self) -> DrawResult {
        Ok(())
    }

    fn present(&mut self) -> DrawResult {
        Ok(())
    }

    fn draw_pixel(&mut self, (x, y): BackendCoord, color: BackendColor) -> DrawResult {
        if let (Ok(x), Ok(y)) = (usize::try_from(x), usize::try_from(y)) {
            mix(self.image, [x, y], color.rgb.into(), color.alpha);
        }
        Ok(())
    }

    fn estimate_text_size<S: BackendTextStyle>(
        &self,
        text: &str,
        style: &S,
    ) -> Result<(u32, u32), DrawingErrorKind<Infallible>> {
        let (width, height) = extent(text, style);
        Ok((width as u32, height as u32))
    }

    fn draw_text<S: BackendTextStyle>(&mut self, text: &str, style: &S, pos: BackendCoord) -> DrawResult {
        let (text_width, text_height) = extent(text, style);
        let anchor = style.anchor();
        let left = match anchor.h_pos {
            HPos::Left => 0,
            HPos::Center => -text_width / 2,
            HPos::Right => -text_width,
        };
        let top = match anchor.v_pos {
            VPos::Top => 0,
            VPos::Center => -text_height / 2,
            VPos::Bottom => -text_height,
        };
        for dot in font(style).dots(text) {
            let (x, y) = (left + dot.x as i32, top + dot.y as i32);
            let (x, y) = match style.transform() {
                FontTransform::None => (x, y),
                FontTransform::Rotate90 => (-y, x),
                FontTransform::Rotate180 => (-x, -y),
                FontTransform::Rotate270 => (y, -x),
            };
            let mut color = style.color();
            color.alpha *= dot.opacity;
            self.draw_pixel((pos.0 + x, pos.1 + y), color)?;
        }
        Ok(())
    }
}
