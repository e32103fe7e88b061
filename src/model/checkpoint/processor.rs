//! Reads how the reference resizes and normalises images: from `preprocessor_config.json` or, since transformers 5,
//! from `processor_config.json`, which holds the same fields one level deeper.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::camera::patches::PatchRule;
use crate::files;
use crate::model::config::{Qwen3VlConfig, VisionConfig};
use crate::model::error::ModelError;
use crate::model::json;

/// File name inside a Hugging Face directory.
pub const PREPROCESSOR: &str = "preprocessor_config.json";
/// File name of the newer form, which describes all parts of the processor.
pub const PROCESSOR: &str = "processor_config.json";
/// Key of the image part in the newer form.
const IMAGES: &str = "image_processor";
/// Names of the class: those of older versions of transformers, and one with a backend's name.
const CLASSES: [&str; 3] = [
    "Qwen2VLImageProcessor",
    "Qwen2VLImageProcessorFast",
    "Qwen2VLImageProcessorPil",
];

/// Pillow's code of the bicubic filter.
const BICUBIC: i64 = 3;

/// Image preprocessing of a directory, from one or both files.
#[derive(Debug, Clone, PartialEq)]
pub struct Preprocessing {
    first: FileFields,
    also: Option<FileFields>,
}

/// Fields of one file.
#[derive(Debug, Clone, PartialEq)]
struct FileFields {
    name: &'static str,
    fields: Fields,
}

/// Fields that determine the vision tower's input.
#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Fields {
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

/// The newer spelling of the bounds; areas in spite of their names (px²).
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
struct Edges {
    shortest_edge: Option<i64>,
    longest_edge: Option<i64>,
}

/// Bounds of the images the network is fed (px²).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageBounds {
    /// Smallest area.
    pub min_pixels: i64,
    /// Largest area.
    pub max_pixels: i64,
}

impl ImageBounds {
    /// Returns Qwen3-VL's patch rule with these bounds.
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

    /// Returns the file with these bounds, as the reference writes it.
    pub fn to_json(self, vision: &VisionConfig) -> Value {
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
    /// Reads the files of a directory.
    ///
    /// # Errors
    /// When there is no such file, or one is invalid.
    pub fn load(directory: &Path) -> Result<Self, ModelError> {
        let path = directory.join(PREPROCESSOR);
        let older = match path.exists() {
            true => Some(FileFields {
                name: PREPROCESSOR,
                fields: json::read(&path, files::CONFIGURATION)?,
            }),
            false => None,
        };
        let newer = match part(directory, IMAGES)? {
            Some(fields) => Some(FileFields {
                name: PROCESSOR,
                fields: serde_json::from_value(fields)
                    .map_err(|e| ModelError::read(&directory.join(PROCESSOR), format!("{IMAGES}: {e}")))?,
            }),
            None => None,
        };
        let mut found = older.into_iter().chain(newer);
        match (found.next(), found.next()) {
            (Some(first), also) => Ok(Self { first, also }),
            (None, _) => Err(ModelError::read(
                &path,
                format!("it does not exist, and there is no {PROCESSOR} with an {IMAGES} either"),
            )),
        }
    }

    /// Returns the patch rule, if it is Qwen3-VL's and fits the vision tower. Settings that this package does not
    /// implement are refused.
    ///
    /// # Errors
    /// Names the field that does not fit.
    pub fn patch_rule(&self, config: &Qwen3VlConfig) -> Result<PatchRule, ModelError> {
        Ok(self.bounds(&config.vision_config)?.rule(&config.vision_config))
    }

    /// Returns the bounds, if all other settings are Qwen3-VL's. With both files, versions of the reference differ in
    /// which one they read, so both must agree.
    ///
    /// # Errors
    /// Names the field that does not fit.
    pub fn bounds(&self, vision: &VisionConfig) -> Result<ImageBounds, ModelError> {
        let bounds = self.first.bounds(vision)?;
        let Some(also) = &self.also else {
            return Ok(bounds);
        };
        let other = also.bounds(vision)?;
        match other == bounds {
            true => Ok(bounds),
            false => Err(also.refuse(format!(
                "expected {} to {} px, as {} says, found {} to {}; remove the file that is wrong",
                bounds.min_pixels, bounds.max_pixels, self.first.name, other.min_pixels, other.max_pixels
            ))),
        }
    }
}

impl FileFields {
    fn bounds(&self, vision: &VisionConfig) -> Result<ImageBounds, ModelError> {
        self.check(vision)?;
        self.area()
    }

    /// With both spellings the older one takes precedence, as in the reference.
    fn area(&self) -> Result<ImageBounds, ModelError> {
        let edges = self.fields.size.as_ref();
        let min = self.fields.min_pixels.or(edges.and_then(|size| size.shortest_edge));
        let max = self.fields.max_pixels.or(edges.and_then(|size| size.longest_edge));
        match (min, max) {
            (Some(min_pixels), Some(max_pixels)) if 0 < min_pixels && min_pixels <= max_pixels => {
                Ok(ImageBounds { min_pixels, max_pixels })
            }
            (Some(min), Some(max)) => {
                Err(self.refuse(format!("expected 0 < min_pixels <= max_pixels, found {min} and {max}")))
            }
            _ => Err(self.refuse(
                "expected min_pixels and max_pixels, or size.shortest_edge and size.longest_edge, found neither".into(),
            )),
        }
    }

    fn check(&self, vision: &VisionConfig) -> Result<(), ModelError> {
        let refuse = |field: &str, expected: &str, found: String| {
            Err(self.refuse(format!("{field}: expected {expected}, found {found}")))
        };
        if let Some(kind) = &self.fields.image_processor_type
            && !CLASSES.contains(&kind.as_str())
        {
            return refuse("image_processor_type", &CLASSES.join(" or "), kind.clone());
        }
        for (field, of_config, found, expected) in [
            ("patch_size", "patch_size", self.fields.patch_size, vision.patch_size),
            (
                "temporal_patch_size",
                "temporal_patch_size",
                self.fields.temporal_patch_size,
                vision.temporal_patch_size,
            ),
            (
                "merge_size",
                "spatial_merge_size",
                self.fields.merge_size,
                vision.spatial_merge_size,
            ),
        ] {
            if found != expected {
                let expected = format!("vision_config.{of_config} of config.json, {expected}");
                return refuse(field, &expected, found.to_string());
            }
        }
        for (field, values) in [
            ("image_mean", self.fields.image_mean),
            ("image_std", self.fields.image_std),
        ] {
            if values != [0.5; 3] {
                return refuse(field, "0.5 for each channel", format!("{values:?}"));
            }
        }
        if let Some(filter) = self.fields.resample.filter(|filter| *filter != BICUBIC) {
            return refuse("resample", "3 (bicubic)", filter.to_string());
        }
        if let Some(factor) = self
            .fields
            .rescale_factor
            .filter(|factor| (factor * 255.0 - 1.0).abs() > 1e-6)
        {
            return refuse("rescale_factor", "1/255", factor.to_string());
        }
        for (field, found, expected) in [
            ("do_resize", self.fields.do_resize, true),
            ("do_rescale", self.fields.do_rescale, true),
            ("do_normalize", self.fields.do_normalize, true),
            ("do_center_crop", self.fields.do_center_crop, false),
            ("do_pad", self.fields.do_pad, false),
        ] {
            if found.is_some_and(|found| found != expected) {
                return refuse(field, &expected.to_string(), (!expected).to_string());
            }
        }
        Ok(())
    }

    fn refuse(&self, message: String) -> ModelError {
        ModelError::read(Path::new(self.name), message)
    }
}

/// Returns a part of the newer form, if a directory has it.
///
/// # Errors
/// When the file cannot be read.
pub fn part(directory: &Path, name: &str) -> Result<Option<Value>, ModelError> {
    let path = directory.join(PROCESSOR);
    if !path.exists() {
        return Ok(None);
    }
    let mut file: Map<String, Value> = json::read(&path, files::CONFIGURATION)?;
    Ok(file.remove(name).filter(Value::is_object))
}
