//! `config.json` of a checkpoint: the Hugging Face Qwen3-VL layout plus one `thinkvla` object.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::camera::patches::PatchRule;
use crate::files;

use super::error::ModelError;
use super::json;

pub(in crate::model) mod check;
mod rope;
mod thinkvla;
mod thinkvla_check;

pub use rope::{Rope, RopeScaling};
pub use thinkvla::{
    AnchorToken, GeometryConfig, HiddenTap, Precision, PromptStyle, Proprio, ReadAt, ReasoningConfig, TeacherAnchor,
    TeacherTexts, ThinkVlaConfig,
};

/// File name inside a checkpoint directory.
pub const FILE_NAME: &str = "config.json";

/// Configuration of the network: Qwen3-VL's fields, to which it dereferences, and those that 3DThinkVLA adds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// The backbone.
    #[serde(flatten)]
    pub qwen3_vl: Qwen3VlConfig,
    /// Fields that 3DThinkVLA adds.
    pub thinkvla: ThinkVlaConfig,
}

impl std::ops::Deref for Config {
    type Target = Qwen3VlConfig;

    fn deref(&self) -> &Qwen3VlConfig {
        &self.qwen3_vl
    }
}

impl std::ops::DerefMut for Config {
    fn deref_mut(&mut self) -> &mut Qwen3VlConfig {
        &mut self.qwen3_vl
    }
}

/// `config.json` of Hugging Face's Qwen3-VL. Fields that do not affect the shape are ignored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Qwen3VlConfig {
    /// Hugging Face name of the backbone's family.
    pub model_type: String,
    /// Hugging Face names of the classes that can read the backbone.
    #[serde(default)]
    pub architectures: Vec<String>,
    /// Id of the token that is replaced by image embeddings.
    pub image_token_id: i64,
    /// Id of the token that would be replaced by video embeddings; never in a prompt here.
    pub video_token_id: i64,
    /// Id of the token before an image.
    pub vision_start_token_id: i64,
    /// Id of the token after an image.
    pub vision_end_token_id: i64,
    /// Whether the text head is tied to the embedding.
    #[serde(default)]
    pub tie_word_embeddings: bool,
    /// Configuration of the language model.
    pub text_config: TextConfig,
    /// Configuration of the vision tower.
    pub vision_config: VisionConfig,
}

/// Configuration of the language model. Dereferences to its rotary positions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TextConfig {
    /// Always `qwen3_vl_text`.
    pub model_type: String,
    /// Activation of the gated MLP; only `silu` is supported.
    pub hidden_act: String,
    /// Rows of the embedding.
    pub vocab_size: i64,
    /// Width D.
    pub hidden_size: i64,
    /// Inner width of the gated MLP.
    pub intermediate_size: i64,
    /// Number of layers.
    pub num_hidden_layers: i64,
    /// Number of query heads.
    pub num_attention_heads: i64,
    /// Number of key and value heads.
    pub num_key_value_heads: i64,
    /// Width of one head.
    pub head_dim: i64,
    /// Epsilon of every RMSNorm.
    pub rms_norm_eps: f64,
    /// Rotary positions.
    #[serde(flatten)]
    pub rope: Rope,
    /// Longest sequence.
    pub max_position_embeddings: i64,
    /// Whether the text head is tied to the embedding.
    #[serde(default = "default_true")]
    pub tie_word_embeddings: bool,
    /// Whether the attention's projections have biases; never in Qwen3.
    #[serde(default)]
    pub attention_bias: bool,
}

fn default_true() -> bool {
    true
}

impl std::ops::Deref for TextConfig {
    type Target = Rope;

    fn deref(&self) -> &Rope {
        &self.rope
    }
}

impl std::ops::DerefMut for TextConfig {
    fn deref_mut(&mut self) -> &mut Rope {
        &mut self.rope
    }
}

/// Configuration of the vision tower.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VisionConfig {
    /// Always `qwen3_vl`; transformers 5 writes `qwen3_vl_vision` and reads both.
    #[serde(deserialize_with = "vision_type")]
    pub model_type: String,
    /// Rotary positions by row and column. Only transformers 5 writes them; the network has these values in any case.
    #[serde(default, rename = "rope_parameters", skip_serializing)]
    pub rope: VisionRope,
    /// Activation of the blocks' MLP; only `gelu_pytorch_tanh` is supported.
    pub hidden_act: String,
    /// Number of blocks.
    pub depth: i64,
    /// Width C.
    pub hidden_size: i64,
    /// Inner width of the MLP.
    pub intermediate_size: i64,
    /// Number of attention heads.
    pub num_heads: i64,
    /// Number of colour channels.
    pub in_channels: i64,
    /// Patch side (px).
    pub patch_size: i64,
    /// Number of frames in a patch.
    pub temporal_patch_size: i64,
    /// Number of patches along each side of a merge block, which becomes one language token.
    pub spatial_merge_size: i64,
    /// Width of the merged tokens, equal to the language model's.
    pub out_hidden_size: i64,
    /// Number of learned positions, a square number.
    pub num_position_embeddings: i64,
    /// Indices of blocks (from 0) whose outputs are also injected into the first language layers.
    pub deepstack_visual_indexes: Vec<i64>,
}

/// Rotary positions of the vision tower.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct VisionRope {
    /// Base of the frequencies; only 10000 is supported.
    pub rope_theta: f64,
    /// Type; only `axial` is supported, which older versions call `default`.
    pub rope_type: String,
}

impl VisionRope {
    /// The only supported base.
    pub const THETA: f64 = 10_000.0;
}

impl Default for VisionRope {
    fn default() -> Self {
        Self {
            rope_theta: Self::THETA,
            rope_type: "axial".into(),
        }
    }
}

/// Reads the type of the vision tower, in the spelling that every version reads.
fn vision_type<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let found = String::deserialize(deserializer)?;
    Ok(match found.as_str() {
        "qwen3_vl_vision" => "qwen3_vl".into(),
        _ => found,
    })
}

impl Config {
    /// Reads and validates `config.json` of a checkpoint directory.
    ///
    /// # Errors
    /// When the file is missing or not such a configuration, or a field is invalid.
    pub fn load(directory: &Path) -> Result<Self, ModelError> {
        let config: Self = read(directory)?;
        config.validate()?;
        Ok(config)
    }

    /// Returns the rule by which images are resized, normalised and cut into patches.
    pub fn patch_rule(&self) -> PatchRule {
        let size = |value: i64| u32::try_from(value).unwrap_or(u32::MAX);
        let vision = &self.vision_config;
        PatchRule {
            patch: size(vision.patch_size),
            temporal: size(vision.temporal_patch_size),
            merge: size(vision.spatial_merge_size),
            min_pixels: size(self.thinkvla.min_pixels).into(),
            max_pixels: size(self.thinkvla.max_pixels).into(),
            ..PatchRule::QWEN3_VL
        }
    }

    /// Writes `config.json` into a checkpoint directory.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, directory: &Path) -> Result<(), ModelError> {
        let path = directory.join(FILE_NAME);
        let text = serde_json::to_string_pretty(self).map_err(|e| ModelError::write(&path, e))?;
        std::fs::write(&path, text + "\n").map_err(|e| ModelError::write(&path, e))
    }
}

impl Qwen3VlConfig {
    /// Reads and validates `config.json` of a Hugging Face directory.
    ///
    /// # Errors
    /// When the file is missing or not such a configuration, or a field is invalid.
    pub fn load(directory: &Path) -> Result<Self, ModelError> {
        let config: Self = read(directory)?;
        config.validate()?;
        Ok(config)
    }
}

fn read<T: serde::de::DeserializeOwned>(directory: &Path) -> Result<T, ModelError> {
    let path = directory.join(FILE_NAME);
    let text = files::read_text(&path, files::CONFIGURATION).map_err(|e| ModelError::read(&path, e))?;
    require_family(&text)?;
    json::parse(&path, text.as_bytes())
}

/// Refuses the configuration of another network before the fields that it lacks.
fn require_family(text: &str) -> Result<(), ModelError> {
    /// Names of the network.
    #[derive(Deserialize)]
    struct Family {
        /// Hugging Face's name.
        model_type: Option<String>,
        /// LeRobot's name of a policy.
        r#type: Option<String>,
    }
    // The parser of all fields says what is wrong with a text that is not JSON.
    match serde_json::from_str(text) {
        Ok(Family {
            model_type: Some(found),
            ..
        }) => check::family("model_type", &found),
        Ok(Family {
            r#type: Some(found), ..
        }) => check::family("type", &found),
        _ => Ok(()),
    }
}
