//! Weights as written by `torch.save`: a zip archive of uncompressed files, of which one is a pickle that assigns
//! tensors to the others, which hold the values.
//!
//! Nothing in it is executed. The reader of the pickle supports only the few instructions of a plain state dict and
//! refuses files with any other; no function named in it is ever called. Values are mapped, like those of safetensors.

mod archive;
mod error;
mod state_dict;
mod values;

use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

use safetensors::tensor::TensorInfo;

use archive::Archive;
pub use error::{StateDictError, TorchArchiveError};
use state_dict::StateDict;
use values::Stored;

/// File of the archive that describes the others.
const INDEX: &str = "data.pkl";
/// File that states the byte order of the others.
const BYTE_ORDER: &str = "byteorder";
/// Largest accepted index (bytes); the largest checkpoints need a few hundred kilobytes.
const LARGEST_INDEX: usize = 4 << 20;

/// Reports whether a file begins like such an archive.
pub fn is_one(file: &[u8]) -> bool {
    file.starts_with(archive::BEGINNING)
}

/// Returns the byte range of each tensor in the file.
///
/// # Errors
/// When the file is damaged, or is anything but a plain state dict.
pub fn tensors(file: &[u8]) -> Result<BTreeMap<String, TensorInfo>, TorchArchiveError> {
    let archive = Archive::read(file)?;
    let (folder, index) = index_of(&archive)?;
    if let Some(order) = archive.get(&format!("{folder}{BYTE_ORDER}"))
        && file.get(order) != Some(b"little")
    {
        return Err(TorchArchiveError::ByteOrder);
    }
    if index.len() > LARGEST_INDEX {
        return Err(TorchArchiveError::IndexSize { found: index.len() });
    }
    let listed = StateDict::read(file.get(index).unwrap_or_default()).map_err(TorchArchiveError::Index)?;
    let place = |(name, stored): (&Rc<str>, &Rc<Stored>)| {
        let values = archive.get(&format!("{folder}data/{}", stored.storage));
        let values = values.ok_or_else(|| TorchArchiveError::NoValues {
            tensor: name.to_string(),
            storage: stored.storage.to_string(),
        })?;
        Ok((name.to_string(), info(name, stored, values)?))
    };
    listed.tensors.iter().map(place).collect()
}

/// Returns the index and its folder.
fn index_of<'a>(archive: &Archive<'a>) -> Result<(&'a str, Range<usize>), TorchArchiveError> {
    let mut found = archive.entries().filter_map(|(name, range)| {
        let folder = name.strip_suffix(INDEX)?;
        (folder.is_empty() || folder.ends_with('/')).then_some((folder, range))
    });
    match (found.next(), found.next()) {
        (Some(only), None) => Ok(only),
        (None, _) => Err(TorchArchiveError::NoIndex),
        (Some(_), Some(_)) => Err(TorchArchiveError::SeveralIndices),
    }
}

fn info(tensor: &str, stored: &Stored, storage: Range<usize>) -> Result<TensorInfo, TorchArchiveError> {
    let size = stored.dtype.bitsize() / 8;
    let expected = stored.storage_len.checked_mul(size);
    if expected != Some(storage.len()) {
        return Err(TorchArchiveError::StorageSize {
            tensor: tensor.to_owned(),
            count: stored.storage_len,
            size,
            storage: stored.storage.to_string(),
            found: storage.len(),
        });
    }
    let count = stored.shape.iter().try_fold(1usize, |all, n| all.checked_mul(*n));
    let within = count
        .and_then(|count| Some((stored.offset, stored.offset.checked_add(count)?)))
        .filter(|(_, end)| *end <= stored.storage_len);
    let (start, end) = within.ok_or_else(|| TorchArchiveError::Range {
        tensor: tensor.to_owned(),
        shape: stored.shape.clone(),
        offset: stored.offset,
        count: stored.storage_len,
        storage: stored.storage.to_string(),
    })?;
    Ok(TensorInfo {
        dtype: stored.dtype,
        shape: stored.shape.clone(),
        // Products of numbers below the storage's length, which is within the file.
        data_offsets: (storage.start + start * size, storage.start + end * size),
    })
}
