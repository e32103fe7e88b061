//! DINOv2 with registers, VGGT's encoder of patches.

use tch::{Kind, TchError, Tensor};

use super::block::{Block, BlockShape};
use super::config::VggtConfig;
use crate::model::error::ModelError;
use crate::model::layers::parameters::{Init, Scope};
use crate::model::layers::{LayerNorm, Linear};

/// Epsilon of every LayerNorm in DINOv2.
const EPS: f64 = 1e-6;
/// Initialisation of the learned tokens before training.
pub(super) const TOKEN_INIT: Init = Init::Normal { std: 1e-6 };

/// The vision transformer. Fields have the names of the keys.
#[derive(Debug)]
pub(super) struct DinoV2 {
    patch_embed: Linear,
    cls_token: Tensor,
    register_tokens: Tensor,
    pos_embed: Tensor,
    blocks: Vec<Block>,
    norm: LayerNorm,
    patch: i64,
    positions_side: i64,
}

impl DinoV2 {
    /// Builds the transformer from `aggregator.patch_embed.*`.
    pub fn new(scope: Scope, config: &VggtConfig) -> Result<Self, ModelError> {
        let VggtConfig {
            embed_dim,
            patch_size,
            num_register_tokens,
            ..
        } = *config;
        let side = config.positions_side();
        let shape = BlockShape {
            width: embed_dim,
            heads: config.num_heads,
            eps: EPS,
            qk_norm: false,
        };
        // Replaces masked patches in DINOv2's own training; every file has it, but it is not used here.
        let _ = scope.tensor("mask_token", &[1, embed_dim], Init::Zeros)?;
        Ok(Self {
            patch_embed: Linear::of_patches(scope.at("patch_embed.proj"), [embed_dim, 3, patch_size, patch_size])?,
            cls_token: scope.tensor("cls_token", &[1, 1, embed_dim], TOKEN_INIT)?,
            register_tokens: scope.tensor("register_tokens", &[1, num_register_tokens, embed_dim], TOKEN_INIT)?,
            pos_embed: scope.tensor(
                "pos_embed",
                &[1, 1 + side * side, embed_dim],
                Init::Normal { std: 0.02 },
            )?,
            blocks: (0..config.vit_depth)
                .map(|i| Block::new(scope.at("blocks").at(i), shape))
                .collect::<Result<_, _>>()?,
            norm: LayerNorm::new(scope.at("norm"), embed_dim, EPS)?,
            patch: patch_size,
            positions_side: side,
        })
    }

    /// Returns type and device of the parameters.
    pub fn placed(&self) -> (Kind, tch::Device) {
        (self.cls_token.kind(), self.cls_token.device())
    }

    /// # Shapes
    /// images: (N, 3, H, W), normalised, H and W multiples of a patch → patches behind the final norm,
    /// (N, H/patch · W/patch, C), row by row
    pub fn forward(&self, images: &Tensor) -> Result<Tensor, TchError> {
        let (count, channels, height, width) = images.size4()?;
        let (h, w) = (height / self.patch, width / self.patch);
        let rows = images
            .f_reshape([count, channels, h, self.patch, w, self.patch])?
            .f_permute([0, 2, 4, 1, 3, 5])?
            .f_reshape([count, h * w, -1])?;
        let patches = self.patch_embed.forward(&rows)?;
        let all = |token: &Tensor| token.f_expand([count, -1, -1], false);
        let tokens = Tensor::f_cat(&[all(&self.cls_token)?, patches], 1)?.f_add(&self.positions(h, w)?)?;
        // Registers are inserted between class token and patches and have no position.
        let mut x = Tensor::f_cat(
            &[
                tokens.f_narrow(1, 0, 1)?,
                all(&self.register_tokens)?,
                tokens.f_narrow(1, 1, h * w)?,
            ],
            1,
        )?;
        for block in &self.blocks {
            x = block.forward(&x, None)?;
        }
        let special = x.size3()?.1 - h * w;
        self.norm.forward(&x.f_narrow(1, special, h * w)?)
    }

    /// Returns the learned positions of the class token and of h x w patches, interpolated (bicubic, antialiased) from
    /// those of the square image they were learned for.
    ///
    /// # Shapes
    /// → (1, 1 + h·w, C)
    fn positions(&self, h: i64, w: i64) -> Result<Tensor, TchError> {
        let side = self.positions_side;
        if (h, w) == (side, side) {
            return Ok(self.pos_embed.shallow_clone());
        }
        let kind = self.pos_embed.f_kind()?;
        let table = self.pos_embed.f_to_kind(Kind::Float)?;
        let grid = table
            .f_narrow(1, 1, side * side)?
            .f_reshape([1, side, side, -1])?
            .f_permute([0, 3, 1, 2])?
            .f_internal_upsample_bicubic2d_aa([h, w], false, None, None)?
            .f_permute([0, 2, 3, 1])?
            .f_reshape([1, h * w, -1])?;
        Tensor::f_cat(&[table.f_narrow(1, 0, 1)?, grid], 1)?.f_to_kind(kind)
    }
}
