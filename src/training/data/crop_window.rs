//! Window of a picture that the network is fed in place of the whole picture: a shift, a crop, or both.

use crate::camera::rgb::RgbImage;

/// Channels of a pixel.
const CHANNELS: usize = 3;

/// Square window of a picture, in fractions of the picture's sides. Outside of the picture it shows the nearest pixel
/// of its edge.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CropWindow {
    /// Left and upper edge of the window.
    pub origin: [f64; 2],
    /// Width and height of the window.
    pub side: f64,
}

impl CropWindow {
    /// Window of the whole picture.
    pub const WHOLE: Self = Self {
        origin: [0.0; 2],
        side: 1.0,
    };

    /// Returns the place in the picture, from left and from above, that a place in the window shows; both are fractions
    /// of sides.
    pub fn in_picture(&self, place: [f64; 2]) -> [f64; 2] {
        let [x, y] = place;
        let [left, top] = self.origin;
        [left + self.side * x, top + self.side * y]
    }

    /// Returns whether the picture itself, not its replicated edge, is shown at a place in the window.
    pub fn shows_picture(&self, place: [f64; 2]) -> bool {
        self.in_picture(place).iter().all(|at| (0.0..1.0).contains(at))
    }

    /// Writes the window of `picture` to `out`, resized bilinearly to the size of the picture.
    pub fn crop(&self, picture: &RgbImage, out: &mut RgbImage) {
        let (width, height) = (picture.width(), picture.height());
        out.reset(width, height);
        let [left, top] = self.origin;
        let columns = samples(left, self.side, width);
        let rows: Vec<&[u8]> = picture.rows().collect();
        for (out, row) in out.rows_mut().zip(samples(top, self.side, height)) {
            let [Some(above), Some(below)] = row.cells.map(|at| rows.get(at).copied()) else {
                continue;
            };
            let (pixels, _) = out.as_chunks_mut::<CHANNELS>();
            for (out, column) in pixels.iter_mut().zip(&columns) {
                let line = |row: &[u8]| mixed(column.cells.map(|at| pixel(row, at)), column.share);
                let whole = mixed([line(above), line(below)], row.share);
                *out = whole.map(|value| value.round() as u8);
            }
        }
    }
}

/// Two neighbouring cells along an axis, pixels or patches, between whose centres a place lies.
#[derive(Debug, Clone, Copy)]
pub struct Neighbours {
    /// Their indices.
    pub cells: [usize; 2],
    /// Share of the second.
    pub share: f32,
}

impl Neighbours {
    /// Returns the cells around a place, a fraction of an axis of `count` cells; beside the outermost centres, the
    /// outermost cell alone.
    pub fn of(place: f64, count: u32) -> Self {
        let last = (f64::from(count) - 1.0).max(0.0);
        let at = (place * f64::from(count) - 0.5).clamp(0.0, last);
        let first = at.floor();
        Self {
            cells: [first, (first + 1.0).min(last)].map(|cell| cell as usize),
            share: (at - first) as f32,
        }
    }
}

/// Returns the centre of a cell, as a fraction of an axis of `count` cells.
pub fn centre(cell: u32, count: u32) -> f64 {
    (f64::from(cell) + 0.5) / f64::from(count)
}

/// Returns the neighbours of each pixel along an axis of `size` pixels.
fn samples(origin: f64, side: f64, size: u32) -> Vec<Neighbours> {
    let of = |pixel: u32| Neighbours::of(origin + side * centre(pixel, size), size);
    (0..size).map(of).collect()
}

fn pixel(row: &[u8], at: usize) -> [f32; CHANNELS] {
    let (pixels, _) = row.as_chunks::<CHANNELS>();
    pixels.get(at).copied().unwrap_or_default().map(f32::from)
}

fn mixed([first, second]: [[f32; CHANNELS]; 2], share: f32) -> [f32; CHANNELS] {
    let [r, g, b] = first;
    let [r2, g2, b2] = second;
    [r + (r2 - r) * share, g + (g2 - g) * share, b + (b2 - b) * share]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every pixel of it differs.
    fn picture() -> RgbImage {
        let mut picture = RgbImage::new(8, 4);
        for (at, value) in picture.data_mut().iter_mut().enumerate() {
            *value = (at * 37 % 251) as u8;
        }
        picture
    }

    fn cropped(window: CropWindow) -> RgbImage {
        let mut out = RgbImage::default();
        window.crop(&picture(), &mut out);
        out
    }

    #[test]
    fn the_whole_picture_is_itself() {
        assert_eq!(cropped(CropWindow::WHOLE), picture());
        assert_eq!(CropWindow::WHOLE.in_picture([0.25, 0.75]), [0.25, 0.75]);
    }

    #[test]
    fn a_shift_moves_pixels_and_repeats_the_edge() {
        // Two pixels to the right of eight, one pixel up of four.
        let moved = cropped(CropWindow {
            origin: [-0.25, 0.25],
            side: 1.0,
        });
        for (x, y) in (0..8_u32).flat_map(|x| (0..4_u32).map(move |y| (x, y))) {
            let from = picture().pixel(x.saturating_sub(2), (y + 1).min(3));
            assert_eq!(moved.pixel(x, y), from, "{x} {y}");
        }
    }

    #[test]
    fn a_crop_shows_a_part_of_the_picture_larger() {
        let mut two = RgbImage::new(4, 4);
        for row in two.rows_mut() {
            row[6..].fill(200);
        }
        let mut out = RgbImage::default();
        let right = CropWindow {
            origin: [0.5, 0.25],
            side: 0.5,
        };
        right.crop(&two, &mut out);
        // The left column lies a quarter of a pixel beside the edge between black and grey.
        assert_eq!(out.pixel(0, 1), Some([150; 3]));
        assert_eq!(out.pixel(3, 1), Some([200; 3]));
        assert_eq!(right.in_picture([0.5, 0.5]), [0.75, 0.5]);
    }

    #[test]
    fn what_lies_beside_the_picture_is_no_part_of_it() {
        let left = CropWindow {
            origin: [-0.25, 0.0],
            side: 1.0,
        };
        assert!(!left.shows_picture([0.125, 0.5]) && left.shows_picture([0.375, 0.5]));
    }
}
