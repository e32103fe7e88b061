//! A memory-mapped file of weights.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use safetensors::tensor::{Metadata, TensorInfo};
use safetensors::{SafeTensorError, SafeTensors};

use crate::files;
use crate::model::error::ModelError;
use crate::model::layers::system_calls;

use super::{pickle, torch_archive};

/// Memory-mapped file of weights, and where its tensors are.
#[derive(Debug)]
pub(super) struct Mapped {
    pub(super) path: PathBuf,
    pub(super) map: Mmap,
    pub(super) tensors: BTreeMap<String, TensorInfo>,
    /// Metadata of the header.
    pub(super) notes: HashMap<String, String>,
    /// Offset of the tensor data.
    pub(super) data: usize,
}

/// Prefixes of all names of networks that were saved from within PyTorch's `DataParallel`, `DistributedDataParallel` or
/// `torch.compile`.
const WRAPPER_PREFIXES: [&str; 2] = ["module.", "_orig_mod."];

/// Removes the prefixes that all names have from their being saved within a wrapper.
pub(super) fn unwrapped<T>(mut tensors: BTreeMap<String, T>) -> BTreeMap<String, T> {
    let wraps = |tensors: &BTreeMap<String, T>, prefix: &str| {
        !tensors.is_empty() && tensors.keys().all(|name| name.starts_with(prefix))
    };
    while let Some(prefix) = WRAPPER_PREFIXES.iter().find(|prefix| wraps(&tensors, prefix)) {
        let bare = |name: String| name.strip_prefix(*prefix).unwrap_or(&name).to_owned();
        tensors = tensors.into_iter().map(|(name, value)| (bare(name), value)).collect();
    }
    tensors
}

/// Returns the number of bytes after the last tensor of a safetensors file, if there are any.
fn appended(file: &[u8]) -> Option<usize> {
    let (length, rest) = file.split_first_chunk()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    let (header, data) = rest.split_at_checked(length)?;
    let metadata: Metadata = serde_json::from_slice(header).ok()?;
    let count = data.len().checked_sub(metadata.data_len())?;
    (count > 0).then_some(count)
}

impl Mapped {
    /// Maps a safetensors file or an archive of `torch.save`.
    ///
    /// # Errors
    /// When it is missing, truncated or neither.
    pub(super) fn open(path: &Path) -> Result<Self, ModelError> {
        let mut opened = match pickle::is_one(path) {
            true => Self::open_pickled(path)?,
            false => Self::open_safe(path)?,
        };
        opened.tensors = unwrapped(opened.tensors);
        Ok(opened)
    }

    fn open_safe(path: &Path) -> Result<Self, ModelError> {
        let map = files::open(path)
            .and_then(|file| system_calls::map(&file))
            .map_err(|e| ModelError::read(path, e))?;
        if map.is_empty() {
            return Err(ModelError::read(
                path,
                "expected safetensors, found an empty file; fetch it again",
            ));
        }
        let refuse = |e: SafeTensorError| {
            let problem = match e {
                SafeTensorError::MetadataIncompleteBuffer => appended(&map).map(|count| {
                    format!(
                        "expected the file to end with its last tensor, found {count} bytes after it; fetch it again"
                    )
                }),
                _ => None,
            };
            let problem =
                problem.unwrap_or_else(|| format!("{e}; the file is truncated or not safetensors, fetch it again"));
            ModelError::read(path, problem)
        };
        // Checks that the header and the tensors fill the file exactly.
        SafeTensors::deserialize(&map).map_err(refuse)?;
        let (header, metadata) = SafeTensors::read_metadata(&map).map_err(refuse)?;
        let tensors = metadata.tensors().into_iter().map(|(k, v)| (k, v.clone())).collect();
        Ok(Self {
            path: path.to_owned(),
            map,
            tensors,
            notes: metadata.metadata().clone().unwrap_or_default(),
            data: size_of::<u64>() + header,
        })
    }

    fn open_pickled(path: &Path) -> Result<Self, ModelError> {
        let map = files::open_any(path)
            .and_then(|file| system_calls::map(&file))
            .map_err(|e| ModelError::read(path, e))?;
        if !torch_archive::is_one(&map) {
            if map.first() != Some(&pickle::BEGINNING) {
                // Refuses known other formats by their signature, with a better message.
                files::open(path).map_err(|e| ModelError::read(path, e))?;
            }
            return Err(pickle::refuse(path, "expected a zip archive, found something else"));
        }
        Ok(Self {
            tensors: torch_archive::tensors(&map).map_err(|e| pickle::refuse(path, &e.to_string()))?,
            path: path.to_owned(),
            map,
            notes: HashMap::new(),
            data: 0,
        })
    }
}
