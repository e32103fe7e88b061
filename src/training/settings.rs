//! The constants of training, as a configuration file names them. What is not named has the paper's value, or where the
//! paper is silent StarVLA's.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::model::config::Precision;
use crate::model::vggt::target::TargetRule;

/// How the two streams become one loss.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MethodSettings {
    /// Weight of the action loss, 1 in 3DThinkVLA (8); with 0 geometry alone is learned, and nothing behind the vision
    /// tower is computed.
    pub action_weight: f64,
    /// Weight of the geometry alignment, λ_a of 3DThinkVLA (8).
    pub geometry_weight: f64,
    /// Weight of the distillation, λ_d of 3DThinkVLA (8).
    pub reasoning_weight: f64,
    /// Weight of the cross-entropy, λ_3D of 3DThinkVLA (9).
    pub text_weight: f64,
    /// How the student's latent is compared with the teacher's anchor.
    pub reasoning_loss: ReasoningLoss,
    /// What the teacher teaches.
    pub distill: Distill,
    /// With privileged information: steps after which the network is asked again about each task.
    pub privileged_every: u64,
    /// With privileged information: longest answer (tokens).
    pub privileged_tokens: usize,
    /// Whether the alignment trains the geometry adapter alone and leaves the vision tower as it is.
    pub detach_geometry_tap: bool,
    /// Runs the teacher's whole prompt instead of what follows the task: slower, and equal up to rounding.
    pub plain_teacher: bool,
    /// Runs each decoder layer again when gradients flow back, instead of keeping what happened inside: the same
    /// gradients for less memory and more time.
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

/// How the student's latent is compared with the teacher's anchor. All but the cosine are means over channels.
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
    /// Squared difference of what is left after a LayerNorm without weights.
    LayerNormMse,
}

/// What the teacher teaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Distill {
    /// Nothing.
    None,
    /// The state of its reasoning anchor, 3DThinkVLA (6).
    #[default]
    Anchor,
    /// What it would say at the action queries after having read its own reasoning: the rival of 3DThinkVLA's Table 7.
    Privileged,
}

/// The geometry teacher and its targets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GeometrySettings {
    /// VGGT's weights, a safetensors file; needed where geometry is aligned, unless with points.
    pub vggt: Option<PathBuf>,
    /// Targets are the points of the simulator, which lie in `cache` already.
    pub points: bool,
    /// With points: whether targets tell what a ray meets instead of the surface's normal. That is pre-training of the
    /// backbone, which the paper's has behind it, and no part of the paper's alignment.
    pub classes: bool,
    /// With points: what patches count.
    pub class_weights: ClassWeights,
    /// Directory of the targets that were made; epochs, runs and processes share it.
    pub cache: PathBuf,
    /// Type VGGT computes in.
    pub compute: Precision,
    /// How its features become targets.
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

/// What a patch counts more than 1 in the alignment, for what it shows.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClassWeights {
    /// What is to be moved.
    pub object: f64,
    /// What stands or lies on the table.
    pub prop: f64,
}

/// AdamW.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OptimiserSettings {
    /// Peak learning rates.
    pub learning_rates: LearningRates,
    /// Decay of the means of gradients and of their squares.
    pub betas: [f64; 2],
    /// What is added to the root of the mean of squares.
    pub eps: f64,
    /// Share of the weights that is taken away each step, times the learning rate.
    pub weight_decay: f64,
    /// Largest norm of gradients.
    pub max_norm: f64,
    /// Which gradients that norm is of.
    pub clip: Clip,
    /// Decay of an exponential mean of the weights, which checkpoints then hold and measurements are made with; early on
    /// it is less, (1 + step) / (10 + step). Nothing keeps no mean.
    pub ema: Option<f64>,
}

/// Which gradients are clipped to a norm together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clip {
    /// All of them, as StarVLA does.
    #[default]
    Together,
    /// Each of the three groups by itself: the action head, which has nearly all of the norm early in training from
    /// scratch, does not slow down the others then.
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
    /// Adapters, projectors, and whatever the others do not name.
    pub base: f64,
    /// Qwen3-VL: vision tower, mergers, language model, embeddings.
    pub qwen_vl_interface: f64,
    /// The action head.
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

/// Cosine with a floor behind a linear warm-up from 0. It multiplies each group's own peak.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScheduleSettings {
    /// What the base group's rate ends at; the others end at the same share of their peak.
    pub min_lr: f64,
    /// Steps of warm-up.
    pub warmup_steps: u64,
    /// Peak from the first step to the last, as gradient checks want it.
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

/// What is trained.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(tag = "train", rename_all = "snake_case", deny_unknown_fields)]
pub enum Selection {
    /// Everything.
    #[default]
    Everything,
    /// What was added to Qwen3-VL: adapters, projectors, fusion and action head. Modules of Qwen3-VL can be added by
    /// checkpoint path; a path stands for all that lies under it.
    Added {
        /// Paths of further modules, e.g. `model.language_model.layers.27`.
        #[serde(default)]
        also: Vec<String>,
    },
    /// Modules by checkpoint path alone; a path stands for all that lies under it.
    Only {
        /// Their paths.
        modules: Vec<String>,
    },
    /// Everything but modules by checkpoint path.
    AllBut {
        /// Their paths.
        modules: Vec<String>,
    },
    /// Linear maps of Qwen3-VL learn a difference of low rank; what was added to Qwen3-VL is trained whole.
    Lora {
        /// Rank of the difference.
        rank: i64,
        /// The difference is multiplied by alpha / rank.
        alpha: f64,
        /// Names of the linear maps, each the last part of its path (`q_proj`) or more of it.
        modules: Vec<String>,
    },
}
