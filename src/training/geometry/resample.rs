//! Resamples the targets of whole pictures at the patches of windows of them.

use tch::{TchError, Tensor};

use super::GeometryTarget;
use crate::camera::patches::Grid;
use crate::training::data::crop_window::{CropWindow, Neighbours, centre};

/// Returns the targets of the windows' patches: bilinear means of the targets around the centre of each. Patches whose
/// centre lies beside the picture have a weight of 0.
///
/// # Shapes
/// `whole`: (V·h·w, width), patches row by row of each view in turn → the same in 32 bits
///
/// # Errors
/// When libtorch fails.
pub fn resampled(whole: &Tensor, grids: &[Grid], windows: &[CropWindow]) -> Result<GeometryTarget, TchError> {
    let mut corners: [Corner; 4] = Default::default();
    let (mut weights, mut first) = (Vec::new(), 0_i64);
    for (grid, window) in grids.iter().zip(windows) {
        for place in centres(*grid) {
            let [x, y] = window.in_picture(place);
            let (x, y) = (shares(x, grid.w), shares(y, grid.h));
            let each = y.iter().flat_map(|row| x.iter().map(move |column| (row, column)));
            for (corner, ((row, down), (column, across))) in corners.iter_mut().zip(each) {
                corner.patches.push(first + row * i64::from(grid.w) + column);
                corner.shares.push(down * across);
            }
            weights.push(shown(window, place));
        }
        first += grid.patches() as i64;
    }
    let whole = whole.f_to_kind(tch::Kind::Float)?;
    let mut features = whole.f_zeros_like()?;
    for corner in &corners {
        features = features.f_add(&corner.of(&whole)?)?;
    }
    Ok(GeometryTarget {
        features,
        weights: Some(Tensor::f_from_slice(&weights)?),
    })
}

/// Returns the centres of a grid's patches, row by row, as fractions of the picture from left and from above.
pub fn centres(grid: Grid) -> impl Iterator<Item = [f64; 2]> {
    (0..grid.h).flat_map(move |row| (0..grid.w).map(move |column| [centre(column, grid.w), centre(row, grid.h)]))
}

/// Returns the weight of a patch with this centre: 0 beside the picture.
pub fn shown(window: &CropWindow, centre: [f64; 2]) -> f32 {
    f32::from(u8::from(window.shows_picture(centre)))
}

/// One of the four patches around the centre of each patch.
#[derive(Debug, Default)]
struct Corner {
    patches: Vec<i64>,
    shares: Vec<f32>,
}

impl Corner {
    /// Returns the rows of these patches, times their shares.
    fn of(&self, whole: &Tensor) -> Result<Tensor, TchError> {
        let shares = Tensor::f_from_slice(&self.shares)?.f_unsqueeze(-1)?;
        whole
            .f_index_select(0, &Tensor::f_from_slice(&self.patches)?)?
            .f_mul(&shares)
    }
}

/// Returns the two patches along an axis of `count` patches between whose centres a place lies, with their shares.
fn shares(place: f64, count: u32) -> [(i64, f32); 2] {
    let Neighbours { cells, share } = Neighbours::of(place, count);
    let [first, second] = cells.map(|cell| cell as i64);
    [(first, 1.0 - share), (second, share)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::camera::rgb::RgbImage;

    const GRID: Grid = Grid { t: 1, h: 3, w: 4 };

    /// One channel with the index of the patch, of two views.
    fn whole() -> Tensor {
        Tensor::from_slice(&(0..24_u8).map(f32::from).collect::<Vec<_>>()).reshape([24, 1])
    }

    fn values(of: &Tensor) -> Vec<f32> {
        Vec::try_from(of.flatten(0, -1)).unwrap()
    }

    #[test]
    fn whole_pictures_keep_their_targets() {
        let same = resampled(&whole(), &[GRID; 2], &[CropWindow::WHOLE; 2]).unwrap();
        assert!(values(&(same.features - whole())).iter().all(|off| off.abs() < 1e-4));
        assert_eq!(values(&same.weights.unwrap()), [1.0; 24]);
    }

    #[test]
    fn a_shift_by_one_patch_moves_targets_by_one_patch() {
        // The second view shows what lies one patch to the right.
        let right = CropWindow {
            origin: [0.25, 0.0],
            side: 1.0,
        };
        let moved = resampled(&whole(), &[GRID; 2], &[CropWindow::WHOLE, right]).unwrap();
        let (features, weights) = (values(&moved.features), values(&moved.weights.unwrap()));
        for patch in 0..24 {
            let leaves = patch >= 12 && patch % 4 == 3;
            assert_eq!(weights[patch], f32::from(u8::from(!leaves)), "{patch}");
            if !leaves {
                let from = patch + usize::from(patch >= 12);
                assert!(
                    (features[patch] - from as f32).abs() < 1e-4,
                    "{patch}: {}",
                    features[patch]
                );
            }
        }
    }

    #[test]
    fn a_place_between_patches_has_the_mean_of_their_targets() {
        let between = CropWindow {
            origin: [0.125, 0.0],
            side: 1.0,
        };
        let moved = resampled(&whole(), &[GRID; 2], &[between; 2]).unwrap();
        assert!((values(&moved.features)[5] - 5.5).abs() < 1e-4);
    }

    /// Mean red and green of each patch of a picture, (patches, 2).
    fn mean_colours(picture: &RgbImage) -> Tensor {
        let side = picture.width() / GRID.w;
        let mean = |[row, column]: [u32; 2]| {
            let pixels = (0..side * side).map(|at| [column * side + at % side, row * side + at / side]);
            let colours = pixels.map(|[x, y]| picture.pixel(x, y).unwrap().map(f32::from));
            let sum = colours.fold([0.0; 2], |[r, g], [red, green, _]| [r + red, g + green]);
            sum.map(|sum| sum / (side * side) as f32)
        };
        let patches = (0..GRID.h).flat_map(|row| (0..GRID.w).map(move |column| [row, column]));
        Tensor::from_slice(&patches.flat_map(mean).collect::<Vec<_>>()).reshape([-1, 2])
    }

    #[test]
    fn targets_move_as_their_pictures_do() {
        // Red grows to the right and green downwards, evenly.
        let mut picture = RgbImage::new(8 * GRID.w, 8 * GRID.h);
        for (row, y) in picture.rows_mut().zip(0..) {
            for (pixel, x) in row.as_chunks_mut::<3>().0.iter_mut().zip(0..) {
                *pixel = [4 * x, 6 * y, 0];
            }
        }
        for (origin, side) in [([0.2, 0.1], 0.6), ([0.05, 0.15], 0.8)] {
            let window = CropWindow { origin, side };
            let mut cropped = RgbImage::default();
            window.crop(&picture, &mut cropped);
            let moved = resampled(&mean_colours(&picture), &[GRID], &[window]).unwrap();
            let off = values(&(moved.features - mean_colours(&cropped)));
            // Pixels are rounded.
            assert!(off.iter().all(|off| off.abs() < 0.6), "{window:?}: {off:?}");
        }
    }
}
