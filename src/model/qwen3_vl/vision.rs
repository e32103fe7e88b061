//! Qwen3-VL's vision tower: from patches to tokens of the language model's width.

use tch::{Kind, TchError, Tensor};

use crate::torch_ext::linear::Epilogue;

use super::vision_plan::VisionPlan;
use crate::model::config::VisionConfig;
use crate::model::error::ModelError;
use crate::model::layers::activation_checkpointing::backpropagate;
use crate::model::layers::attention::attend;
use crate::model::layers::parameters::{Init, Scope};
use crate::model::layers::rotary::Heads;
use crate::model::layers::{LayerNorm, Linear, LinearInit};

/// Epsilon of every LayerNorm in the tower; the reference fixes it in code.
const EPS: f64 = 1e-6;

/// The vision tower.
#[derive(Debug)]
pub struct VisionTower {
    patch_embed: Linear,
    pos_embed: Tensor,
    blocks: Vec<Block>,
    merger: Merger,
    deepstack_merger_list: Vec<Merger>,
    deepstack_visual_indexes: Vec<i64>,
}

/// Output of the vision tower.
#[derive(Debug)]
pub struct VisionOutput {
    /// Image embeddings of all images in order, (ΣN, D).
    pub tokens: Tensor,
    /// Additional embeddings for each of the first language layers, (ΣN, D) each.
    pub deepstack: Vec<Tensor>,
    /// Output of the tapped block, (Σpatches, C), in merge-block order; `None` where none is tapped.
    pub tap: Option<Tensor>,
}

impl VisionOutput {
    /// Returns the same values as leaves, which accumulate the gradients of later computations.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn leaves(&self) -> Result<Self, TchError> {
        let leaf = |x: &Tensor| Ok(x.f_detach()?.set_requires_grad(x.requires_grad()));
        Ok(Self {
            tokens: leaf(&self.tokens)?,
            deepstack: self.deepstack.iter().map(leaf).collect::<Result<_, TchError>>()?,
            tap: self.tap.as_ref().map(leaf).transpose()?,
        })
    }

    /// Propagates the gradients accumulated in leaves of this output back.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn backward(&self, leaves: &Self) -> Result<(), TchError> {
        let own = [&self.tokens].into_iter().chain(&self.deepstack).chain(&self.tap);
        let leaves = [&leaves.tokens].into_iter().chain(&leaves.deepstack).chain(&leaves.tap);
        let pairs: Vec<_> = own.zip(leaves).map(|(own, leaf)| (own, leaf.grad())).collect();
        backpropagate(&pairs)
    }

    /// Returns the same tensors without copying.
    pub fn shared(&self) -> Self {
        Self {
            tokens: self.tokens.shallow_clone(),
            deepstack: self.deepstack.iter().map(Tensor::shallow_clone).collect(),
            tap: self.tap.as_ref().map(Tensor::shallow_clone),
        }
    }
}

impl VisionTower {
    /// Builds the tower from `visual.*`.
    pub fn new(scope: Scope, config: &VisionConfig) -> Result<Self, ModelError> {
        let c = config;
        let patch_shape = [
            c.hidden_size,
            c.in_channels,
            c.temporal_patch_size,
            c.patch_size,
            c.patch_size,
        ];
        let deepstack = scope.at("deepstack_merger_list");
        Ok(Self {
            patch_embed: Linear::of_patches(scope.at("patch_embed.proj"), patch_shape)?,
            pos_embed: scope.at("pos_embed").tensor(
                "weight",
                &[c.num_position_embeddings, c.hidden_size],
                Init::Normal { std: 0.02 },
            )?,
            blocks: (0..c.depth)
                .map(|i| Block::new(scope.at("blocks").at(i), c))
                .collect::<Result<_, _>>()?,
            merger: Merger::new(scope.at("merger"), c, NormPlace::BeforeMerging)?,
            deepstack_merger_list: (0..c.deepstack_visual_indexes.len())
                .map(|i| Merger::new(deepstack.at(i), c, NormPlace::AfterMerging))
                .collect::<Result<_, _>>()?,
            deepstack_visual_indexes: c.deepstack_visual_indexes.clone(),
        })
    }

    /// Runs the tower; `tap` is the block (from 0) whose output is returned as it is.
    ///
    /// # Shapes
    /// pixels: (Σpatches, channels x frames x side x side), in merge-block order
    pub fn forward(&self, pixels: &Tensor, plan: &VisionPlan, tap: Option<i64>) -> Result<VisionOutput, ModelError> {
        self.merge(&self.block_states(pixels, plan, tap)?, tap)
    }

    /// Runs patch embedding and blocks; returns the outputs of the blocks that are read, in their order.
    ///
    /// # Shapes
    /// pixels: as in [`Self::forward`] → (Σpatches, C) each
    pub fn block_states(
        &self,
        pixels: &Tensor,
        plan: &VisionPlan,
        tap: Option<i64>,
    ) -> Result<Vec<Tensor>, ModelError> {
        let read = self.blocks_read(tap);
        let mut x = self.patch_embed.forward(pixels)?;
        x = x.f_add(&plan.interpolate(&self.pos_embed)?)?;
        let mut states = Vec::with_capacity(read.len());
        for (block, index) in self.blocks.iter().zip(0..) {
            x = block.forward(&x, plan)?;
            if read.contains(&index) {
                states.push(x.shallow_clone());
            }
        }
        Ok(states)
    }

    /// Runs the mergers on the outputs of [`Self::block_states`].
    pub fn merge(&self, states: &[Tensor], tap: Option<i64>) -> Result<VisionOutput, ModelError> {
        let read = self.blocks_read(tap);
        if states.len() != read.len() {
            return Err(ModelError::Observation {
                expected: format!("outputs of the vision blocks {read:?}"),
                found: format!("{} outputs", states.len()),
            });
        }
        let of = |index: i64| {
            read.iter()
                .position(|read| *read == index)
                .and_then(|at| states.get(at))
        };
        let deepstack = self.deepstack_visual_indexes.iter().zip(&self.deepstack_merger_list);
        let last = states.last().ok_or_else(|| ModelError::Observation {
            expected: "a vision tower of at least one block".into(),
            found: "none".into(),
        })?;
        Ok(VisionOutput {
            tokens: self.merger.forward(last)?,
            deepstack: deepstack
                .filter_map(|(index, merger)| Some(merger.forward(of(*index)?)))
                .collect::<Result<_, _>>()?,
            tap: tap.and_then(of).map(Tensor::shallow_clone),
        })
    }

    /// Returns the tapped one of the outputs of [`Self::block_states`].
    pub fn tapped(&self, states: &[Tensor], tap: i64) -> Result<Tensor, ModelError> {
        let at = self.blocks_read(Some(tap)).iter().position(|index| *index == tap);
        let found = at.and_then(|at| states.get(at));
        found.map(Tensor::shallow_clone).ok_or_else(|| ModelError::Observation {
            expected: format!("the output of vision block {tap}"),
            found: format!("{} outputs of a tower of {} blocks", states.len(), self.blocks.len()),
        })
    }

    /// Returns the blocks whose outputs are read, in order: those of deepstack, the tapped one, and the last.
    fn blocks_read(&self, tap: Option<i64>) -> Vec<i64> {
        let count = self.blocks.len() as i64;
        let mut read: Vec<i64> = self.deepstack_visual_indexes.iter().copied().chain(tap).collect();
        read.push(count - 1);
        read.retain(|index| (0..count).contains(index));
        read.sort_unstable();
        read.dedup();
        read
    }
}

#[derive(Debug)]
struct Block {
    norm1: LayerNorm,
    attn: Attention,
    norm2: LayerNorm,
    mlp: Mlp,
}

impl Block {
    fn new(scope: Scope, c: &VisionConfig) -> Result<Self, ModelError> {
        Ok(Self {
            norm1: LayerNorm::new(scope.at("norm1"), c.hidden_size, EPS)?,
            attn: Attention::new(scope.at("attn"), c)?,
            norm2: LayerNorm::new(scope.at("norm2"), c.hidden_size, EPS)?,
            mlp: Mlp::new(scope.at("mlp"), c)?,
        })
    }

    fn forward(&self, x: &Tensor, plan: &VisionPlan) -> Result<Tensor, TchError> {
        let x = self.attn.forward(&self.norm1.forward(x)?, x, plan)?;
        self.mlp.forward(&self.norm2.forward(&x)?, &x)
    }
}

#[derive(Debug)]
struct Attention {
    qkv: Linear,
    proj: Linear,
    heads: i64,
}

impl Attention {
    fn new(scope: Scope, c: &VisionConfig) -> Result<Self, ModelError> {
        Ok(Self {
            qkv: Linear::new(scope.at("qkv"), c.hidden_size, 3 * c.hidden_size, LinearInit::Backbone)?,
            proj: Linear::new(scope.at("proj"), c.hidden_size, c.hidden_size, LinearInit::Backbone)?,
            heads: c.num_heads,
        })
    }

    /// Adds the attention's output to `residual`; patches attend to all patches of their own image only.
    fn forward(&self, x: &Tensor, residual: &Tensor, plan: &VisionPlan) -> Result<Tensor, TchError> {
        let (rows, width) = x.size2()?;
        let head = width / self.heads;
        let mut qkv = self.qkv.forward(x)?;
        let in_place = self.qkv.is_packed();
        if in_place {
            let heads = Heads {
                queries: self.heads,
                keys: self.heads,
            };
            plan.rotation.apply_to_rows(&mut qkv, heads, None)?;
        }
        let qkv = qkv.f_reshape([rows, 3, self.heads, head])?;
        let turned = |x: Tensor| match in_place {
            true => Ok(x),
            false => plan.rotation.apply_in_float(&x),
        };
        let (q, k) = (turned(qkv.f_select(1, 0)?)?, turned(qkv.f_select(1, 1)?)?);
        let v = qkv.f_select(1, 2)?;
        let mut outputs = Vec::with_capacity(plan.runs.len());
        for run in &plan.runs {
            let of_run = |x: &Tensor| -> Result<Tensor, TchError> {
                x.f_narrow(0, run.start, run.images * run.patches)?
                    .f_reshape([run.images, run.patches, self.heads, head])?
                    .f_transpose(1, 2)
            };
            let attended = attend([&of_run(&q)?, &of_run(&k)?, &of_run(&v)?], None, false)?;
            outputs.push(attended.f_reshape([-1, width])?);
        }
        let attended = match outputs.as_slice() {
            [one] => one.shallow_clone(),
            several => Tensor::f_cat(several, 0)?,
        };
        self.proj.forward_then(&attended, Epilogue::Add(residual))
    }
}

#[derive(Debug)]
struct Mlp {
    linear_fc1: Linear,
    linear_fc2: Linear,
}

impl Mlp {
    fn new(scope: Scope, c: &VisionConfig) -> Result<Self, ModelError> {
        let (width, inner) = (c.hidden_size, c.intermediate_size);
        Ok(Self {
            linear_fc1: Linear::new(scope.at("linear_fc1"), width, inner, LinearInit::Backbone)?,
            linear_fc2: Linear::new(scope.at("linear_fc2"), inner, width, LinearInit::Backbone)?,
        })
    }

    /// Adds the MLP's output to `residual`.
    fn forward(&self, x: &Tensor, residual: &Tensor) -> Result<Tensor, TchError> {
        let inner = self.linear_fc1.forward_then(x, Epilogue::GeluTanh)?;
        self.linear_fc2.forward_then(&inner, Epilogue::Add(residual))
    }
}

/// Position of a merger's normalisation.
#[derive(Debug, Clone, Copy, PartialEq)]
enum NormPlace {
    BeforeMerging,
    AfterMerging,
}

/// Merges a block of neighbouring patches to one language token.
#[derive(Debug)]
struct Merger {
    norm: LayerNorm,
    linear_fc1: Linear,
    linear_fc2: Linear,
    place: NormPlace,
    merged: i64,
}

impl Merger {
    fn new(scope: Scope, c: &VisionConfig, place: NormPlace) -> Result<Self, ModelError> {
        let merged = c.hidden_size * c.spatial_merge_size * c.spatial_merge_size;
        let normalised = match place {
            NormPlace::BeforeMerging => c.hidden_size,
            NormPlace::AfterMerging => merged,
        };
        Ok(Self {
            norm: LayerNorm::new(scope.at("norm"), normalised, EPS)?,
            linear_fc1: Linear::new(scope.at("linear_fc1"), merged, merged, LinearInit::Backbone)?,
            linear_fc2: Linear::new(scope.at("linear_fc2"), merged, c.out_hidden_size, LinearInit::Backbone)?,
            place,
            merged,
        })
    }

    /// # Shapes
    /// (patches, C), in merge-block order → (patches / merge², D)
    fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let merge = |x: &Tensor| x.f_reshape([-1, self.merged]);
        let x = match self.place {
            NormPlace::BeforeMerging => merge(&self.norm.forward(x)?)?,
            NormPlace::AfterMerging => self.norm.forward(&merge(x)?)?,
        };
        self.linear_fc2
            .forward(&self.linear_fc1.forward_then(&x, Epilogue::Gelu)?)
    }
}

impl VisionPlan {
    /// Interpolates the learned positions between the grid points of the table.
    ///
    /// # Shapes
    /// table: (positions, C) → (Σpatches, C)
    fn interpolate(&self, table: &Tensor) -> Result<Tensor, TchError> {
        let kind: Kind = table.f_kind()?;
        let corner = |i: i64| -> Result<Tensor, TchError> {
            table
                .f_index_select(0, &self.corners.f_select(0, i)?)?
                .f_mul(&self.shares.f_select(0, i)?.f_to_kind(kind)?)
        };
        corner(0)?.f_add(&corner(1)?)?.f_add(&corner(2)?)?.f_add(&corner(3)?)
    }
}
