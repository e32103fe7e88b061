//! The `thinkvla` object of `config.json`: what is added to Qwen3-VL, each part with its choices.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::model::heads::AdapterNorm;
use crate::model::integration::fusion::Fusion;
use crate::model::integration::pool::GeoPool;

/// What 3DThinkVLA adds to Qwen3-VL. Without `geometry` and `reasoning` it is the plain regression baseline,
/// Qwen3-VL-OFT.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ThinkVlaConfig {
    /// Who wrote the prompt's rules.
    #[serde(default)]
    pub prompt_style: PromptStyle,
    /// User text; what stands in it depends on the style.
    pub prompt: String,
    /// How the robot's own state is told.
    #[serde(default)]
    pub proprio: Proprio,
    /// Values of the state with `proprio: projected`, 0 otherwise.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub state_dim: i64,
    /// Text of the action query, one token; K of them in a row.
    pub action_token: String,
    /// Its id.
    pub action_token_id: i64,
    /// Where the language model's states are read.
    #[serde(default)]
    pub hidden_tap: HiddenTap,
    /// Latent geometry perception; absent in checkpoints without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub geometry: Option<GeometryConfig>,
    /// Reasoning anchor and its latent; absent in checkpoints without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<ReasoningConfig>,
    /// Actions in a chunk, K.
    pub chunk_len: i64,
    /// Values in an action.
    pub action_dim: i64,
    /// Inner width of the action head.
    pub head_hidden: i64,
    /// Residual blocks of the action head.
    pub head_blocks: i64,
    /// Smallest image the vision tower is fed (px).
    pub min_pixels: i64,
    /// Largest image the vision tower is fed (px).
    pub max_pixels: i64,
    /// Type the backbone computes in where nobody says otherwise.
    pub compute: Precision,
}

/// The geometry adapter and its way to the action queries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GeometryConfig {
    /// Vision block (from 0) whose output the adapter reads.
    pub tap_block: i64,
    /// Width of the latent: the geometry teacher's.
    pub width: i64,
    /// Where the adapter normalises.
    #[serde(default)]
    pub norm: AdapterNorm,
    /// How the latents of all patches become one condition, or one for each query.
    #[serde(default)]
    pub pool: GeoPool,
}

/// The reasoning anchor, its adapter and its way to the action queries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReasoningConfig {
    /// The anchors, in the order in which they stand in a row in the prompt; none where the state is read at the last
    /// token of the task.
    pub anchors: Vec<AnchorToken>,
    /// Which state is the reasoning's.
    #[serde(default)]
    pub read_at: ReadAt,
    /// Whether an adapter makes the latent of the state; without, the state itself is the latent and no teacher is
    /// followed.
    #[serde(default = "yes")]
    pub adapter: bool,
    /// Where the anchors' states are read; absent: where all others are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchor_tap: Option<HiddenTap>,
    /// How the latent is fused into the queries' states.
    #[serde(default)]
    pub fusion: Fusion,
    /// What the teacher is told to think about in training, one text or several of which each step draws one.
    #[serde(default)]
    pub teacher_prompt: TeacherTexts,
    /// Where the teacher's anchors stand.
    #[serde(default)]
    pub teacher_anchor: TeacherAnchor,
}

/// Which state is the reasoning's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReadAt {
    /// The anchors'.
    #[default]
    Anchor,
    /// That of the last token of the task, where the prompt says `{anchor}`; the teacher's is that of the last token it
    /// is told.
    TaskEnd,
}

fn yes() -> bool {
    true
}

fn is_zero(value: &i64) -> bool {
    *value == 0
}

/// One reasoning anchor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnchorToken {
    /// Its text, one token.
    pub token: String,
    /// Its id.
    pub id: i64,
}

/// Who wrote the prompt's rules.
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

/// How the robot's own state is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proprio {
    /// Not at all.
    #[default]
    None,
    /// In the prompt, as StarVLA writes it behind the instruction: ` [STATE] 12 200 … [ACTION]`, each value as one of 256 steps
    /// over -1 .. 1.
    Text,
    /// As numbers: a projector of two layers makes a condition of them that is added to the action queries' states, as
    /// OpenVLA-OFT's proprioception projector makes a token.
    Projected,
}

/// Where the language model's states are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HiddenTap {
    /// The last layer's output, which the reference reads.
    #[default]
    PreNorm,
    /// After the final norm.
    PostNorm,
}

/// Where the teacher's anchors stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TeacherAnchor {
    /// At the end of the user's text, behind what the teacher is told.
    #[default]
    UserEnd,
    /// First in the assistant's answer, where co-training on questions puts them.
    AssistantStart,
}

/// What the teacher is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum TeacherTexts {
    /// Always this.
    One(String),
    /// One of these.
    Several(Vec<String>),
}

impl TeacherTexts {
    /// The texts there are.
    pub fn texts(&self) -> &[String] {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Several(texts) => texts,
        }
    }
}

impl Default for TeacherTexts {
    /// The paper does not give its wording; this one asks for what its co-training questions are about.
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
    /// 16 bits, 8 of them exponent.
    Bfloat16,
}

impl Precision {
    const ALL: [(Self, &str); 2] = [(Self::Float32, "float32"), (Self::Bfloat16, "bfloat16")];

    /// libtorch's name.
    pub fn kind(self) -> tch::Kind {
        match self {
            Self::Float32 => tch::Kind::Float,
            Self::Bfloat16 => tch::Kind::BFloat16,
        }
    }

    /// Its name in weight files.
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
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|(_, name)| *name == text);
        found
            .map(|(precision, _)| *precision)
            .ok_or_else(|| format!("expected float32 or bfloat16, found {text}"))
    }
}

impl ThinkVlaConfig {
    /// The anchors, none without reasoning.
    pub fn anchors(&self) -> &[AnchorToken] {
        self.reasoning.as_ref().map_or(&[], |reasoning| &reasoning.anchors)
    }

    /// Where the anchors' states are read.
    pub fn anchor_tap(&self) -> HiddenTap {
        let own = self.reasoning.as_ref().and_then(|reasoning| reasoning.anchor_tap);
        own.unwrap_or(self.hidden_tap)
    }
}
