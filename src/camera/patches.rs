//! Cuts an image into patches, the input rows of the vision tower.

use super::rgb::RgbImage;
use super::smart_resize::SizeRule;

/// Preprocessing of a checkpoint's image processor: size, normalisation and patches.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PatchRule {
    /// Side of a patch (px).
    pub patch: u32,
    /// Frames in a patch; a still image is repeated.
    pub temporal: u32,
    /// Side of the block of patches that is merged into one token (patches).
    pub merge: u32,
    /// Least area fed to the network (px²).
    pub min_pixels: u64,
    /// Largest area fed to the network (px²).
    pub max_pixels: u64,
    /// Mean of each channel, on a scale of 0 to 1.
    pub mean: [f32; 3],
    /// Standard deviation of each channel, on a scale of 0 to 1.
    pub std: [f32; 3],
}

impl PatchRule {
    /// Rule of the released Qwen3-VL processor.
    pub const QWEN3_VL: Self = Self {
        patch: 16,
        temporal: 2,
        merge: 2,
        min_pixels: 65_536,
        max_pixels: 16_777_216,
        mean: [0.5; 3],
        std: [0.5; 3],
    };

    /// Rule for the size that images are resized to.
    pub fn size_rule(&self) -> SizeRule {
        SizeRule {
            factor: self.patch.saturating_mul(self.merge),
            min_pixels: self.min_pixels,
            max_pixels: self.max_pixels,
        }
    }

    /// Values in one row: channels · temporal · patch · patch.
    pub fn row_len(&self) -> usize {
        3 * self.temporal as usize * (self.patch as usize).pow(2)
    }

    fn check(&self) -> Result<(), PatchError> {
        let whole =
            (1..=256).contains(&self.patch) && (1..=16).contains(&self.temporal) && (1..=16).contains(&self.merge);
        let numbers = self.mean.iter().all(|m| m.is_finite()) && self.std.iter().all(|s| s.is_finite() && *s > 0.0);
        if whole && numbers {
            Ok(())
        } else {
            Err(PatchError::Rule(*self))
        }
    }
}

/// Number of patches of one image in time, rows and columns (`image_grid_thw`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    /// Patches in time; 1 for a still image.
    pub t: u32,
    /// Rows of patches.
    pub h: u32,
    /// Columns of patches.
    pub w: u32,
}

impl Grid {
    /// Number of patches, t · h · w.
    pub fn patches(&self) -> usize {
        self.t as usize * self.h as usize * self.w as usize
    }
}

/// Patches of one image.
///
/// # Shapes
/// `pixel_values`: (`grid.patches()`, 3 · temporal · patch · patch); a row is (channel, time, y, x). Rows come in
/// merge-block order: block row, block column, row in block, column in block.
#[derive(Debug, Clone, PartialEq)]
pub struct Patches {
    /// Normalised values, row after row.
    pub pixel_values: Vec<f32>,
    /// Grid of patches in the image.
    pub grid: Grid,
}

/// Errors of cutting an image into patches.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum PatchError {
    /// A side is zero or no multiple of the merge block.
    #[error(
        "image for the network: expected sides that are multiples of {factor} (patch times merge), found {width}x{height}; apply smart_resize first"
    )]
    Size {
        /// Required divisor of both sides (px).
        factor: u32,
        /// Width found (px).
        width: u32,
        /// Height found (px).
        height: u32,
    },
    /// The rule itself is invalid.
    #[error(
        "preprocessor: expected a patch of 1..=256, temporal and merge of 1..=16, finite mean and positive std, found {0:?}"
    )]
    Rule(PatchRule),
}

/// Cuts an image whose sides are multiples of `patch · merge`. A byte `v` becomes `(v - 255 mean) / (255 std)` in single
/// precision, the fused arithmetic of the Qwen3-VL reference.
///
/// # Errors
/// When a side is no positive multiple of `patch · merge` or the rule is invalid.
pub fn patchify(image: &RgbImage, rule: &PatchRule) -> Result<Patches, PatchError> {
    let mut pixel_values = Vec::new();
    let grid = Cutter::new(*rule)?.append(image, &mut pixel_values)?;
    Ok(Patches { pixel_values, grid })
}

/// Patch cutter: a rule with its table of normalised values.
#[derive(Debug, Clone)]
pub struct Cutter {
    rule: PatchRule,
    /// Normalised value of every byte, for each channel.
    values: [[f32; 256]; 3],
}

impl Cutter {
    /// Computes the table of normalised values.
    ///
    /// # Errors
    /// When the rule is invalid.
    pub fn new(rule: PatchRule) -> Result<Self, PatchError> {
        rule.check()?;
        let mut values = [[0.0; 256]; 3];
        for ((table, mean), std) in values.iter_mut().zip(rule.mean).zip(rule.std) {
            for (byte, value) in (0_u8..=255).zip(table) {
                *value = (f32::from(byte) - mean * 255.0) / (std * 255.0);
            }
        }
        Ok(Self { rule, values })
    }

    /// The rule.
    pub fn rule(&self) -> &PatchRule {
        &self.rule
    }

    /// Appends the patches of `image` to `out`.
    ///
    /// # Shapes
    /// Appends (`grid.patches()`, [`PatchRule::row_len`]); see [`Patches`].
    ///
    /// # Errors
    /// When a side is not a positive multiple of `patch · merge`.
    pub fn append(&self, image: &RgbImage, out: &mut Vec<f32>) -> Result<Grid, PatchError> {
        let PatchRule { patch, merge, .. } = self.rule;
        let (width, height, factor) = (image.width(), image.height(), patch * merge);
        if width == 0 || height == 0 || !width.is_multiple_of(factor) || !height.is_multiple_of(factor) {
            return Err(PatchError::Size { factor, width, height });
        }
        let grid = Grid {
            t: 1,
            h: height / patch,
            w: width / patch,
        };
        out.reserve(grid.patches() * self.rule.row_len());
        let area = (patch as usize).pow(2);
        let mut planes = vec![0.0; 3 * area];
        for index in 0..grid.patches() {
            self.cut(image, raster_from_merge_block(index, grid, merge), &mut planes);
            for plane in planes.chunks_exact(area) {
                (0..self.rule.temporal).for_each(|_| out.extend_from_slice(plane));
            }
        }
        Ok(grid)
    }

    /// Fills the red, green and blue planes with the patch at raster index `raster`.
    fn cut(&self, image: &RgbImage, raster: usize, planes: &mut [f32]) {
        let patch = self.rule.patch as usize;
        let width = image.width() as usize;
        let columns = width / patch;
        let (top, left) = (raster / columns * patch, raster % columns * patch);
        let [red, green, blue] = three(planes.chunks_exact_mut(patch * patch));
        let lines = red
            .chunks_exact_mut(patch)
            .zip(green.chunks_exact_mut(patch))
            .zip(blue.chunks_exact_mut(patch));
        let [of_red, of_green, of_blue] = &self.values;
        for (y, ((red, green), blue)) in lines.enumerate() {
            let start = ((top + y) * width + left) * 3;
            let pixels = image.data().get(start..start + patch * 3).unwrap_or_default();
            for ((([r, g, b], red), green), blue) in pixels.as_chunks::<3>().0.iter().zip(red).zip(green).zip(blue) {
                *red = value_of(of_red, *r);
                *green = value_of(of_green, *g);
                *blue = value_of(of_blue, *b);
            }
        }
    }
}

fn three<'a>(mut parts: impl Iterator<Item = &'a mut [f32]>) -> [&'a mut [f32]; 3] {
    std::array::from_fn(|_| parts.next().unwrap_or_default())
}

fn value_of(table: &[f32; 256], byte: u8) -> f32 {
    table.get(usize::from(byte)).copied().unwrap_or_default()
}

/// Raster index (row by row) of the patch at position `index` of the merge-block order of one frame.
pub fn raster_from_merge_block(index: usize, grid: Grid, merge: u32) -> usize {
    let (merge, columns) = (merge as usize, grid.w as usize);
    let (block, inside) = (index / (merge * merge), index % (merge * merge));
    let blocks_across = columns / merge;
    let row = block / blocks_across * merge + inside / merge;
    let column = block % blocks_across * merge + inside % merge;
    row * columns + column
}

/// Position in merge-block order of the patch with raster index `index`: the inverse of [`raster_from_merge_block`].
pub fn merge_block_from_raster(index: usize, grid: Grid, merge: u32) -> usize {
    let (merge, columns) = (merge as usize, grid.w as usize);
    let (row, column) = (index / columns, index % columns);
    let block = row / merge * (columns / merge) + column / merge;
    block * merge * merge + row % merge * merge + column % merge
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merge_block_order_keeps_the_four_patches_of_a_token_together() {
        let grid = Grid { t: 1, h: 4, w: 6 };
        let order: Vec<usize> = (0..24).map(|i| raster_from_merge_block(i, grid, 2)).collect();
        assert_eq!(order[..8], [0, 1, 6, 7, 2, 3, 8, 9]);
        assert_eq!(order[12..16], [12, 13, 18, 19]);
    }

    #[test]
    fn raster_and_merge_block_order_are_inverse() {
        for (h, w, merge) in [(16, 16, 2), (2, 8, 2), (30, 40, 2), (9, 6, 3), (5, 7, 1)] {
            let grid = Grid { t: 1, h, w };
            for index in 0..grid.patches() {
                assert_eq!(
                    merge_block_from_raster(raster_from_merge_block(index, grid, merge), grid, merge),
                    index
                );
            }
        }
    }

    #[test]
    fn rows_are_channel_first_and_frames_repeat() {
        // Every pixel encodes its position: red its column, green its row.
        let mut image = RgbImage::new(64, 32);
        for (i, pixel) in image.data_mut().as_chunks_mut::<3>().0.iter_mut().enumerate() {
            *pixel = [(i % 64) as u8, (i / 64) as u8, 200];
        }
        let rule = PatchRule {
            mean: [0.0; 3],
            std: [1.0 / 255.0; 3],
            ..PatchRule::QWEN3_VL
        };
        let Patches { pixel_values, grid } = patchify(&image, &rule).unwrap();
        assert_eq!(grid, Grid { t: 1, h: 2, w: 4 });
        let at = |patch: usize, channel: usize, time: usize, y: usize, x: usize| {
            pixel_values[patch * 1536 + channel * 512 + time * 256 + y * 16 + x].round()
        };
        for time in 0..2 {
            assert_eq!(at(0, 0, time, 5, 9), 9.0);
            assert_eq!(at(0, 1, time, 5, 9), 5.0);
            assert_eq!(at(0, 2, time, 5, 9), 200.0);
            assert_eq!(
                at(2, 0, time, 0, 0),
                0.0,
                "third row of the list is the patch below the first"
            );
            assert_eq!(at(2, 1, time, 0, 0), 16.0);
            assert_eq!(
                at(4, 0, time, 0, 0),
                32.0,
                "the next block begins two patches to the right"
            );
        }
    }

    #[test]
    fn bytes_become_minus_one_to_one() {
        let mut image = RgbImage::new(32, 32);
        image.data_mut()[..6].copy_from_slice(&[255, 0, 128, 127, 1, 2]);
        let values = patchify(&image, &PatchRule::QWEN3_VL).unwrap().pixel_values;
        assert_eq!([values[0], values[512], values[1]], [1.0, -1.0, -0.5 / 127.5]);
    }

    #[test]
    fn sides_and_rules_that_do_not_fit_are_refused() {
        let error = patchify(&RgbImage::new(224, 230), &PatchRule::QWEN3_VL).unwrap_err();
        assert!(
            error.to_string().contains("multiples of 32") && error.to_string().contains("224x230"),
            "{error}"
        );
        for rule in [
            PatchRule {
                patch: 0,
                ..PatchRule::QWEN3_VL
            },
            PatchRule {
                merge: u32::MAX,
                ..PatchRule::QWEN3_VL
            },
            PatchRule {
                std: [0.5, 0.0, 0.5],
                ..PatchRule::QWEN3_VL
            },
        ] {
            assert_eq!(patchify(&RgbImage::new(32, 32), &rule), Err(PatchError::Rule(rule)));
        }
    }
}
