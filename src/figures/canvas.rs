//! Image that plotters can draw on, with a bitmap font: no fonts of the system are needed.

use std::convert::Infallible;

use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster, get_raster_width};
use plotters_backend::text_anchor::{HPos, VPos};
use plotters_backend::{BackendColor, BackendCoord, BackendTextStyle, DrawingBackend, DrawingErrorKind};
use plotters_backend::{FontStyle, FontTransform};

use crate::camera::rgb::RgbImage;

/// Result of drawing on a canvas, which cannot fail.
pub(super) type Drawn = Result<(), DrawingErrorKind<Infallible>>;

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

/// Weight and height of the font for a style.
fn letters<S: BackendTextStyle>(style: &S) -> (FontWeight, RasterHeight) {
    let weight = match style.style() {
        FontStyle::Bold => FontWeight::Bold,
        _ => FontWeight::Regular,
    };
    let height = if style.size() >= 18.0 {
        RasterHeight::Size20
    } else {
        RasterHeight::Size16
    };
    (weight, height)
}

fn extent<S: BackendTextStyle>(text: &str, style: &S) -> (i32, i32) {
    let (weight, height) = letters(style);
    let width = get_raster_width(weight, height) * text.chars().count();
    (width as i32, height.val() as i32)
}

impl DrawingBackend for Canvas<'_> {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        (self.image.width(), self.image.height())
    }

    fn ensure_prepared(&mut self) -> Drawn {
        Ok(())
    }

    fn present(&mut self) -> Drawn {
        Ok(())
    }

    fn draw_pixel(&mut self, (x, y): BackendCoord, color: BackendColor) -> Drawn {
        let (Ok(x), Ok(y)) = (usize::try_from(x), usize::try_from(y)) else {
            return Ok(());
        };
        let row = self.image.rows_mut().nth(y);
        let pixel = row.and_then(|row| row.as_chunks_mut::<3>().0.get_mut(x));
        let (red, green, blue) = color.rgb;
        for (old, new) in pixel.into_iter().flatten().zip([red, green, blue]) {
            let mixed = f64::from(*old) + (f64::from(new) - f64::from(*old)) * color.alpha;
            *old = mixed.round().clamp(0.0, 255.0) as u8;
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

    fn draw_text<S: BackendTextStyle>(&mut self, text: &str, style: &S, pos: BackendCoord) -> Drawn {
        let (weight, height) = letters(style);
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
        let step = get_raster_width(weight, height) as i32;
        for (letter, left) in text.chars().zip((left..).step_by(step.max(1) as usize)) {
            let raster = get_raster(letter, weight, height).or_else(|| get_raster('?', weight, height));
            let rows = raster.iter().flat_map(|raster| raster.rows()).zip(top..);
            for (row, y) in rows {
                for (strength, x) in row.iter().zip(left..).filter(|(strength, _)| **strength > 0) {
                    let (x, y) = match style.transform() {
                        FontTransform::None => (x, y),
                        FontTransform::Rotate90 => (-y, x),
                        FontTransform::Rotate180 => (-x, -y),
                        FontTransform::Rotate270 => (y, -x),
                    };
                    let mut color = style.color();
                    color.alpha *= f64::from(*strength) / 255.0;
                    self.draw_pixel((pos.0 + x, pos.1 + y), color)?;
                }
            }
        }
        Ok(())
    }
}
