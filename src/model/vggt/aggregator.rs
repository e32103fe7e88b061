//! Alternating attention: within each view, then across all views of a scene.

use tch::{Kind, TchError, Tensor};

use super::block::{Block, BlockShape};
use super::config::VggtConfig;
use super::dino::{DinoV2, TOKEN_INIT};
use crate::model::error::ModelError;
use crate::model::layers::parameters::{ParameterSource, Scope};
use crate::model::layers::rotary::Rotation;

/// Mean and standard deviation of ImageNet's channels (red, green, blue), by which images are normalised.
const IMAGENET: [[f32; 3]; 2] = [[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]];
/// Epsilon of every LayerNorm outside DINOv2.
const EPS: f64 = 1e-5;

/// The aggregator. Fields have the names of the keys.
#[derive(Debug)]
pub struct Aggregator {
    patch_embed: DinoV2,
    camera_token: Tensor,
    register_token: Tensor,
    frame_blocks: Vec<Block>,
    global_blocks: Vec<Block>,
    config: VggtConfig,
}

/// Selection of the layers whose features are returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layers {
    /// All layers, as VGGT's own heads need them.
    All,
    /// The last layer only.
    Last,
}

/// Output of the aggregator for B scenes of S views.
#[derive(Debug)]
pub struct Features {
    /// DINOv2's patch tokens, (B·S, h·w, C).
    pub dino_patch_tokens: Tensor,
    /// Features of each selected layer, first to last: frame and global stream concatenated, (B, S, patch_start + h·w,
    /// 2C).
    pub layers: Vec<Tensor>,
    /// Rows and columns of patches.
    pub grid: [i64; 2],
    /// Number of tokens of a view before its patches.
    pub patch_start: i64,
}

impl Aggregator {
    /// Builds the aggregator from `aggregator.*`.
    ///
    /// # Errors
    /// When the sizes are invalid or a tensor is not available.
    pub fn from_source(config: &VggtConfig, source: &dyn ParameterSource) -> Result<Self, ModelError> {
        config.validate()?;
        let scope = Scope::new(source).at("aggregator");
        let VggtConfig {
            embed_dim,
            num_register_tokens,
            ..
        } = *config;
        let shape = BlockShape {
            width: embed_dim,
            heads: config.num_heads,
            eps: EPS,
            qk_norm: true,
        };
        let blocks = |name| -> Result<Vec<Block>, ModelError> {
            (0..config.depth)
                .map(|i| Block::new(scope.at(name).at(i), shape))
                .collect()
        };
        Ok(Self {
            patch_embed: DinoV2::new(scope.at("patch_embed"), config)?,
            camera_token: scope.tensor("camera_token", &[1, 2, 1, embed_dim], TOKEN_INIT)?,
            register_token: scope.tensor("register_token", &[1, 2, num_register_tokens, embed_dim], TOKEN_INIT)?,
            frame_blocks: blocks("frame_blocks")?,
            global_blocks: blocks("global_blocks")?,
            config: *config,
        })
    }

    /// Returns the sizes.
    pub fn config(&self) -> &VggtConfig {
        &self.config
    }

    /// Runs B scenes of S views each; the first view of a scene is its reference view.
    ///
    /// # Shapes
    /// images: (B, S, 3, H, W), RGB in 0 .. 1, H and W multiples of a patch
    ///
    /// # Errors
    /// When the images have another shape, or libtorch fails.
    pub fn forward(&self, images: &Tensor, layers: Layers) -> Result<Features, ModelError> {
        let scenes = self.check(images)?;
        let Scenes { count, views, grid } = scenes;
        let [h, w] = grid;
        let dino_patch_tokens = self.patch_embed.forward(&self.normalise(images)?.f_flatten(0, 1)?)?;
        let mut x = Tensor::f_cat(
            &[
                scenes.special(&self.camera_token)?,
                scenes.special(&self.register_token)?,
                dino_patch_tokens.shallow_clone(),
            ],
            1,
        )?;
        let (_, tokens, width) = x.size3()?;
        let [of_view, of_scene] = self.rotations(&scenes)?;
        let mut kept = Vec::new();
        for (frame_block, global_block) in self.frame_blocks.iter().zip(&self.global_blocks) {
            let frame = frame_block.forward(&x, Some(&of_view))?;
            let global = global_block.forward(&frame.f_reshape([count, views * tokens, width])?, Some(&of_scene))?;
            x = global.f_reshape([count * views, tokens, width])?;
            if layers == Layers::Last {
                kept.clear();
            }
            kept.push(Tensor::f_cat(&[&frame, &x], -1)?.f_reshape([count, views, tokens, 2 * width])?);
        }
        Ok(Features {
            dino_patch_tokens,
            layers: kept,
            grid: [h, w],
            patch_start: self.config.patch_start(),
        })
    }

    fn check(&self, images: &Tensor) -> Result<Scenes, ModelError> {
        let patch = self.config.patch_size;
        match images.size()[..] {
            [count, views, 3, height, width]
                if count > 0 && views > 0 && height > 0 && width > 0 && height % patch == 0 && width % patch == 0 =>
            {
                Ok(Scenes {
                    count,
                    views,
                    grid: [height / patch, width / patch],
                })
            }
            _ => Err(ModelError::Observation {
                expected: format!("scenes x views x 3 x height x width, both sides multiples of {patch}"),
                found: format!("{:?}", images.size()),
            }),
        }
    }

    fn normalise(&self, images: &Tensor) -> Result<Tensor, TchError> {
        let (kind, device) = self.patch_embed.placed();
        let [mean, std] = IMAGENET;
        let channels = |values: &[f32; 3]| -> Result<Tensor, TchError> {
            Tensor::f_from_slice(values)?.f_reshape([3, 1, 1])?.f_to_device(device)
        };
        images
            .f_to_device(device)?
            .f_to_kind(Kind::Float)?
            .f_sub(&channels(&mean)?)?
            .f_div(&channels(&std)?)?
            .f_to_kind(kind)
    }

    /// Returns the angles of the tokens of one view, and of all views of a scene, concatenated. Camera and register
    /// tokens are at (0, 0), patches from (1, 1) on.
    fn rotations(&self, scenes: &Scenes) -> Result<[Rotation; 2], ModelError> {
        let [h, w] = scenes.grid;
        let special = (0..self.config.patch_start()).map(|_| (0, 0));
        let patches = (1..=h).flat_map(|row| (1..=w).map(move |column| (row, column)));
        let of_view: Vec<_> = special.chain(patches).collect();
        let of_scene = of_view.repeat(usize::try_from(scenes.views).unwrap_or_default());
        let (head, device) = (
            self.config.embed_dim / self.config.num_heads,
            self.patch_embed.placed().1,
        );
        let rotation = |cells: &[_]| Rotation::of_halves(cells, head, self.config.rope_freq, device);
        Ok([rotation(&of_view)?, rotation(&of_scene)?])
    }
}

/// Sizes of the images.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Scenes {
    count: i64,
    views: i64,
    grid: [i64; 2],
}

impl Scenes {
    /// Expands a special token: the first view of each scene gets its first copy, all others the second.
    ///
    /// # Shapes
    /// (1, 2, N, C) → (B·S, N, C)
    fn special(&self, token: &Tensor) -> Result<Tensor, TchError> {
        let copies = |copy: i64, views: i64| -> Result<Tensor, TchError> {
            token.f_narrow(1, copy, 1)?.f_expand([self.count, views, -1, -1], false)
        };
        Tensor::f_cat(&[copies(0, 1)?, copies(1, self.views - 1)?], 1)?.f_flatten(0, 1)
    }
}
