//! Tensors of the vision tower that depend on the images' sizes only, created once for a set of sizes and reused.

use tch::{Device, Tensor};

use crate::camera::patches::Grid;

use crate::model::config::VisionConfig;
use crate::model::error::ModelError;
use crate::model::layers::rotary::Rotation;

/// Positions of all patches of all images, in merge-block order.
#[derive(Debug)]
pub struct VisionPlan {
    /// Indices of the four learned positions around each patch, (4, Σpatches).
    pub(in crate::model) corners: Tensor,
    /// Weights of these positions, (4, Σpatches, 1).
    pub(in crate::model) shares: Tensor,
    /// Rotary angles of queries and keys.
    pub(in crate::model) rotation: Rotation,
    /// Runs of consecutive images with equally many patches, which attend as one batch.
    pub(in crate::model) runs: Vec<Run>,
}

/// A run of consecutive images with equally many patches.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::model) struct Run {
    /// Index of the first row.
    pub start: i64,
    /// Number of images.
    pub images: i64,
    /// Number of patches of one image.
    pub patches: i64,
}

impl VisionPlan {
    /// Creates the plan for images of these sizes, in order.
    ///
    /// # Errors
    /// When a grid is empty, has more than one frame, or does not divide into merge blocks.
    pub fn new(grids: &[Grid], config: &VisionConfig, device: Device) -> Result<Self, ModelError> {
        let side = config.positions_side();
        let mut cells = Vec::new();
        let mut corners: [Vec<i64>; 4] = Default::default();
        let mut shares: [Vec<f32>; 4] = Default::default();
        let mut runs: Vec<Run> = Vec::new();
        for grid in grids {
            let (height, width) = (i64::from(grid.h), i64::from(grid.w));
            check(*grid, config.spatial_merge_size)?;
            let start = cells.len() as i64;
            match runs.last_mut() {
                Some(run) if run.patches == height * width => run.images += 1,
                _ => runs.push(Run {
                    start,
                    images: 1,
                    patches: height * width,
                }),
            }
            let (rows, columns) = (spread(height, side), spread(width, side));
            for (row, column) in merge_block_order(height, width, config.spatial_merge_size) {
                cells.push((row, column));
                let (Some(r), Some(c)) = (rows.get(row as usize), columns.get(column as usize)) else {
                    continue;
                };
                let around = [
                    (r.floor, c.floor, (1.0 - r.share) * (1.0 - c.share)),
                    (r.floor, c.ceil, (1.0 - r.share) * c.share),
                    (r.ceil, c.floor, r.share * (1.0 - c.share)),
                    (r.ceil, c.ceil, r.share * c.share),
                ];
                for ((index, share), (row, column, value)) in corners.iter_mut().zip(&mut shares).zip(around) {
                    index.push(row * side + column);
                    share.push(value);
                }
            }
        }
        let patches = cells.len() as i64;
        Ok(Self {
            corners: Tensor::f_from_slice(&corners.concat())?
                .f_reshape([4, patches])?
                .f_to_device(device)?,
            shares: Tensor::f_from_slice(&shares.concat())?
                .f_reshape([4, patches, 1])?
                .f_to_device(device)?,
            rotation: Rotation::of_patches(&cells, config.hidden_size / config.num_heads, device)?,
            runs,
        })
    }
}

fn check(grid: Grid, merge: i64) -> Result<(), ModelError> {
    let (height, width) = (i64::from(grid.h), i64::from(grid.w));
    let divides = |n: i64| n > 0 && n % merge == 0;
    if grid.t == 1 && divides(height) && divides(width) {
        return Ok(());
    }
    Err(ModelError::Observation {
        expected: format!("one frame of patches whose rows and columns are multiples of {merge}"),
        found: format!("{} frames of {height} x {width} patches", grid.t),
    })
}

/// Returns rows and columns of one image's patches, block by block.
fn merge_block_order(height: i64, width: i64, merge: i64) -> impl Iterator<Item = (i64, i64)> {
    (0..height / merge).flat_map(move |block_row| {
        (0..width / merge).flat_map(move |block_column| {
            (0..merge).flat_map(move |row| {
                (0..merge).map(move |column| (block_row * merge + row, block_column * merge + column))
            })
        })
    })
}

/// Table rows between which a patch row lies.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Between {
    floor: i64,
    ceil: i64,
    share: f32,
}

/// Returns `count` evenly spaced points over a table of `side` rows, rounded like `torch.linspace`.
fn spread(count: i64, side: i64) -> Vec<Between> {
    let end = (side - 1) as f32;
    let step = if count > 1 { end / (count - 1) as f32 } else { 0.0 };
    (0..count)
        .map(|i| {
            let at = if i < count / 2 || count == 1 {
                step * i as f32
            } else {
                end - step * (count - 1 - i) as f32
            };
            let floor = at as i64;
            Between {
                floor,
                ceil: (floor + 1).min(side - 1),
                share: at - floor as f32,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_of_a_block_are_neighbours() {
        let order: Vec<_> = merge_block_order(2, 4, 2).collect();
        let expected = [(0, 0), (0, 1), (1, 0), (1, 1), (0, 2), (0, 3), (1, 2), (1, 3)];
        assert_eq!(order, expected);
    }

    #[test]
    fn the_table_is_spread_from_its_first_to_its_last_row() {
        let points = spread(3, 48);
        assert_eq!((points[0].floor, points[0].share), (0, 0.0));
        assert_eq!((points[1].floor, points[1].ceil, points[1].share), (23, 24, 0.5));
        assert_eq!((points[2].floor, points[2].ceil, points[2].share), (47, 47, 0.0));
    }

    #[test]
    fn a_table_row_for_every_patch_row_is_taken_as_it_is() {
        assert!(
            spread(8, 8)
                .iter()
                .zip(0..)
                .all(|(b, i)| b.floor == i && b.share == 0.0)
        );
    }
}
