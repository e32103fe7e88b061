//! Memory-mapped weight files, one or several, of safetensors or `torch.save`, checked strictly against a network.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::path::{Path, PathBuf};

use safetensors::Dtype;
use sha2::{Digest, Sha256};
use tch::{Device, Kind, Tensor};

use crate::model::config::Precision;
use crate::model::error::ModelError;
use crate::model::layers::parameters::{Parameter, ParameterSource, Role};
use crate::model::layers::system_calls;

use super::WEIGHTS;
use super::mapped::Mapped;
use super::shards::Shards;
use super::tensor_check::{TensorProblem, fitting};

/// Key of the embedding.
pub const EMBEDDING: &str = "model.language_model.embed_tokens.weight";

/// Key of the text head; it may be stored even where it is tied to the embedding.
pub const TEXT_HEAD: &str = "lm_head.weight";

/// Prefix of the backbone's keys in a StarVLA run.
const STARVLA_PREFIX: &str = "qwen_vl_interface.model.";

/// Number of bytes hashed or copied between two releases of mapped pages.
const BYTES_PER_RELEASE: usize = 64 << 20;

/// Naming convention of the stored tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// Hugging Face's Qwen3-VL, which we use too.
    HuggingFace,
    /// StarVLA's, with a prefix before the backbone's keys.
    StarVla,
}

impl Naming {
    /// Returns the stored name of our `key`.
    pub fn stored(self, key: &str) -> String {
        match self {
            Self::StarVla if is_backbone(key) => format!("{STARVLA_PREFIX}{key}"),
            _ => key.to_owned(),
        }
    }

    /// Returns our key of a stored name.
    pub fn ours(self, stored: &str) -> &str {
        match self {
            Self::StarVla => stored.strip_prefix(STARVLA_PREFIX).unwrap_or(stored),
            Self::HuggingFace => stored,
        }
    }
}

/// Reports whether our key belongs to Qwen3-VL.
pub fn is_backbone(key: &str) -> bool {
    key.starts_with("model.") || key.starts_with("lm_head.")
}

/// Memory-mapped weight files.
#[derive(Debug)]
pub struct WeightFiles {
    naming: Naming,
    files: Vec<Mapped>,
    /// Index of the file that holds a tensor, by stored name.
    places: BTreeMap<String, usize>,
}

/// One tensor of a file.
#[derive(Debug, Clone, Copy)]
pub struct StoredTensor<'a> {
    /// Type.
    pub dtype: Dtype,
    /// Shape.
    pub shape: &'a [usize],
    /// Values, little-endian.
    pub data: &'a [u8],
    /// The file it is in.
    pub path: &'a Path,
}

impl WeightFiles {
    /// Maps `model.safetensors` or `pytorch_model.bin` of a directory, or the files that the index of either names.
    ///
    /// # Errors
    /// When a file is missing, truncated or of another kind, or the index does not match the files.
    pub fn of_directory(directory: &Path, naming: Naming) -> Result<Self, ModelError> {
        let shards = Shards::find(directory)?;
        let files = Self::of_files(&shards.paths, naming)?;
        shards.require(|tensor| {
            let file = files.files.get(*files.places.get(tensor)?)?;
            Some(file.path.as_path())
        })?;
        Ok(files)
    }

    /// Maps these files.
    ///
    /// # Errors
    /// When one is missing, truncated or not safetensors, or two hold a tensor of the same name.
    pub fn of_files(paths: &[PathBuf], naming: Naming) -> Result<Self, ModelError> {
        let files: Vec<_> = paths.iter().map(|path| Mapped::open(path)).collect::<Result<_, _>>()?;
        let mut places = BTreeMap::new();
        for (file, at) in files.iter().zip(0..) {
            for name in file.tensors.keys() {
                if places.insert(name.clone(), at).is_some() {
                    return Err(ModelError::read(&file.path, format!("{name} is in another file too")));
                }
            }
        }
        Ok(Self { naming, files, places })
    }

    /// Returns the naming convention of the stored tensors.
    pub fn naming(&self) -> Naming {
        self.naming
    }

    /// Keeps only the tensors whose stored names begin with `prefix`.
    pub fn within(mut self, prefix: &str) -> Self {
        self.places.retain(|stored, _| stored.starts_with(prefix));
        self
    }

    /// Returns the metadata in the header of the first file.
    pub fn metadata(&self) -> HashMap<String, String> {
        self.files.first().map(|file| file.notes.clone()).unwrap_or_default()
    }

    /// Returns our keys of all tensors in the files.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.places.keys().map(|stored| self.naming.ours(stored))
    }

    /// Returns the tensor of our `key`.
    pub fn get(&self, key: &str) -> Option<StoredTensor<'_>> {
        let stored = self.naming.stored(key);
        let file = self.files.get(*self.places.get(&stored)?)?;
        let info = file.tensors.get(&stored)?;
        let (start, end) = info.data_offsets;
        Some(StoredTensor {
            dtype: info.dtype,
            shape: &info.shape,
            data: file.map.get(file.data + start..file.data + end)?,
            path: &file.path,
        })
    }

    /// Returns the mapped memory of a copied tensor to the system; it is read from the file again if needed.
    pub fn release(&self, key: &str) {
        self.release_part(key, 0..usize::MAX);
    }

    /// Returns the mapped memory of some bytes of a tensor to the system.
    fn release_part(&self, key: &str, bytes: Range<usize>) {
        let stored = self.naming.stored(key);
        let Some(file) = self.places.get(&stored).and_then(|at| self.files.get(*at)) else {
            return;
        };
        if let Some(info) = file.tensors.get(&stored) {
            let (start, end) = info.data_offsets;
            let bytes = bytes.start.min(end - start)..bytes.end.min(end - start);
            system_calls::release(&file.map, file.data + start + bytes.start, bytes.len());
        }
    }

    /// Returns the type of most of the backbone's stored values: that of the embedding.
    pub fn precision(&self) -> Precision {
        match self.get(EMBEDDING).map(|stored| stored.dtype) {
            Some(Dtype::F32) => Precision::Float32,
            _ => Precision::Bfloat16,
        }
    }

    /// Returns the size of all files (bytes).
    pub fn bytes(&self) -> usize {
        self.files.iter().map(|file| file.map.len()).sum()
    }

    /// Returns the path of the first file, for messages.
    pub fn path(&self) -> &Path {
        self.files.first().map_or(Path::new(WEIGHTS), |file| &file.path)
    }

    /// Returns the SHA-256 of all files in order of their names, in hexadecimal.
    pub fn hash(&self) -> String {
        let mut hash = Sha256::new();
        for file in &self.files {
            for (chunk, at) in file.map.chunks(BYTES_PER_RELEASE).zip(0..) {
                hash.update(chunk);
                system_calls::release(&file.map, at * BYTES_PER_RELEASE, chunk.len());
            }
        }
        hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
    }
}

/// Settings for reading tensors from files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TensorSelection {
    /// Type of the backbone's tensors.
    pub backbone: Kind,
    /// Device of all tensors.
    pub device: Device,
    /// Whether the text head is tied to the embedding, so that a second copy in the files is ignored.
    pub tied: bool,
}

/// Part of a checkpoint to be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckpointPart {
    /// All tensors; any without a place is a problem.
    Everything,
    /// Tensors of Qwen3-VL; others may stay in the files.
    Backbone,
}

/// Weight files as a source of tensors; records which ones were requested.
#[derive(Debug)]
pub struct Weights<'a> {
    files: &'a WeightFiles,
    taking: TensorSelection,
    part: CheckpointPart,
    /// Seed for tensors that the files lack, where they may be drawn.
    filled_up: Option<u64>,
    asked: RefCell<BTreeSet<String>>,
    problems: RefCell<Vec<String>>,
}

impl<'a> Weights<'a> {
    /// Takes tensors from `files`.
    pub fn new(files: &'a WeightFiles, taking: TensorSelection) -> Self {
        Self {
            files,
            taking,
            part: CheckpointPart::Everything,
            filled_up: None,
            asked: RefCell::default(),
            problems: RefCell::default(),
        }
    }

    /// Restricts to a part; other tensors stay in the files.
    pub fn only(mut self, part: CheckpointPart) -> Self {
        self.part = part;
        self
    }

    /// For a network with other added parts than the files: tensors of added parts that are missing are drawn from a
    /// seed, and those without a place are ignored.
    pub fn filled_up(mut self, seed: u64) -> Self {
        self.filled_up = Some(seed);
        self
    }

    /// Reports whether an unused tensor may stay in the files.
    fn leaves(&self, key: &str) -> bool {
        let backbone_alone = self.part == CheckpointPart::Backbone || self.filled_up.is_some();
        (self.taking.tied && key == TEXT_HEAD) || (backbone_alone && !is_backbone(key))
    }

    /// Checks that the weights fit, after a network has requested all its tensors. All that are missing, extra, of
    /// another shape or of another type are reported together.
    ///
    /// # Errors
    /// When anything does not fit.
    pub fn finish(self) -> Result<(), ModelError> {
        let asked = self.asked.take();
        let mut problems = self.problems.take();
        let mut extra: Vec<_> = self
            .files
            .keys()
            .filter(|key| !asked.contains(*key) && !self.leaves(key))
            .map(|key| TensorProblem::Extra(key.to_owned()).to_string())
            .collect();
        extra.sort();
        problems.extend(extra);
        if problems.is_empty() {
            return Ok(());
        }
        Err(ModelError::Weights {
            path: self.files.path().to_owned(),
            problems,
        })
    }

    /// Returns a copy of the stored values as `kind`, or a description of what is wrong with them. Copies in parts, so
    /// that a large tensor is never in memory twice.
    fn read(&self, parameter: &Parameter, kind: Kind) -> Result<Result<Tensor, TensorProblem>, ModelError> {
        let Parameter { key, shape, .. } = parameter;
        let stored = match (fitting(parameter, self.files), self.filled_up) {
            (Ok(stored), _) => stored,
            (Err(TensorProblem::Missing { .. }), Some(seed)) if !is_backbone(key) => {
                return Ok(Ok(Tensor::f_from_slice(&parameter.draw(seed))?
                    .f_reshape(shape)?
                    .f_to_kind(kind)?
                    .f_to_device(self.taking.device)?));
            }
            (Err(problem), _) => return Ok(Err(problem)),
        };
        let (stored_kind, size) = match stored.dtype {
            Dtype::F32 => (Kind::Float, 4),
            Dtype::BF16 => (Kind::BFloat16, 2),
            _ => (Kind::Half, 2),
        };
        let tensor = Tensor::f_empty(shape, (kind, self.taking.device))?;
        let values = tensor.f_view([-1])?;
        for (part, start) in stored
            .data
            .chunks(BYTES_PER_RELEASE)
            .zip((0..).step_by(BYTES_PER_RELEASE))
        {
            let count = (part.len() / size) as i64;
            let part_values = Tensor::f_from_data_size(part, &[count], stored_kind)?;
            values
                .f_narrow(0, (start / size) as i64, count)?
                .f_copy_(&part_values)?;
            self.files.release_part(key, start..start + part.len());
        }
        Ok(Ok(tensor))
    }
}

impl ParameterSource for Weights<'_> {
    fn tensor(&self, parameter: Parameter, role: Role) -> Result<Tensor, ModelError> {
        let kind = match role {
            Role::Backbone => self.taking.backbone,
            Role::Head => Kind::Float,
        };
        let read = self.read(&parameter, kind)?;
        self.asked.borrow_mut().insert(parameter.key.clone());
        match read {
            Ok(tensor) => Ok(tensor),
            Err(problem) => {
                self.problems.borrow_mut().push(problem.to_string());
                // Placeholder until the problems are reported.
                Ok(Tensor::f_empty(&parameter.shape, (kind, Device::Cpu))?)
            }
        }
    }

    fn forward_only(&self) -> bool {
        true
    }
}
