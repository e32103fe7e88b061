//! The geometry target: VGGT's features of the views, on the policy's grid of patches.
//!
//! As in Spatial-Forcing, all views of a sample form one scene that begins with the first view; the last layer's patch
//! tokens are resized bilinearly to the grid of the vision tower.

use serde::{Deserialize, Serialize};
use tch::{Kind, TchError, Tensor};

use super::aggregator::{Aggregator, Features, Layers};
use crate::camera::resize::Resizer;
use crate::camera::rgb::RgbImage;
use crate::contract::{Filter, Resize};
use crate::model::error::ModelError;

/// Weight of the position embedding, if it is added.
const UV_SHARE: f64 = 0.1;
/// Base of the position embedding's frequencies.
const UV_BASE: f64 = 100.0;

/// Resolution of VGGT's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// 518 px: 37 x 37 patches, VGGT's training resolution.
    #[default]
    Full,
    /// 224 px: 16 x 16 patches, about a fifth of the computation.
    Small,
}

impl Resolution {
    /// Returns the side of the square image (px).
    pub fn side(self) -> u32 {
        match self {
            Self::Full => 518,
            Self::Small => 224,
        }
    }
}

/// Settings of the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TargetRule {
    /// Resolution of VGGT's input.
    pub resolution: Resolution,
    /// Whether the centres of the corner patches of both grids are aligned, rather than the grids' outer edges.
    pub align_corners: bool,
    /// Whether Spatial-Forcing's sine-cosine position embedding is added before resizing.
    pub uv_embedding: bool,
}

impl Default for TargetRule {
    fn default() -> Self {
        Self {
            resolution: Resolution::Full,
            align_corners: true,
            uv_embedding: false,
        }
    }
}

/// VGGT as the geometry teacher. It is frozen: no gradients are recorded.
#[derive(Debug)]
pub struct Teacher {
    aggregator: Aggregator,
    rule: TargetRule,
}

impl Teacher {
    /// Creates a teacher with these settings.
    ///
    /// # Errors
    /// When the resolution is not a multiple of the aggregator's patches.
    pub fn new(aggregator: Aggregator, rule: TargetRule) -> Result<Self, ModelError> {
        let (side, patch) = (i64::from(rule.resolution.side()), aggregator.config().patch_size);
        if side % patch != 0 {
            return Err(ModelError::Observation {
                expected: format!("an aggregator whose patches divide views of {side} px"),
                found: format!("patches of {patch} px"),
            });
        }
        Ok(Self { aggregator, rule })
    }

    /// Returns the width of the target.
    pub fn width(&self) -> i64 {
        self.aggregator.config().feature_width()
    }

    /// Computes the target for B samples of V views on a grid of h x w patches per view.
    ///
    /// # Shapes
    /// views: B samples of V each, as recorded, without augmentation, beginning with the first view → (B·V, h·w,
    /// width), patches row by row, in 32 bits
    ///
    /// # Errors
    /// When samples have different numbers of views, or a view cannot be resized.
    pub fn target(&self, samples: &[&[RgbImage]], grid: [i64; 2]) -> Result<Tensor, ModelError> {
        let _no_grad = tch::no_grad_guard();
        let images = scenes(samples, self.rule.resolution)?;
        let features = self.aggregator.forward(&images, Layers::Last)?;
        let Some(last) = features.layers.last() else {
            return Err(ModelError::metadata("depth", "at least 1", 0));
        };
        let mut map = patch_map(last, &features)?;
        if self.rule.uv_embedding {
            map = map.f_add(&uv_embedding(&map)?)?;
        }
        let resized = resize(&map, grid, self.rule.align_corners)?;
        Ok(resized.f_flatten(2, 3)?.f_transpose(1, 2)?)
    }
}

/// Prepares views for the aggregator: resized (Pillow's bicubic filter) to a square, RGB in 0 .. 1.
///
/// # Shapes
/// B samples of V views → (B, V, 3, side, side), in 32 bits
///
/// # Errors
/// When samples have different numbers of views or none, or a view cannot be resized.
pub fn scenes(samples: &[&[RgbImage]], resolution: Resolution) -> Result<Tensor, ModelError> {
    let refuse = |expected: &str, found: String| ModelError::Observation {
        expected: expected.into(),
        found,
    };
    let views = samples.first().map_or(0, |sample| sample.len());
    if views == 0 || samples.iter().any(|sample| sample.len() != views) {
        let found: Vec<_> = samples.iter().map(|sample| sample.len()).collect();
        return Err(refuse(
            "samples of equally many views, at least one",
            format!("{found:?}"),
        ));
    }
    let side = resolution.side();
    let rule = Resize {
        width: side,
        height: side,
        filter: Filter::Bicubic,
    };
    let (mut resizer, mut resized) = (Resizer::default(), RgbImage::default());
    let mut bytes = Vec::with_capacity(samples.len() * views * (side * side * 3) as usize);
    for view in samples.iter().copied().flatten() {
        resizer
            .resize(view, rule, &mut resized)
            .map_err(|e| refuse("views that can be resized", e.to_string()))?;
        bytes.extend_from_slice(resized.data());
    }
    let side = i64::from(side);
    Ok(Tensor::f_from_slice(&bytes)?
        .f_reshape([samples.len() as i64, views as i64, side, side, 3])?
        .f_permute([0, 1, 4, 2, 3])?
        .f_to_kind(Kind::Float)?
        .f_div_scalar(255.0)?)
}

/// Returns the patch tokens of a layer as maps.
///
/// # Shapes
/// layer: (B, S, patch_start + h·w, 2C) → (B·S, 2C, h, w), in 32 bits
pub fn patch_map(layer: &Tensor, features: &Features) -> Result<Tensor, TchError> {
    let [h, w] = features.grid;
    layer
        .f_narrow(2, features.patch_start, h * w)?
        .f_flatten(0, 1)?
        .f_transpose(1, 2)?
        .f_unflatten(2, [h, w])?
        .f_to_kind(Kind::Float)
}

/// Resizes a map bilinearly, without antialiasing.
///
/// # Shapes
/// (N, C, …, …) → (N, C, h, w)
pub fn resize(map: &Tensor, grid: [i64; 2], align_corners: bool) -> Result<Tensor, TchError> {
    map.f_contiguous()?
        .f_upsample_bilinear2d(grid, align_corners, None, None)
}

/// Returns sines and cosines of each patch's position, times [`UV_SHARE`]. Positions are measured from the image's
/// centre in units of half its diagonal; the first half of the channels encodes the column, the second the row.
///
/// # Shapes
/// a map (…, C, h, w) → (C, h, w)
fn uv_embedding(map: &Tensor) -> Result<Tensor, TchError> {
    let (_, channels, h, w) = map.size4()?;
    let diagonal = ((h * h + w * w) as f64).sqrt();
    let quarter = channels / 4;
    // Patch i of n has its centre at (2i + 1 - n) / n of half the side.
    let places = |n: i64| (0..n).map(move |i| (2 * i + 1 - n) as f64 / diagonal);
    let waves = |place: f64| {
        let angle = move |i: i64| place / UV_BASE.powf(i as f64 / quarter as f64);
        let sines = (0..quarter).map(move |i| angle(i).sin());
        sines.chain((0..quarter).map(move |i| angle(i).cos()))
    };
    let mut values = Vec::with_capacity((channels * h * w) as usize);
    for row in places(h) {
        for column in places(w) {
            values.extend(waves(column).chain(waves(row)).map(|wave| (wave * UV_SHARE) as f32));
        }
    }
    Tensor::f_from_slice(&values)?
        .f_reshape([h, w, channels])?
        .f_permute([2, 0, 1])?
        .f_to_device(map.device())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::layers::parameters::Random;
    use crate::model::vggt::VggtConfig;

    const TINY: VggtConfig = VggtConfig {
        img_size: 56,
        patch_size: 14,
        embed_dim: 16,
        num_heads: 2,
        vit_depth: 1,
        depth: 2,
        num_register_tokens: 4,
        rope_freq: 100.0,
    };

    fn teacher(rule: TargetRule) -> Teacher {
        Teacher::new(Aggregator::from_source(&TINY, &Random { seed: 7 }).unwrap(), rule).unwrap()
    }

    fn view(shade: u8) -> RgbImage {
        let bytes = (0..8 * 6 * 3u8)
            .map(|i| i.wrapping_mul(37).wrapping_add(shade))
            .collect();
        RgbImage::from_raw(8, 6, bytes).unwrap()
    }

    fn values(x: &Tensor) -> Vec<f32> {
        x.flatten(0, -1).try_into().unwrap()
    }

    #[test]
    fn a_ramp_is_resized_by_hand() {
        let ramp = Tensor::from_slice(&[0.0f32, 1.0, 2.0, 3.0]).reshape([1, 1, 1, 4]);
        // Aligned corners: positions 0, 1.5, 3. Aligned edges: positions 1/6, 1.5, 17/6.
        assert_eq!(values(&resize(&ramp, [1, 3], true).unwrap()), [0.0, 1.5, 3.0]);
        let edges = values(&resize(&ramp, [1, 3], false).unwrap());
        for (found, expected) in edges.iter().zip([1.0 / 6.0, 1.5, 17.0 / 6.0]) {
            assert!((found - expected).abs() < 1e-6, "{edges:?}");
        }
        let square = Tensor::from_slice(&[0.0f32, 2.0, 4.0, 8.0]).reshape([1, 1, 2, 2]);
        let middle = values(&resize(&square, [3, 3], true).unwrap());
        assert_eq!(middle, [0.0, 1.0, 2.0, 2.0, 3.5, 5.0, 4.0, 6.0, 8.0]);
    }

    #[test]
    fn special_tokens_are_dropped_and_patches_keep_their_places() {
        // Two special tokens, then a view of 1 x 3 patches of width 1.
        let layer = Tensor::from_slice(&[9.0f32, 9.0, 1.0, 2.0, 3.0]).reshape([1, 1, 5, 1]);
        let features = Features {
            dino_patch_tokens: Tensor::zeros([1, 3, 1], tch::kind::FLOAT_CPU),
            layers: Vec::new(),
            grid: [1, 3],
            patch_start: 2,
        };
        let map = patch_map(&layer, &features).unwrap();
        assert_eq!(map.size(), [1, 1, 1, 3]);
        assert_eq!(values(&map), [1.0, 2.0, 3.0]);
    }

    #[test]
    fn every_view_gets_a_feature_for_each_patch_of_the_grid() {
        let teacher = teacher(TargetRule {
            resolution: Resolution::Small,
            ..TargetRule::default()
        });
        let (first, second) = ([view(0), view(90)], [view(10), view(20)]);
        let target = teacher.target(&[&first, &second], [4, 6]).unwrap();
        assert_eq!(target.size(), [4, 24, 32]);
        assert_eq!((target.kind(), target.requires_grad()), (Kind::Float, false));
        assert_eq!(teacher.width(), 32);
        assert!(bool::try_from(target.isfinite().all()).unwrap());
    }

    #[test]
    fn a_grid_as_fine_as_vggt_s_is_taken_as_it_is() {
        let rule = TargetRule {
            resolution: Resolution::Small,
            ..TargetRule::default()
        };
        let sample = [view(3)];
        let aligned = teacher(rule).target(&[&sample], [16, 16]).unwrap();
        let edges = TargetRule {
            align_corners: false,
            ..rule
        };
        assert_eq!(aligned, teacher(edges).target(&[&sample], [16, 16]).unwrap());
        assert_ne!(
            teacher(rule).target(&[&sample], [8, 8]).unwrap(),
            teacher(edges).target(&[&sample], [8, 8]).unwrap()
        );
    }

    #[test]
    fn views_are_fed_whole_as_squares_of_colours_from_0_to_1() {
        let mut white = RgbImage::new(5, 3);
        white.data_mut().fill(255);
        let images = scenes(&[&[white, RgbImage::new(7, 9)]], Resolution::Full).unwrap();
        assert_eq!(images.size(), [1, 2, 3, 518, 518]);
        assert_eq!(images.get(0).get(0).min().double_value(&[]), 1.0);
        assert_eq!(images.get(0).get(1).max().double_value(&[]), 0.0);
        let red = RgbImage::from_raw(1, 1, vec![255, 0, 51]).unwrap();
        let images = scenes(&[&[red]], Resolution::Small).unwrap();
        for (channel, shade) in [(0, 1.0), (1, 0.0), (2, 0.2)] {
            let found = images.get(0).get(0).get(channel).mean(Kind::Float).double_value(&[]);
            assert!((found - shade).abs() < 1e-6, "{channel}: {found}");
        }
    }

    #[test]
    fn the_place_is_told_by_waves_measured_on_the_diagonal() {
        let map = Tensor::zeros([1, 8, 3, 4], tch::kind::FLOAT_CPU);
        let embedding = uv_embedding(&map).unwrap();
        assert_eq!(embedding.size(), [8, 3, 4]);
        // Row 0, column 3 of 3 x 4: the column's centre is at 3/5 of half the diagonal, the row's at -2/5.
        let (column, row) = (0.6f64, -0.4f64);
        let expected = [
            column.sin(),
            (column / 10.0).sin(),
            column.cos(),
            (column / 10.0).cos(),
            row.sin(),
            (row / 10.0).sin(),
            row.cos(),
            (row / 10.0).cos(),
        ];
        for (channel, expected) in (0..).zip(expected) {
            let found = embedding.double_value(&[channel, 0, 3]);
            assert!((found - 0.1 * expected).abs() < 1e-6, "{channel}: {found}");
        }
        let rule = TargetRule {
            resolution: Resolution::Small,
            uv_embedding: true,
            ..TargetRule::default()
        };
        let sample = [view(3)];
        let with = teacher(rule).target(&[&sample], [16, 16]).unwrap();
        let without = teacher(TargetRule {
            uv_embedding: false,
            ..rule
        });
        let added = with - without.target(&[&sample], [16, 16]).unwrap();
        let map = Tensor::zeros([1, 32, 16, 16], tch::kind::FLOAT_CPU);
        let expected = uv_embedding(&map).unwrap().flatten(1, 2).transpose(0, 1);
        assert!((added - expected).abs().max().double_value(&[]) < 1e-5);
    }

    #[test]
    fn samples_with_different_numbers_of_views_are_refused() {
        let (one, two) = ([view(0)], [view(0), view(1)]);
        let error = scenes(&[&one, &two], Resolution::Small).unwrap_err().to_string();
        assert!(error.contains("[1, 2]"), "{error}");
        assert!(scenes(&[], Resolution::Small).is_err());
    }
}
