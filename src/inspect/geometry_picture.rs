//! Picture of the geometry latents: shows which patches the geometry adapter distinguishes.
//!
//! The first three principal components over the patches of all views become red, green and blue, one pixel per patch,
//! with the views side by side. Equal colours in two views mean similar latents.

use tch::{Device, Kind, Tensor};

use crate::camera::patches::{Grid, raster_from_merge_block};
use crate::camera::rgb::RgbImage;

use crate::model::error::ModelError;

/// Number of colour channels.
const COLOURS: usize = 3;
/// Value of a component that does not vary.
const MIDDLE: u8 = 128;
/// Share of the largest component's variance below which another component is rounding noise.
const ROUNDING: f64 = 1e-6;
/// Share of the latents' sum of squares below which the largest component itself is rounding noise.
const CONSTANT: f64 = 1e-12;

/// Draws the latents of one moment. Views of lower height are padded with black at the bottom.
///
/// The components are those of the centred latents, scaled from their smallest to their largest value over all views.
/// Signs are chosen such that the largest entry of each direction is positive, so that equal latents give equal
/// colours.
///
/// # Shapes
/// latents: (Σpatches, width), the views in order, each in merge-block order
///
/// # Errors
/// When the grids do not match the latents, or libtorch fails.
pub fn draw(latents: &Tensor, grids: &[Grid], merge: u32) -> Result<RgbImage, ModelError> {
    let patches: usize = grids.iter().map(Grid::patches).sum();
    if latents.size2()?.0 != patches as i64 || patches == 0 {
        return Err(ModelError::Observation {
            expected: format!("geometry latents of {patches} patches, at least one"),
            found: format!("latents of shape {:?}", latents.size()),
        });
    }
    let colours = components(latents)?;
    let width = grids.iter().map(|grid| grid.w).sum();
    let height = grids.iter().map(|grid| grid.h).max().unwrap_or(0);
    let mut picture = RgbImage::new(width, height);
    let mut colours = colours.iter();
    let mut left = 0;
    for grid in grids {
        for (index, colour) in colours.by_ref().take(grid.patches()).enumerate() {
            let raster = raster_from_merge_block(index, *grid, merge);
            let (row, column) = (raster / grid.w as usize, raster % grid.w as usize);
            let at = COLOURS * (row * width as usize + left + column);
            if let Some(pixel) = picture.data_mut().get_mut(at..at + COLOURS) {
                pixel.copy_from_slice(colour);
            }
        }
        left += grid.w as usize;
    }
    Ok(picture)
}

/// Returns the colour of each patch.
fn components(latents: &Tensor) -> Result<Vec<[u8; COLOURS]>, ModelError> {
    let latents = latents.f_to_device(Device::Cpu)?.f_to_kind(Kind::Float)?;
    let centred = latents.f_sub(&latents.f_mean_dim(&[0i64][..], true, Kind::Float)?)?;
    let mut colours = vec![[MIDDLE; COLOURS]; centred.size2()?.0 as usize];
    let constant = CONSTANT * latents.f_square()?.f_sum(Kind::Double)?.f_double_value(&[])?;
    for (channel, scores) in scores(&centred, constant)?.iter().enumerate() {
        let bounds = scores
            .iter()
            .copied()
            .fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), v| {
                (low.min(v), high.max(v))
            });
        let (low, high) = bounds;
        for (colour, score) in colours.iter_mut().zip(scores) {
            if let Some(value) = colour.get_mut(channel) {
                *value = (255.0 * (score - low) / (high - low)).round() as u8;
            }
        }
    }
    Ok(colours)
}

/// Returns the scores of the first three components for each patch; fewer if only those vary by more than `constant`.
///
/// The covariance has width² entries; where there are fewer patches than channels, the same components come from the
/// patches² products of the latents with each other.
///
/// # Shapes
/// centred: (patches, width)
fn scores(centred: &Tensor, constant: f64) -> Result<Vec<Vec<f32>>, ModelError> {
    let (patches, width) = centred.size2()?;
    let turned = centred.f_transpose(0, 1)?;
    let of_patches = patches <= width;
    let products = if of_patches {
        centred.f_matmul(&turned)?
    } else {
        turned.f_matmul(centred)?
    };
    let (variances, vectors) = products.f_linalg_eigh("L")?;
    let variances = Vec::<f64>::try_from(variances.f_to_kind(Kind::Double)?)?;
    let threshold = constant.max(ROUNDING * variances.last().copied().unwrap_or(0.0));
    let mut scores = Vec::with_capacity(COLOURS);
    for (column, variance) in variances.iter().enumerate().rev().take(COLOURS) {
        if *variance <= threshold {
            break;
        }
        let vector = vectors.f_select(1, column as i64)?;
        let direction = match of_patches {
            true => turned.f_matmul(&vector)?,
            false => vector,
        };
        let largest = direction.f_take(&direction.f_abs()?.f_argmax(None, false)?)?;
        let along = centred.f_matmul(&direction)?;
        let signed = along.f_mul(&largest.f_sign()?)?;
        scores.push(Vec::<f32>::try_from(signed)?);
    }
    Ok(scores)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIEW: Grid = Grid { t: 1, h: 2, w: 4 };

    /// Latents of two views whose three channels encode a patch's position in the picture, with decreasing spread, in
    /// the merge-block order of a 2 x 4 grid.
    fn latents(width: i64) -> Tensor {
        let mut rows = Vec::new();
        for view in 0..2 {
            for (row, column) in [(0, 0), (0, 1), (1, 0), (1, 1), (0, 2), (0, 3), (1, 2), (1, 3)] {
                let mut latent = vec![0f32; width as usize];
                latent[0] = 4.0 * (column as f32 - 1.5);
                latent[1] = 3.0 * (row as f32 - 0.5);
                latent[2] = if view == 0 { 0.5 } else { -0.5 };
                rows.extend(latent);
            }
        }
        Tensor::from_slice(&rows).reshape([-1, width])
    }

    fn expected(row: u32, column: u32) -> [u8; 3] {
        let (view, column) = (column / 4, column % 4);
        [85 * column as u8, 255 * row as u8, if view == 0 { 255 } else { 0 }]
    }

    #[test]
    fn components_are_colours_in_raster_order_with_the_views_side_by_side() {
        // More patches than channels, and fewer.
        for width in [3, 64] {
            let picture = draw(&latents(width), &[VIEW, VIEW], 2).unwrap();
            assert_eq!((picture.width(), picture.height()), (8, 2));
            for row in 0..2 {
                for column in 0..8 {
                    let found = picture.pixel(column, row).unwrap();
                    assert_eq!(
                        found,
                        expected(row, column),
                        "width {width}, row {row}, column {column}"
                    );
                }
            }
        }
    }

    #[test]
    fn both_views_share_their_components_and_their_scale() {
        let near = Tensor::from_slice(&[1f32, 1.0, 1.0, 1.0, 3.0, 3.0, 3.0, 3.0]).reshape([8, 1]);
        let square = Grid { t: 1, h: 2, w: 2 };
        let picture = draw(&near, &[square, square], 2).unwrap();
        assert_eq!(picture.pixel(0, 0), Some([0, MIDDLE, MIDDLE]));
        assert_eq!(picture.pixel(2, 0), Some([255, MIDDLE, MIDDLE]));
    }

    #[test]
    fn latents_that_are_all_alike_are_grey() {
        let picture = draw(&Tensor::full([8, 16], 0.1, (Kind::Float, Device::Cpu)), &[VIEW], 2).unwrap();
        assert!(picture.data().iter().all(|byte| *byte == MIDDLE));
    }

    #[test]
    fn turning_the_latents_into_other_channels_changes_no_contrast() {
        // A rotation of the channels keeps the components up to sign, so distances from the middle are compared.
        let turn = Tensor::from_slice(&[0.6f32, -0.8, 0.0, 0.8, 0.6, 0.0, 0.0, 0.0, 1.0]).reshape([3, 3]);
        let picture = draw(&latents(3).matmul(&turn), &[VIEW, VIEW], 2).unwrap();
        for row in 0..2 {
            for column in 0..8 {
                let contrast = |pixel: [u8; 3]| pixel.map(|v| v.min(255 - v));
                assert_eq!(
                    contrast(picture.pixel(column, row).unwrap()),
                    contrast(expected(row, column))
                );
            }
        }
    }

    #[test]
    fn a_lower_view_ends_in_black() {
        let high = Grid { t: 1, h: 4, w: 2 };
        let low = Grid { t: 1, h: 2, w: 2 };
        let rising = Tensor::arange(12, (Kind::Float, Device::Cpu)).reshape([12, 1]);
        let picture = draw(&rising, &[high, low], 2).unwrap();
        assert_eq!((picture.width(), picture.height()), (4, 4));
        assert_eq!(picture.pixel(2, 2), Some([0; 3]));
        assert_eq!(picture.pixel(3, 1), Some([255, MIDDLE, MIDDLE]));
    }

    #[test]
    fn latents_of_other_images_are_refused() {
        let error = draw(&latents(3), &[VIEW], 2).unwrap_err().to_string();
        assert!(error.contains("8 patches") && error.contains("[16, 3]"), "{error}");
    }
}
