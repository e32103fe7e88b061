//! The `thinkvla` object of `config.json`: the parts that are added to Qwen3-VL, with their options.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::model::error::ModelError;
use crate::model::thinkvla::adapters::AdapterNorm;
use crate::model::thinkvla::fusion::Fusion;
use crate::model::thinkvla::pool::GeoPool;

/// Fields that 3DThinkVLA adds to Qwen3-VL. Without `geometry` and `reasoning` it is the plain regression baseline,
/// Qwen3-VL-OFT.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ThinkVlaConfig {
    /// Style of the prompt.
    #[serde(default)]
    pub prompt_style: PromptStyle,
    /// Template of the user's text; its placeholders depend on the style.
    pub prompt: String,
    /// Form in which the network gets the robot's state.
    #[serde(default)]
    pub proprio: Proprio,
    /// Number of state values with `proprio: projected`, 0 otherwise.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub state_dim: i64,
    /// Text of the action query, a single token that is repeated K times.
    pub action_token: String,
    /// Id of the action query.
    pub action_token_id: i64,
    /// Point at which the language model's states are read.
    #[serde(default)]
    pub hidden_tap: HiddenTap,
    /// Latent geometry perception; absent in checkpoints without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub geometry: Option<GeometryConfig>,
    /// Reasoning anchor and its latent; absent in checkpoints without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<ReasoningConfig>,
    /// Number of actions in a chunk, K.
    pub chunk_len: i64,
    /// Number of values in an action.
    pub action_dim: i64,
    /// Inner width of the action head.
    pub head_hidden: i64,
    /// Number of residual blocks of the action head.
    pub head_blocks: i64,
    /// Smallest image area of the vision tower (px²).
    pub min_pixels: i64,
    /// Largest image area of the vision tower (px²).
    pub max_pixels: i64,
    /// Default type in which the backbone computes.
    pub compute: Precision,
}

/// The geometry adapter and its connection to the action queries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GeometryConfig {
    /// Vision block (from 0) whose output the adapter reads.
    pub tap_block: i64,
    /// Width of the latent, equal to the geometry teacher's features.
    pub width: i64,
    /// Position of the adapter's normalisation.
    #[serde(default)]
    pub norm: AdapterNorm,
    /// Pooling of the patches' latents to one condition, or one for each query.
    #[serde(default)]
    pub pool: GeoPool,
}

/// The reasoning anchors, their adapter and its connection to the action queries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReasoningConfig {
    /// Anchors in the order in which they follow each other in the prompt; empty where the state is read at the last
    /// token of the task.
    pub anchors: Vec<AnchorToken>,
    /// Token whose state is the reasoning state.
    #[serde(default)]
    pub read_at: ReadAt,
    /// Whether an adapter computes the latent from the state; otherwise the state itself is the latent, and there is no
    /// teacher.
    #[serde(default = "default_true")]
    pub adapter: bool,
    /// Point at which the anchors' states are read, if it differs from the other states'.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchor_tap: Option<HiddenTap>,
    /// Fusion of the latent into the queries' states.
    #[serde(default)]
    pub fusion: Fusion,
    /// Prompt of the teacher in training, one text or several from which each step draws one.
    #[serde(default)]
    pub teacher_prompt: TeacherTexts,
    /// Position of the teacher's anchors.
    #[serde(default)]
    pub teacher_anchor: TeacherAnchor,
}

/// Token whose state is the reasoning state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReadAt {
    /// The anchors.
    #[default]
    Anchor,
    /// The last token of the task, at the position of `{anchor}` in the prompt; for the teacher, the last token of its
    /// text.
    TaskEnd,
}

fn default_true() -> bool {
    true
}

fn is_zero(value: &i64) -> bool {
    *value == 0
}

/// One reasoning anchor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnchorToken {
    /// Text, a single token.
    pub token: String,
    /// Id.
    pub id: i64,
}

/// Style of the prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PromptStyle {
    /// `prompt` holds `{instruction}`, `{anchor}` (with reasoning only), `{chunk_len}` and `{queries}`. One trailing
    /// full stop of an instruction is dropped.
    #[default]
    Thinkvla,
    /// StarVLA's Qwen3-VL-OFT: `prompt` is its `CoT_prompt`, whose `{instruction}` is replaced by the instruction as it
    /// is, followed by the action text and the queries.
    StarvlaOft,
}

/// Form in which the network gets the robot's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proprio {
    /// The network does not get the state.
    #[default]
    None,
    /// As text in the prompt, as StarVLA writes it after the instruction: ` [STATE] 12 200 … [ACTION]`, each value as
    /// one of 256 steps over -1 .. 1.
    Text,
    /// As numbers: a two-layer projector computes a condition that is added to the action queries' states, similar to
    /// the token of OpenVLA-OFT's proprioception projector.
    Projected,
}

/// Point at which the language model's states are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HiddenTap {
    /// The last layer's output, which the reference reads.
    #[default]
    PreNorm,
    /// After the final norm.
    PostNorm,
}

/// Position of the teacher's anchors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TeacherAnchor {
    /// At the end of the user's text, after the teacher's text.
    #[default]
    UserEnd,
    /// At the beginning of the assistant's answer, where co-training on questions puts them.
    AssistantStart,
}

/// Text of the teacher's prompt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum TeacherTexts {
    /// Always this text.
    One(String),
    /// One of these texts.
    Several(Vec<String>),
}

impl TeacherTexts {
    /// Returns the texts.
    pub fn texts(&self) -> &[String] {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Several(texts) => texts,
        }
    }
}

impl Default for TeacherTexts {
    /// Text of our own, since the paper does not give its wording; it asks for the subjects of the co-training
    /// questions.
    fn default() -> Self {
        Self::One(
            "Before acting, reason about the scene in 3D: estimate the 3D locations and orientations of the objects, the \
             gripper and the target of this task, the distances between them, and the angles that matter."
                .into(),
        )
    }
}

/// Floating-point type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// 32 bits.
    Float32,
    /// 16 bits, 8 of them for the exponent.
    Bfloat16,
}

impl Precision {
    const ALL: [(Self, &str); 2] = [(Self::Float32, "float32"), (Self::Bfloat16, "bfloat16")];

    /// Returns libtorch's type.
    pub fn kind(self) -> tch::Kind {
        match self {
            Self::Float32 => tch::Kind::Float,
            Self::Bfloat16 => tch::Kind::BFloat16,
        }
    }

    /// Returns the type in weight files.
    pub fn stored(self) -> safetensors::Dtype {
        match self {
            Self::Float32 => safetensors::Dtype::F32,
            Self::Bfloat16 => safetensors::Dtype::BF16,
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.iter().find(|(precision, _)| precision == self);
        f.write_str(name.map_or("", |(_, name)| name))
    }
}

impl FromStr for Precision {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<Self, ModelError> {
        let found = Self::ALL.iter().find(|(_, name)| *name == text);
        found
            .map(|(precision, _)| *precision)
            .ok_or_else(|| ModelError::choice("float32 or bfloat16", text))
    }
}

impl ThinkVlaConfig {
    /// Returns the anchors; none without reasoning.
    pub fn anchors(&self) -> &[AnchorToken] {
        self.reasoning.as_ref().map_or(&[], |reasoning| &reasoning.anchors)
    }

    /// Returns the point at which the anchors' states are read.
    pub fn anchor_tap(&self) -> HiddenTap {
        let own = self.reasoning.as_ref().and_then(|reasoning| reasoning.anchor_tap);
        own.unwrap_or(self.hidden_tap)
    }
}
