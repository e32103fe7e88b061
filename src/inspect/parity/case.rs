//! Case files: inputs, expected results of the reference, and metadata.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use safetensors::Dtype;
use tch::{Kind, Tensor};

use crate::camera::rgb::RgbImage;
use crate::model::checkpoint::weights::{Naming, StoredTensor, WeightFiles};
use crate::model::error::ModelError;

/// Prefix of the keys of results.
pub const EXPECTED: &str = "expected.";
/// Prefix of the keys of images.
const IMAGE: &str = "input.image.";
/// Prefix of the keys of inputs.
const INPUT: &str = "input.";

/// A memory-mapped case file.
#[derive(Debug)]
pub struct Case {
    path: PathBuf,
    files: WeightFiles,
    metadata: HashMap<String, String>,
}

/// One user message of a case.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// The user's text.
    pub text: String,
    /// Images before the text.
    pub images: Vec<RgbImage>,
}

impl Case {
    /// Opens a case.
    ///
    /// # Errors
    /// When the file cannot be read or is not safetensors.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        let files = WeightFiles::of_files(&[path.to_owned()], Naming::HuggingFace)?;
        Ok(Self {
            path: path.to_owned(),
            metadata: files.metadata(),
            files,
        })
    }

    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the metadata in the header.
    pub fn metadata(&self) -> &HashMap<String, String> {
        &self.metadata
    }

    /// Returns an error that refuses this file.
    pub fn refuse(&self, message: impl Into<String>) -> ModelError {
        ModelError::Case {
            path: self.path.clone(),
            message: message.into(),
        }
    }

    /// Returns the names after `expected.`; `known` tells which ones can be compared.
    ///
    /// # Errors
    /// When there is none, or one that cannot be compared.
    pub fn expected(&self, known: impl Fn(&str) -> bool) -> Result<BTreeSet<String>, ModelError> {
        let names: BTreeSet<String> = self
            .files
            .keys()
            .filter_map(|key| key.strip_prefix(EXPECTED).map(str::to_owned))
            .collect();
        if names.is_empty() {
            return Err(self.refuse("expected at least one tensor expected.…, found none"));
        }
        match names.iter().find(|name| !known(name)) {
            Some(name) => Err(self.refuse(format!("found {EXPECTED}{name}, which cannot be compared in this form"))),
            None => Ok(names),
        }
    }

    /// Refuses inputs that `known` does not accept: the reference used them, and this comparison would not.
    ///
    /// # Errors
    /// Names the input.
    pub fn check_inputs(&self, known: impl Fn(&str) -> bool) -> Result<(), ModelError> {
        let mut inputs = self.files.keys().filter(|key| key.starts_with(INPUT));
        match inputs.find(|key| !known(key)) {
            Some(key) => Err(self.refuse(format!("found {key}, which is not an input in this form"))),
            None => Ok(()),
        }
    }

    /// Returns a tensor of floating-point values, in 32 bits.
    ///
    /// # Errors
    /// When it is missing or of another type.
    pub fn values(&self, key: &str) -> Result<Tensor, ModelError> {
        let kind = |dtype| match dtype {
            Dtype::F64 => Some(Kind::Double),
            Dtype::F32 => Some(Kind::Float),
            Dtype::F16 => Some(Kind::Half),
            Dtype::BF16 => Some(Kind::BFloat16),
            _ => None,
        };
        let tensor = self.read(key, "F32, F64, F16 or BF16", kind)?;
        Ok(tensor.f_to_kind(Kind::Float)?)
    }

    /// Returns a tensor of integers.
    ///
    /// # Errors
    /// When it is missing or of another type.
    pub fn numbers(&self, key: &str) -> Result<Tensor, ModelError> {
        let kind = |dtype| match dtype {
            Dtype::I64 => Some(Kind::Int64),
            Dtype::I32 => Some(Kind::Int),
            _ => None,
        };
        let tensor = self.read(key, "I64 or I32", kind)?;
        Ok(tensor.f_to_kind(Kind::Int64)?)
    }

    /// Returns the user messages, each with its images.
    ///
    /// # Errors
    /// When texts are missing or given twice, or the numbers of images do not match.
    pub fn messages(&self) -> Result<Vec<Message>, ModelError> {
        let images = self.images()?;
        let of = |key: &str, i: usize| self.metadata.get(&format!("{key}.{i}"));
        match (self.metadata.get("text"), of("text", 0)) {
            (Some(_), Some(_)) => Err(self.refuse("expected metadata text or text.0 …, found both")),
            (None, None) => Err(self.refuse("expected the user's text in metadata text, or text.0 …, found neither")),
            (Some(text), None) => Ok(vec![Message {
                text: text.clone(),
                images,
            }]),
            (None, Some(_)) => {
                let (total, mut rest) = (images.len(), images.into_iter());
                let mut messages = Vec::new();
                while let Some(text) = of("text", messages.len()) {
                    let key = format!("images.{}", messages.len());
                    let count = self.metadata.get(&key).and_then(|count| count.parse().ok());
                    let Some(count) = count else {
                        let found = self.metadata.get(&key).map_or("nothing", |text| text);
                        return Err(ModelError::metadata(key, "how many images belong to that text", found));
                    };
                    messages.push(Message {
                        text: text.clone(),
                        images: rest.by_ref().take(count).collect(),
                    });
                }
                let texts: usize = messages.len();
                let given: usize = messages.iter().map(|message| message.images.len()).sum();
                let counted = self.counted(texts);
                if given == total && counted == total {
                    return Ok(messages);
                }
                Err(self.refuse(format!(
                    "expected the counts images.0 … of {texts} texts to add up to the {total} images, found {counted}"
                )))
            }
        }
    }

    /// Returns the sum of the image counts of the first texts.
    fn counted(&self, texts: usize) -> usize {
        let count = |i: usize| self.metadata.get(&format!("images.{i}"))?.parse::<usize>().ok();
        (0..texts).filter_map(count).sum()
    }

    /// Returns all images in order.
    fn images(&self) -> Result<Vec<RgbImage>, ModelError> {
        let count = self.files.keys().filter(|key| key.starts_with(IMAGE)).count();
        (0..count).map(|i| self.image(&format!("{IMAGE}{i}"))).collect()
    }

    fn image(&self, key: &str) -> Result<RgbImage, ModelError> {
        let stored = self.stored(key)?;
        let shaped = match (stored.dtype, stored.shape) {
            (Dtype::U8, [height, width, 3]) => u32::try_from(*height).ok().zip(u32::try_from(*width).ok()),
            _ => None,
        };
        let Some((height, width)) = shaped else {
            return Err(self.refuse(format!(
                "{key}: expected height x width x 3 of U8, found {:?} of {:?}",
                stored.shape, stored.dtype
            )));
        };
        RgbImage::from_raw(width, height, stored.data.to_vec()).map_err(|e| self.refuse(format!("{key}: {e}")))
    }

    fn stored(&self, key: &str) -> Result<StoredTensor<'_>, ModelError> {
        self.files
            .get(key)
            .ok_or_else(|| self.refuse(format!("expected a tensor {key}, found none")))
    }

    fn read(&self, key: &str, wanted: &str, kind: impl Fn(Dtype) -> Option<Kind>) -> Result<Tensor, ModelError> {
        let stored = self.stored(key)?;
        let Some(kind) = kind(stored.dtype) else {
            return Err(self.refuse(format!("{key}: expected {wanted}, found {:?}", stored.dtype)));
        };
        let shape: Vec<i64> = stored.shape.iter().map(|n| *n as i64).collect();
        Ok(Tensor::f_from_data_size(stored.data, &shape, kind)?)
    }
}

/// Reports whether a key is that of an image.
pub fn is_image(key: &str) -> bool {
    key.strip_prefix(IMAGE).is_some_and(|i| i.parse::<usize>().is_ok())
}
