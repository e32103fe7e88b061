//! Validation of configurations; errors name the field.

use super::{Config, Qwen3VlConfig, TextConfig, VisionConfig, VisionRope};
use crate::model::error::ModelError;

/// Largest accepted size; beyond it shapes could overflow.
pub(in crate::model) const LARGEST: i64 = 1 << 30;

impl Config {
    /// Validates all fields.
    ///
    /// # Errors
    /// Names the first invalid field.
    pub fn validate(&self) -> Result<(), ModelError> {
        self.qwen3_vl.validate()?;
        self.thinkvla.validate()?;
        let ours = &self.thinkvla;
        if let Some(geometry) = &ours.geometry {
            let (field, depth) = ("thinkvla.geometry.tap_block", self.vision_config.depth);
            below(field, "vision_config.depth", geometry.tap_block, depth)?;
        }
        let mut ids = self.qwen3_vl.token_ids().to_vec();
        ids.push(("thinkvla.action_token_id", ours.action_token_id));
        let anchors = ours.anchors().iter();
        ids.extend(anchors.map(|anchor| ("thinkvla.reasoning.anchors", anchor.id)));
        distinct_ids(&ids, self.text_config.vocab_size)
    }
}

impl Qwen3VlConfig {
    /// Validates all fields.
    ///
    /// # Errors
    /// Names the first invalid field.
    pub fn validate(&self) -> Result<(), ModelError> {
        family("model_type", &self.model_type)?;
        self.text_config.validate()?;
        self.vision_config.validate()?;
        let (text, vision) = (&self.text_config, &self.vision_config);
        if vision.out_hidden_size != text.hidden_size {
            return Err(ModelError::config(
                "vision_config.out_hidden_size",
                format!("text_config.hidden_size, {}", text.hidden_size),
                vision.out_hidden_size,
            ));
        }
        let taps = vision.deepstack_visual_indexes.len() as i64;
        if taps > text.num_hidden_layers {
            return Err(ModelError::config(
                "vision_config.deepstack_visual_indexes",
                format!("at most one for each of the {} language layers", text.num_hidden_layers),
                format!("{taps}"),
            ));
        }
        distinct_ids(&self.token_ids(), text.vocab_size)
    }

    fn token_ids(&self) -> [(&'static str, i64); 4] {
        [
            ("image_token_id", self.image_token_id),
            ("video_token_id", self.video_token_id),
            ("vision_start_token_id", self.vision_start_token_id),
            ("vision_end_token_id", self.vision_end_token_id),
        ]
    }
}

fn distinct_ids(ids: &[(&'static str, i64)], vocabulary: i64) -> Result<(), ModelError> {
    for (i, &(field, id)) in ids.iter().enumerate() {
        below(field, "text_config.vocab_size", id, vocabulary)?;
        if let Some((other, _)) = ids.iter().take(i).find(|(_, earlier)| *earlier == id) {
            return Err(ModelError::config(field, format!("an id other than {other}'s"), id));
        }
    }
    Ok(())
}

impl TextConfig {
    fn validate(&self) -> Result<(), ModelError> {
        only("text_config.hidden_act", "silu", &self.hidden_act)?;
        only(
            "text_config.rope_scaling.rope_type",
            "default",
            &self.rope_scaling.rope_type,
        )?;
        for (field, value) in [
            ("text_config.vocab_size", self.vocab_size),
            ("text_config.hidden_size", self.hidden_size),
            ("text_config.intermediate_size", self.intermediate_size),
            ("text_config.num_hidden_layers", self.num_hidden_layers),
            ("text_config.num_attention_heads", self.num_attention_heads),
            ("text_config.num_key_value_heads", self.num_key_value_heads),
            ("text_config.head_dim", self.head_dim),
            ("text_config.max_position_embeddings", self.max_position_embeddings),
        ] {
            size(field, value)?;
        }
        positive("text_config.rms_norm_eps", self.rms_norm_eps)?;
        positive("text_config.rope_theta", self.rope_theta)?;
        divides(
            "text_config.num_attention_heads",
            "text_config.num_key_value_heads",
            self.num_attention_heads,
            self.num_key_value_heads,
        )?;
        divides("text_config.head_dim", "2", self.head_dim, 2)?;
        if self.attention_bias {
            return Err(ModelError::config("text_config.attention_bias", "false", true));
        }
        if !self.rope_scaling.mrope_interleaved {
            return Err(ModelError::config(
                "text_config.rope_scaling.mrope_interleaved",
                "true",
                false,
            ));
        }
        let half = self.head_dim / 2;
        let [time, row, column] = self.rope_scaling.mrope_section;
        // Row takes frequencies 1, 4, 7 … and column 2, 5, 8 …: these have to exist.
        let fits = [time, row, column].iter().all(|s| (0..=half).contains(s))
            && time + row + column == half
            && (row == 0 || 3 * row - 2 < half)
            && (column == 0 || 3 * column - 1 < half);
        if !fits {
            return Err(ModelError::config(
                "text_config.rope_scaling.mrope_section",
                format!("three shares that sum to head_dim / 2 = {half} and interleave inside it"),
                format!("{:?}", self.rope_scaling.mrope_section),
            ));
        }
        Ok(())
    }
}

impl VisionConfig {
    fn validate(&self) -> Result<(), ModelError> {
        only("vision_config.hidden_act", "gelu_pytorch_tanh", &self.hidden_act)?;
        for (field, value) in [
            ("vision_config.depth", self.depth),
            ("vision_config.hidden_size", self.hidden_size),
            ("vision_config.intermediate_size", self.intermediate_size),
            ("vision_config.num_heads", self.num_heads),
            ("vision_config.patch_size", self.patch_size),
            ("vision_config.temporal_patch_size", self.temporal_patch_size),
            ("vision_config.spatial_merge_size", self.spatial_merge_size),
            ("vision_config.out_hidden_size", self.out_hidden_size),
            ("vision_config.num_position_embeddings", self.num_position_embeddings),
        ] {
            size(field, value)?;
        }
        if self.rope.rope_theta != VisionRope::THETA {
            let theta = self.rope.rope_theta;
            return Err(ModelError::config(
                "vision_config.rope_parameters.rope_theta",
                "10000",
                theta,
            ));
        }
        if self.rope.rope_type != "default" {
            only("vision_config.rope_parameters.rope_type", "axial", &self.rope.rope_type)?;
        }
        if self.in_channels != 3 {
            return Err(ModelError::config("vision_config.in_channels", "3", self.in_channels));
        }
        divides(
            "vision_config.hidden_size",
            "vision_config.num_heads",
            self.hidden_size,
            self.num_heads,
        )?;
        divides(
            "vision_config.hidden_size / num_heads",
            "4, for rows and columns",
            self.hidden_size / self.num_heads,
            4,
        )?;
        if self.positions_side().pow(2) != self.num_position_embeddings {
            return Err(ModelError::config(
                "vision_config.num_position_embeddings",
                "a square number",
                self.num_position_embeddings,
            ));
        }
        self.check_deepstack()
    }

    /// Checks that the blocks whose output is added to language layers exist and are in rising order.
    fn check_deepstack(&self) -> Result<(), ModelError> {
        let mut above = -1;
        for &tap in &self.deepstack_visual_indexes {
            below(
                "vision_config.deepstack_visual_indexes",
                "vision_config.depth",
                tap,
                self.depth,
            )?;
            if tap <= above {
                return Err(ModelError::config(
                    "vision_config.deepstack_visual_indexes",
                    "blocks in rising order",
                    format!("{:?}", self.deepstack_visual_indexes),
                ));
            }
            above = tap;
        }
        Ok(())
    }

    /// Returns the side of the square of learned positions.
    pub fn positions_side(&self) -> i64 {
        (self.num_position_embeddings as f64).sqrt().round() as i64
    }

    /// Returns the number of values in one patch: channels x frames x side x side.
    pub fn patch_values(&self) -> i64 {
        self.in_channels * self.temporal_patch_size * self.patch_size * self.patch_size
    }
}

/// Checks the name of the network that the field has.
pub(super) fn family(field: &'static str, found: &str) -> Result<(), ModelError> {
    const FAMILY: &str = "qwen3_vl";
    if found == FAMILY {
        return Ok(());
    }
    let found = format!(
        "{found}, another network; checkpoints of this package, Qwen3-VL and StarVLA's Qwen3-VL-OFT are read and \
         converted, see docs/checkpoint.md"
    );
    Err(ModelError::config(field, FAMILY, found))
}

fn only(field: &'static str, expected: &str, found: &str) -> Result<(), ModelError> {
    if expected == found {
        return Ok(());
    }
    Err(ModelError::config(field, expected, found))
}

pub(in crate::model) fn size(field: &'static str, value: i64) -> Result<(), ModelError> {
    if (1..=LARGEST).contains(&value) {
        return Ok(());
    }
    Err(ModelError::config(field, "a size of at least 1", value))
}

fn positive(field: &'static str, value: f64) -> Result<(), ModelError> {
    if value.is_finite() && value > 0.0 {
        return Ok(());
    }
    Err(ModelError::config(field, "a positive number", value))
}

fn divides(field: &'static str, by: &str, value: i64, divisor: i64) -> Result<(), ModelError> {
    if value % divisor == 0 {
        return Ok(());
    }
    Err(ModelError::config(
        field,
        format!("a multiple of {by} ({divisor})"),
        value,
    ))
}

pub(in crate::model) fn below(field: &'static str, bound: &str, value: i64, limit: i64) -> Result<(), ModelError> {
    if (0..limit).contains(&value) {
        return Ok(());
    }
    Err(ModelError::config(
        field,
        format!("0 to {} ({bound} - 1)", limit - 1),
        value,
    ))
}
