//! Constants of training, as a configuration file names them. The defaults are the paper's values, or StarVLA's where
//! the paper has none.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::model::config::Precision;
use crate::model::vggt::target::TargetRule;

/// Weights and forms of the losses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MethodSettings {
    /// Weight of the action loss, 1 in 3DThinkVLA (8); with 0, geometry alone is learned and nothing after the vision
    /// tower is computed.
    pub action_weight: f64,
    /// Weight of the geometry alignment, λ_a of 3DThinkVLA (8).
    pub geometry_weight: f64,
    /// Weight of the distillation, λ_d of 3DThinkVLA (8).
    pub reasoning_weight: f64,
    /// Weight of the cross-entropy, λ_3D of 3DThinkVLA (9).
    pub text_weight: f64,
    /// Comparison of the student's latent with the teacher's anchor.
    pub reasoning_loss: ReasoningLoss,
    /// Target of the distillation.
    pub distill: Distill,
    /// With privileged information: number of steps after which the network is asked again about each task.
    pub privileged_every: u64,
    /// With privileged information: maximum length of an answer (tokens).
    pub privileged_tokens: usize,
    /// Whether the alignment trains the geometry adapter alone and leaves the vision tower as it is.
    pub detach_geometry_tap: bool,
    /// Whether the teacher's whole prompt is run instead of what follows the task: slower, and equal up to rounding.
    pub plain_teacher: bool,
    /// Whether each decoder layer is run again in the backward pass, instead of keeping its activations: the same
    /// gradients with less memory and more time.
    pub recompute: bool,
}

impl Default for MethodSettings {
    fn default() -> Self {
        Self {
            action_weight: 1.0,
            geometry_weight: 0.5,
            reasoning_weight: 0.5,
            text_weight: 0.1,
            reasoning_loss: ReasoningLoss::Cosine,
            distill: Distill::Anchor,
            privileged_every: 200,
            privileged_tokens: 128,
            detach_geometry_tap: false,
            plain_teacher: false,
            recompute: false,
        }
    }
}

/// Comparison of the student's latent with the teacher's anchor. All but the cosine are means over channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReasoningLoss {
    /// 1 - cosine, 3DThinkVLA (6).
    #[default]
    Cosine,
    /// Squared difference.
    Mse,
    /// Squared difference below 1, absolute above.
    SmoothL1,
    /// Squared difference after a LayerNorm without weights.
    LayerNormMse,
}

/// Target of the distillation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Distill {
    /// No distillation.
    None,
    /// State of the teacher's reasoning anchor, 3DThinkVLA (6).
    #[default]
    Anchor,
    /// Token distribution at the action queries after the teacher has read its own reasoning: the alternative of Table
    /// 7.
    Privileged,
}

/// Settings of the geometry teacher and its targets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GeometrySettings {
    /// Safetensors file of VGGT's weights; required for geometry alignment, unless with points.
    pub vggt: Option<PathBuf>,
    /// Whether targets are the points of the simulator, which must already be in `cache`.
    pub points: bool,
    /// With points: whether targets have the class of what a ray hits instead of the surface's normal. This is
    /// pre-training of the backbone, which that of the paper already has, and no part of the paper's alignment.
    pub classes: bool,
    /// With points: additional weights of patches.
    pub class_weights: ClassWeights,
    /// Directory of the targets that were computed; epochs, runs and processes share it.
    pub cache: PathBuf,
    /// Type in which VGGT computes.
    pub compute: Precision,
    /// Conversion of its features to targets.
    pub rule: TargetRule,
}

impl Default for GeometrySettings {
    fn default() -> Self {
        Self {
            vggt: None,
            points: false,
            classes: false,
            class_weights: ClassWeights::default(),
            cache: "cache/geometry".into(),
            compute: Precision::Bfloat16,
            rule: TargetRule::default(),
        }
    }
}

/// Additional weights of patches in the alignment, on top of 1, by what they show.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClassWeights {
    /// Object that is to be moved.
    pub object: f64,
    /// Anything that stands or lies on the table.
    pub prop: f64,
}

/// Settings of AdamW.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OptimiserSettings {
    /// Peak learning rates.
    pub learning_rates: LearningRates,
    /// Decay rates of the means of gradients and of their squares.
    pub betas: [f64; 2],
    /// Term added to the root of the mean of squares.
    pub eps: f64,
    /// Fraction of the weights that is subtracted in each step, times the learning rate.
    pub weight_decay: f64,
    /// Maximum norm of gradients.
    pub max_norm: f64,
    /// Gradients that this norm is of.
    pub clip: Clip,
    /// Decay of an exponential moving average of the weights, which checkpoints then hold and measurements are made
    /// with; early on it is lower, (1 + step) / (10 + step). `None` disables it.
    pub ema: Option<f64>,
}

/// Gradients that are clipped to a norm together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clip {
    /// All gradients, as in StarVLA.
    #[default]
    Together,
    /// Each of the three groups by itself: the action head, which has nearly all of the norm early in training from
    /// scratch, then does not slow down the others.
    PerGroup,
}

impl Default for OptimiserSettings {
    fn default() -> Self {
        Self {
            learning_rates: LearningRates::default(),
            betas: [0.9, 0.95],
            eps: 1e-8,
            weight_decay: 1e-8,
            max_norm: 1.0,
            clip: Clip::Together,
            ema: None,
        }
    }
}

/// Peak learning rates of the three groups.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LearningRates {
    /// Adapters, projectors, and everything that is not in the other groups.
    pub base: f64,
    /// Qwen3-VL: vision tower, mergers, language model, embeddings.
    pub qwen_vl_interface: f64,
    /// Action head.
    pub action_model: f64,
}

impl Default for LearningRates {
    fn default() -> Self {
        Self {
            base: 2.5e-5,
            qwen_vl_interface: 1e-5,
            action_model: 2e-4,
        }
    }
}

/// Cosine with a floor after a linear warm-up from 0. It multiplies each group's own peak.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScheduleSettings {
    /// Final rate of the base group; the others end at the same fraction of their peak.
    pub min_lr: f64,
    /// Number of warm-up steps.
    pub warmup_steps: u64,
    /// Whether the rate stays at its peak from the first step to the last, as gradient checks need it.
    pub constant: bool,
}

impl Default for ScheduleSettings {
    fn default() -> Self {
        Self {
            min_lr: 1e-6,
            warmup_steps: 5000,
            constant: false,
        }
    }
}
