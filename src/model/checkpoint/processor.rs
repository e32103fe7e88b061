//! `preprocessor_config.json`: how the reference sizes and normalises images.

use std::path::Path;

use serde::Deserialize;

use crate::camera::patches::PatchRule;
use crate::model::config::{Qwen3VlConfig, VisionConfig};
use crate::model::error::ModelError;

/// File name inside a Hugging Face directory.
pub const PREPROCESSOR: &str = "preprocessor_config.json";

/// Pillow's number of the bicubic filter.
const BICUBIC: i64 = 3;

/// The file: the fields that decide what the vision tower is fed.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Preprocessing {
    image_processor_type: Option<String>,
    patch_size: i64,
    temporal_patch_size: i64,
    merge_size: i64,
    min_pixels: Option<i64>,
    max_pixels: Option<i64>,
    size: Option<Edges>,
    image_mean: [f64; 3],
    image_std: [f64; 3],
    resample: Option<i64>,
    rescale_factor: Option<f64>,
    do_resize: Option<bool>,
    do_rescale: Option<bool>,
    do_normalize: Option<bool>,
    do_center_crop: Option<bool>,
    do_pad: Option<bool>,
}

/// The newer spelling of the bounds; areas in spite of their names [px²].
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
struct Edges {
    shortest_edge: Option<i64>,
    longest_edge: Option<i64>,
}

/// Bounds of the images the network is fed [px²].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Least area.
    pub min_pixels: i64,
    /// Largest area.
    pub max_pixels: i64,
}

impl Bounds {
    /// With the rest of Qwen3-VL's rule.
    pub fn rule(self, vision: &VisionConfig) -> PatchRule {
        let size = |value: i64| u32::try_from(value).unwrap_or(u32::MAX);
        let area = |value: i64| u64::try_from(value).unwrap_or(0);
        PatchRule {
            patch: size(vision.patch_size),
            temporal: size(vision.temporal_patch_size),
            merge: size(vision.spatial_merge_size),
            min_pixels: area(self.min_pixels),
            max_pixels: area(self.max_pixels),
            ..PatchRule::QWEN3_VL
        }
    }

    /// The file of these bounds, as the reference writes it.
    pub fn to_json(self, vision: &VisionConfig) -> serde_json::Value {
        serde_json::json!({
            "image_processor_type": "Qwen2VLImageProcessorFast",
            "processor_class": "Qwen3VLProcessor",
            "patch_size": vision.patch_size,
            "temporal_patch_size": vision.temporal_patch_size,
            "merge_size": vision.spatial_merge_size,
            "size": {"shortest_edge": self.min_pixels, "longest_edge": self.max_pixels},
            "image_mean": [0.5, 0.5, 0.5],
            "image_std": [0.5, 0.5, 0.5],
            "resample": BICUBIC,
            "rescale_factor": 1.0 / 255.0,
            "do_resize": true,
            "do_rescale": true,
            "do_normalize": true,
            "do_convert_rgb": true,
        })
    }
}

impl Preprocessing {
    /// Reads the file of a directory.
    ///
    /// # Errors
    /// When it is missing or not such a file.
    pub fn load(directory: &Path) -> Result<Self, ModelError> {
        let path = directory.join(PREPROCESSOR);
        let text = std::fs::read_to_string(&path).map_err(|e| ModelError::read(&path, e))?;
        serde_json::from_str(&text).map_err(|e| ModelError::read(&path, e))
    }

    /// The rule, where it is Qwen3-VL's and fits the tower; what this package would do otherwise is refused.
    ///
    /// # Errors
    /// Names the field that does not fit.
    pub fn patch_rule(&self, config: &Qwen3VlConfig) -> Result<PatchRule, ModelError> {
        Ok(self.bounds(&config.vision_config)?.rule(&config.vision_config))
    }

    /// What the file says itself, where the rest is Qwen3-VL's rule.
    ///
    /// # Errors
    /// Names the field that does not fit.
    pub fn bounds(&self, vision: &VisionConfig) -> Result<Bounds, ModelError> {
        let bounds = self.check(vision).and_then(|()| self.area());
        bounds.map_err(|e| ModelError::read(Path::new(PREPROCESSOR), e))
    }

    /// Where both spellings are present the older one counts, as in the reference.
    fn area(&self) -> Result<Bounds, String> {
        let edges = self.size.as_ref();
        let min = self.min_pixels.or(edges.and_then(|size| size.shortest_edge));
        let max = self.max_pixels.or(edges.and_then(|size| size.longest_edge));
        match (min, max) {
            (Some(min_pixels), Some(max_pixels)) if 0 < min_pixels && min_pixels <= max_pixels => {
                Ok(Bounds { min_pixels, max_pixels })
            }
            (Some(min), Some(max)) => Err(format!("expected 0 < min_pixels <= max_pixels, found {min} and {max}")),
            _ => Err(
                "expected min_pixels and max_pixels, or size.shortest_edge and size.longest_edge, found neither".into(),
            ),
        }
    }

    fn check(&self, vision: &VisionConfig) -> Result<(), String> {
        let refuse =
            |field: &str, expected: &str, found: String| Err(format!("{field}: expected {expected}, found {found}"));
        if let Some(kind) = &self.image_processor_type
            && !["Qwen2VLImageProcessor", "Qwen2VLImageProcessorFast"].contains(&kind.as_str())
        {
            return refuse("image_processor_type", "Qwen2VLImageProcessorFast", kind.clone());
        }
        for (field, of_config, found, expected) in [
            ("patch_size", "patch_size", self.patch_size, vision.patch_size),
            (
                "temporal_patch_size",
                "temporal_patch_size",
                self.temporal_patch_size,
                vision.temporal_patch_size,
            ),
            (
                "merge_size",
                "spatial_merge_size",
                self.merge_size,
                vision.spatial_merge_size,
            ),
        ] {
            if found != expected {
                let expected = format!("vision_config.{of_config} of config.json, {expected}");
                return refuse(field, &expected, found.to_string());
            }
        }
        for (field, values) in [("image_mean", self.image_mean), ("image_std", self.image_std)] {
            if values != [0.5; 3] {
                return refuse(field, "0.5 for each channel", format!("{values:?}"));
            }
        }
        if let Some(filter) = self.resample.filter(|filter| *filter != BICUBIC) {
            return refuse("resample", "3 (bicubic)", filter.to_string());
        }
        if let Some(factor) = self.rescale_factor.filter(|factor| (factor * 255.0 - 1.0).abs() > 1e-6) {
            return refuse("rescale_factor", "1/255", factor.to_string());
        }
        for (field, found, expected) in [
            ("do_resize", self.do_resize, true),
            ("do_rescale", self.do_rescale, true),
            ("do_normalize", self.do_normalize, true),
            ("do_center_crop", self.do_center_crop, false),
            ("do_pad", self.do_pad, false),
        ] {
            if found.is_some_and(|found| found != expected) {
                return refuse(field, &expected.to_string(), (!expected).to_string());
            }
        }
        Ok(())
    }
}
