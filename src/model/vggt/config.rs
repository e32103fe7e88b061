//! Sizes of a VGGT aggregator.

use std::collections::HashMap;

use crate::model::error::ModelError;

/// Sizes of the aggregator. DINOv2 and the alternating blocks share width and heads.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VggtConfig {
    /// Side of the square image that the learned positions are for (px).
    pub img_size: i64,
    /// Side of a patch (px).
    pub patch_size: i64,
    /// Width of a token.
    pub embed_dim: i64,
    /// Number of attention heads.
    pub num_heads: i64,
    /// Number of blocks of DINOv2.
    pub vit_depth: i64,
    /// Number of pairs of a frame block and a global block.
    pub depth: i64,
    /// Number of register tokens of a view, in DINOv2 and again in the aggregator.
    pub num_register_tokens: i64,
    /// Base of the rotary frequencies.
    pub rope_freq: f64,
}

/// Metadata keys of the sizes, in the order of the fields.
const KEYS: [&str; 8] = [
    "img_size",
    "patch_size",
    "embed_dim",
    "num_heads",
    "vit_depth",
    "depth",
    "num_register_tokens",
    "rope_freq",
];

/// Metadata key that repeats what follows from `num_register_tokens`.
const PATCH_START: &str = "patch_start_idx";

impl VggtConfig {
    /// Sizes of the published VGGT-1B.
    pub const VGGT_1B: Self = Self {
        img_size: 518,
        patch_size: 14,
        embed_dim: 1024,
        num_heads: 16,
        vit_depth: 24,
        depth: 24,
        num_register_tokens: 4,
        rope_freq: 100.0,
    };

    /// Returns the number of tokens of a view before its patches: camera and registers.
    pub fn patch_start(&self) -> i64 {
        1 + self.num_register_tokens
    }

    /// Returns the width of the features: frame and global stream concatenated.
    pub fn feature_width(&self) -> i64 {
        2 * self.embed_dim
    }

    /// Returns the number of patches along a side of the image that the learned positions are for.
    pub(super) fn positions_side(&self) -> i64 {
        self.img_size / self.patch_size
    }

    /// Reads the sizes from the metadata of a safetensors header. Without any, as in the published file, they are
    /// [`Self::VGGT_1B`]; an incomplete set is refused.
    ///
    /// # Errors
    /// When a size is missing, not a number or invalid.
    pub fn from_metadata(metadata: &HashMap<String, String>) -> Result<Self, ModelError> {
        if !KEYS.iter().any(|key| metadata.contains_key(*key)) {
            return Ok(Self::VGGT_1B);
        }
        let [
            img_size,
            patch_size,
            embed_dim,
            num_heads,
            vit_depth,
            depth,
            registers,
            _,
        ] = KEYS;
        let config = Self {
            img_size: size(metadata, img_size)?,
            patch_size: size(metadata, patch_size)?,
            embed_dim: size(metadata, embed_dim)?,
            num_heads: size(metadata, num_heads)?,
            vit_depth: size(metadata, vit_depth)?,
            depth: size(metadata, depth)?,
            num_register_tokens: size(metadata, registers)?,
            rope_freq: number(metadata, "rope_freq")?,
        };
        config.validate()?;
        if metadata.contains_key(PATCH_START) && size(metadata, PATCH_START)? != config.patch_start() {
            return Err(ModelError::metadata(
                PATCH_START,
                format!("{}: the camera token and the registers", config.patch_start()),
                size(metadata, PATCH_START)?,
            ));
        }
        Ok(config)
    }

    /// Checks the sizes.
    ///
    /// # Errors
    /// Names the invalid size.
    pub fn validate(&self) -> Result<(), ModelError> {
        let at_least_one = [
            ("img_size", self.img_size),
            ("patch_size", self.patch_size),
            ("embed_dim", self.embed_dim),
            ("num_heads", self.num_heads),
            ("vit_depth", self.vit_depth),
            ("depth", self.depth),
        ];
        if let Some((key, found)) = at_least_one.into_iter().find(|(_, found)| *found < 1) {
            return Err(ModelError::metadata(key, "at least 1", found));
        }
        if self.num_register_tokens < 0 {
            return Err(ModelError::metadata(
                "num_register_tokens",
                "at least 0",
                self.num_register_tokens,
            ));
        }
        if self.img_size % self.patch_size != 0 {
            return Err(ModelError::metadata(
                "img_size",
                format!("a multiple of patch_size, {}", self.patch_size),
                self.img_size,
            ));
        }
        // Each half of a head rotates by one axis, in pairs of dimensions.
        if self.embed_dim % (4 * self.num_heads) != 0 {
            return Err(ModelError::metadata(
                "embed_dim",
                format!("a multiple of 4 x num_heads, {}", 4 * self.num_heads),
                self.embed_dim,
            ));
        }
        if !(self.rope_freq.is_finite() && self.rope_freq > 0.0) {
            return Err(ModelError::metadata("rope_freq", "above 0", self.rope_freq));
        }
        Ok(())
    }
}

fn number(metadata: &HashMap<String, String>, key: &'static str) -> Result<f64, ModelError> {
    let Some(text) = metadata.get(key) else {
        return Err(ModelError::metadata(key, "a number", "nothing"));
    };
    text.parse()
        .map_err(|_| ModelError::metadata(key, "a number", format!("{text:?}")))
}

fn size(metadata: &HashMap<String, String>, key: &'static str) -> Result<i64, ModelError> {
    let Some(text) = metadata.get(key) else {
        return Err(ModelError::metadata(key, "a whole number", "nothing"));
    };
    text.parse()
        .map_err(|_| ModelError::metadata(key, "a whole number", format!("{text:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tiny() -> HashMap<String, String> {
        let sizes = ["518", "14", "48", "4", "2", "2", "4", "100"];
        KEYS.iter()
            .zip(sizes)
            .map(|(key, size)| ((*key).to_owned(), size.to_owned()))
            .collect()
    }

    #[test]
    fn sizes_come_from_the_header_or_are_the_published_ones() {
        let config = VggtConfig::from_metadata(&tiny()).unwrap();
        assert_eq!((config.embed_dim, config.depth, config.patch_start()), (48, 2, 5));
        let published = VggtConfig::from_metadata(&HashMap::from([("format".into(), "pt".into())])).unwrap();
        assert_eq!(published, VggtConfig::VGGT_1B);
        assert_eq!(published.feature_width(), 2048);
        published.validate().unwrap();
    }

    #[test]
    fn sizes_that_cannot_work_are_named() {
        for (key, value, named) in [
            ("depth", "two", "depth"),
            ("vit_depth", "0", "vit_depth"),
            ("embed_dim", "50", "4 x num_heads, 16"),
            ("img_size", "520", "patch_size, 14"),
            ("rope_freq", "nan", "rope_freq"),
            ("patch_start_idx", "4", "expected 5"),
        ] {
            let mut metadata = tiny();
            metadata.insert(key.into(), value.into());
            let error = VggtConfig::from_metadata(&metadata).unwrap_err().to_string();
            assert!(error.contains(named), "{key}={value}: {error}");
        }
        let mut metadata = tiny();
        metadata.remove("num_heads");
        let error = VggtConfig::from_metadata(&metadata).unwrap_err().to_string();
        assert!(error.contains("num_heads"), "{error}");
    }
}
