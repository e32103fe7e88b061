//! Checkpoints of predefined sizes, with weights drawn from a seed.

use std::path::Path;

use serde_json::Value;
use tokenizers::{AddedToken, Tokenizer};

use crate::contract::{Composition, Contract, Data, Filter, Model, Reference, Resize, Robot};
use crate::files;

use super::copied::CopiedModules;
use super::prune_tokenizer::{Keep, prune};
use super::variant::CheckpointVariant;
use super::{InitScheme, InitSummary, InitialCheckpoint};
use crate::model::checkpoint::load_tokenizer;
use crate::model::config::{
    AnchorToken, Config, GeometryConfig, HiddenTap, Precision, PromptStyle, Proprio, Qwen3VlConfig, ReadAt,
    ReasoningConfig, Rope, RopeScaling, TeacherAnchor, TeacherTexts, TextConfig, ThinkVlaConfig, VisionConfig,
    VisionRope,
};
use crate::model::error::ModelError;
use crate::model::json;
use crate::model::thinkvla::adapters::AdapterNorm;
use crate::model::thinkvla::fusion::Fusion;
use crate::model::thinkvla::pool::GeoPool;

/// Name of untrained weights in contracts.
pub const UNTRAINED: &str = "untrained";
/// Token of the action queries.
const QUERY: &str = "🔍";
/// StarVLA's prompt, with the anchor inserted after the task.
pub const PROMPT: &str = "Your task is {instruction}.{anchor} Please predict the next {chunk_len} robot actions: \
                                 <action>{queries}<action>.";
/// Short prompt for the small network, which knows no language and for which every token costs time.
const SMALL_PROMPT: &str = "{instruction}.{anchor}{queries}";
/// Vocabulary of the small size.
const SMALL_VOCABULARY: usize = 4096;

/// A predefined size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// For the demo, the tests and machines without a GPU: 3.2 million parameters and a reduced tokenizer. A network of
    /// this shape learned the simulated tasks in minutes; see docs/learning.md.
    Small,
    /// Size of Qwen3-VL-2B.
    Qwen3Vl2b,
}

/// Settings of a new checkpoint.
#[derive(Debug, Clone, Copy)]
pub struct NewCheckpoint<'a> {
    /// Size of the network.
    pub size: Preset,
    /// Seed of the weights.
    pub seed: u64,
    /// Qwen3's `tokenizer.json`.
    pub tokenizer: &'a Path,
    /// The robot; `None` for the simulated one.
    pub robot: Option<&'a Robot>,
    /// Options in which it differs from the default.
    pub variant: &'a CheckpointVariant,
    /// Modules that are copied from another checkpoint; `None` to draw all weights.
    pub copied: Option<CopiedModules<'a>>,
}

impl NewCheckpoint<'_> {
    /// Writes the four files of a checkpoint with untrained weights into a directory, which is created if needed.
    ///
    /// # Errors
    /// When the directory already holds weights, the tokenizer does not fit, modules cannot be copied, or a file cannot
    /// be written.
    pub fn write(&self, directory: &Path) -> Result<InitSummary, ModelError> {
        let tokenizer = self.make_tokenizer()?;
        let config = self.size.variant(&tokenizer, self.variant)?;
        let checkpoint = InitialCheckpoint {
            contract: &self.contract(&config),
            config: &config,
            tokenizer: &tokenizer,
            seed: self.seed,
            scheme: match self.size {
                Preset::Small => InitScheme::FanIn,
                Preset::Qwen3Vl2b => InitScheme::Reference,
            },
            copied: self.copied,
        };
        checkpoint.write(directory)
    }

    fn make_tokenizer(&self) -> Result<Tokenizer, ModelError> {
        let anchors = self.variant.anchor_tokens();
        if self.size == Preset::Qwen3Vl2b {
            let mut tokenizer = load_tokenizer(self.tokenizer)?;
            let anchors: Vec<_> = anchors
                .iter()
                .map(|anchor| AddedToken::from(anchor.as_str(), true))
                .collect();
            tokenizer.add_special_tokens(&anchors);
            return Ok(tokenizer);
        }
        let large: Value = json::read(self.tokenizer, files::TOKENIZER)?;
        let mut control = vec![
            "<|endoftext|>",
            "<|im_start|>",
            "<|im_end|>",
            "<|vision_start|>",
            "<|vision_end|>",
            "<|image_pad|>",
            "<|video_pad|>",
        ];
        control.extend(anchors.iter().map(String::as_str));
        let keep = Keep {
            rows: SMALL_VOCABULARY,
            words: &[QUERY],
            control: &control,
        };
        let small = prune(&large, keep)?;
        Tokenizer::from_bytes(small.to_string()).map_err(|e| ModelError::Tokenizer(e.to_string()))
    }

    /// Returns the contract of a checkpoint of this size.
    pub fn contract(&self, config: &Config) -> Contract {
        let side = match self.size {
            Preset::Small => 128,
            Preset::Qwen3Vl2b => 224,
        };
        let robot = self.robot.cloned().unwrap_or_else(Robot::simulated);
        usual_contract(robot, self.variant, side, config.thinkvla.chunk_len)
    }
}

/// Returns the contract of an untrained checkpoint for square images of `side` pixels.
pub(in crate::model) fn usual_contract(
    robot: Robot,
    variant: &CheckpointVariant,
    side: u32,
    chunk_len: i64,
) -> Contract {
    Contract {
        robot,
        data: Data {
            fps: 10.0,
            resize: Resize {
                width: side,
                height: side,
                filter: Filter::Bicubic,
            },
            action_space: variant.action_space,
            composition: Composition::Sequential,
            reference: Reference::Commanded,
            statistics: variant.action_statistics(),
            state: variant.state_statistics(),
        },
        model: Some(Model {
            chunk_len: usize::try_from(chunk_len).unwrap_or(0),
            weights: UNTRAINED.into(),
        }),
    }
}

impl Preset {
    /// Returns the default configuration of this size, with the tokenizer's ids.
    ///
    /// # Errors
    /// When the tokenizer lacks a control token.
    pub fn config(self, tokenizer: &Tokenizer) -> Result<Config, ModelError> {
        self.variant(tokenizer, &CheckpointVariant::default())
    }

    /// Returns the configuration of a variant of this size, with the tokenizer's ids.
    ///
    /// # Errors
    /// When the tokenizer lacks a control token, or the variant is invalid.
    pub fn variant(self, tokenizer: &Tokenizer, variant: &CheckpointVariant) -> Result<Config, ModelError> {
        self.config_with(variant, &mut |token| id(tokenizer, token))
    }

    /// Returns the configuration of this size for timing, with arbitrary but distinct ids.
    ///
    /// # Errors
    /// Never for these sizes.
    pub fn config_without_tokenizer(self) -> Result<Config, ModelError> {
        let mut next = 0;
        self.config_with(&CheckpointVariant::default(), &mut |_| {
            next += 1;
            Ok(next)
        })
    }

    fn config_with(self, variant: &CheckpointVariant, id: Ids) -> Result<Config, ModelError> {
        let (text_config, vision_config) = match self {
            Self::Small => (small_text(), small_vision()),
            Self::Qwen3Vl2b => (text_2b(), vision_2b()),
        };
        let small = self == Self::Small;
        let qwen3_vl = Qwen3VlConfig {
            model_type: "qwen3_vl".into(),
            architectures: vec!["Qwen3VLForConditionalGeneration".into()],
            image_token_id: id("<|image_pad|>")?,
            video_token_id: id("<|video_pad|>")?,
            vision_start_token_id: id("<|vision_start|>")?,
            vision_end_token_id: id("<|vision_end|>")?,
            tie_word_embeddings: true,
            text_config,
            vision_config,
        };
        let scale = Scale {
            geometry_width: if small { 192 } else { 2048 },
            pool: if small { GeoPool::Attention } else { GeoPool::Mean },
            prompt: if small { SMALL_PROMPT } else { PROMPT },
            min_pixels: if small { 128 * 128 } else { 256 * 256 },
            max_pixels: 4096 * 4096,
            compute: if small { Precision::Float32 } else { Precision::Bfloat16 },
        };
        untrained_action_part(qwen3_vl, variant, scale, id)
    }
}

/// Settings of the default action part that depend on the size.
#[derive(Debug, Clone, Copy)]
pub(in crate::model) struct Scale {
    /// Width of the geometry teacher's features.
    pub geometry_width: i64,
    /// Pooling of the geometry latents.
    pub pool: GeoPool,
    /// Template of the prompt.
    pub prompt: &'static str,
    /// Smallest image area of the vision tower (px²).
    pub min_pixels: i64,
    /// Largest image area of the vision tower (px²).
    pub max_pixels: i64,
    /// Type in which the backbone computes.
    pub compute: Precision,
}

/// Returns the id of a text that must be a single token.
pub(in crate::model) type Ids<'a> = &'a mut dyn FnMut(&str) -> Result<i64, ModelError>;

/// Returns the configuration of a backbone with an untrained action part, in a variant.
///
/// # Errors
/// When the tokenizer lacks a control token, or the variant is invalid.
pub(in crate::model) fn untrained_action_part(
    qwen3_vl: Qwen3VlConfig,
    variant: &CheckpointVariant,
    scale: Scale,
    id: Ids,
) -> Result<Config, ModelError> {
    let mut anchor = |token: String| -> Result<AnchorToken, ModelError> {
        let id = id(&token)?;
        Ok(AnchorToken { token, id })
    };
    let reasoning = ReasoningConfig {
        anchors: variant
            .anchor_tokens()
            .into_iter()
            .map(&mut anchor)
            .collect::<Result<_, _>>()?,
        read_at: ReadAt::Anchor,
        adapter: true,
        anchor_tap: None,
        fusion: Fusion::Add,
        teacher_prompt: TeacherTexts::default(),
        teacher_anchor: TeacherAnchor::UserEnd,
    };
    let taps = &qwen3_vl.vision_config.deepstack_visual_indexes;
    variant.apply(Config {
        thinkvla: ThinkVlaConfig {
            prompt_style: PromptStyle::Thinkvla,
            proprio: Proprio::None,
            state_dim: 0,
            action_token: QUERY.into(),
            action_token_id: id(QUERY)?,
            prompt: scale.prompt.into(),
            hidden_tap: HiddenTap::PreNorm,
            geometry: Some(GeometryConfig {
                tap_block: taps.last().copied().unwrap_or(0),
                width: scale.geometry_width,
                norm: AdapterNorm::Post,
                pool: scale.pool,
            }),
            reasoning: Some(reasoning),
            chunk_len: 8,
            action_dim: 7,
            head_hidden: 2 * qwen3_vl.text_config.hidden_size,
            head_blocks: 2,
            min_pixels: scale.min_pixels,
            max_pixels: scale.max_pixels,
            compute: scale.compute,
        },
        qwen3_vl,
    })
}

/// Returns the id of a text that must be a single token of a tokenizer.
pub(in crate::model) fn id(tokenizer: &Tokenizer, token: &str) -> Result<i64, ModelError> {
    let encoding = tokenizer
        .encode_fast(token, false)
        .map_err(|e| ModelError::Tokenizer(e.to_string()))?;
    match encoding.get_ids() {
        [id] => Ok(i64::from(*id)),
        ids => Err(ModelError::Tokenizer(format!(
            "expected {token} to be one token, found {ids:?}; give Qwen3's tokenizer.json"
        ))),
    }
}

fn small_text() -> TextConfig {
    TextConfig {
        vocab_size: SMALL_VOCABULARY as i64,
        hidden_size: 128,
        intermediate_size: 384,
        num_hidden_layers: 3,
        num_attention_heads: 4,
        num_key_value_heads: 2,
        head_dim: 32,
        rope: rope([6, 5, 5]),
        max_position_embeddings: 4096,
        ..text_2b()
    }
}

fn rope(mrope_section: [i64; 3]) -> Rope {
    Rope {
        rope_theta: 5_000_000.0,
        rope_scaling: RopeScaling {
            rope_type: "default".into(),
            mrope_interleaved: true,
            mrope_section,
        },
    }
}

fn text_2b() -> TextConfig {
    TextConfig {
        model_type: "qwen3_vl_text".into(),
        hidden_act: "silu".into(),
        vocab_size: 151_936,
        hidden_size: 2048,
        intermediate_size: 6144,
        num_hidden_layers: 28,
        num_attention_heads: 16,
        num_key_value_heads: 8,
        head_dim: 128,
        rms_norm_eps: 1e-6,
        rope: rope([24, 20, 20]),
        max_position_embeddings: 262_144,
        tie_word_embeddings: true,
        attention_bias: false,
    }
}

fn small_vision() -> VisionConfig {
    VisionConfig {
        depth: 4,
        hidden_size: 128,
        intermediate_size: 512,
        num_heads: 4,
        out_hidden_size: 128,
        num_position_embeddings: 256,
        deepstack_visual_indexes: vec![3],
        ..vision_2b()
    }
}

fn vision_2b() -> VisionConfig {
    VisionConfig {
        model_type: "qwen3_vl".into(),
        rope: VisionRope::default(),
        hidden_act: "gelu_pytorch_tanh".into(),
        depth: 24,
        hidden_size: 1024,
        intermediate_size: 4096,
        num_heads: 16,
        in_channels: 3,
        patch_size: 16,
        temporal_patch_size: 2,
        spatial_merge_size: 2,
        out_hidden_size: 2048,
        num_position_embeddings: 2304,
        deepstack_visual_indexes: vec![5, 11, 17],
    }
}
