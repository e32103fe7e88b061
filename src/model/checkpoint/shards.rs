//! Finds the weight files of a directory: a single one, or those that an index names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::mapped::unwrapped;
use super::{WEIGHTS, pickle};
use crate::files;
use crate::model::error::ModelError;
use crate::model::json;

/// File name of the index that assigns tensors to files.
const INDEX: &str = "model.safetensors.index.json";
/// The same of pickled weights.
const PICKLED_INDEX: &str = "pytorch_model.bin.index.json";
/// Names by which weights are found; the first that exists counts.
const NAMES: [&str; 4] = [WEIGHTS, INDEX, pickle::HUGGING_FACE_PICKLE, PICKLED_INDEX];

/// Weight files of a directory.
#[derive(Debug)]
pub(super) struct Shards {
    /// Paths of the files.
    pub(super) paths: Vec<PathBuf>,
    /// Path of the index, and the name of the file to which it assigns each tensor.
    index: Option<(PathBuf, BTreeMap<String, String>)>,
}

/// Field of the index that is read.
#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// Reports whether a directory has weights by one of their usual names.
pub(super) fn has_weights(directory: &Path) -> bool {
    NAMES.iter().any(|name| directory.join(name).exists())
}

impl Shards {
    /// Finds the weights of a directory.
    ///
    /// # Errors
    /// When there are none, or the index cannot be read or names files elsewhere.
    pub(super) fn find(directory: &Path) -> Result<Self, ModelError> {
        let mut usual = NAMES.iter().map(|name| directory.join(name));
        // A link that leads nowhere is found as well, and refused when it is opened.
        let Some(path) = usual.find(|path| path.symlink_metadata().is_ok()) else {
            return Err(refuse_empty(directory));
        };
        if ![INDEX, PICKLED_INDEX].iter().any(|name| path.ends_with(name)) {
            return Ok(Self {
                paths: vec![path],
                index: None,
            });
        }
        let Index { weight_map } = json::read(&path, files::TABLE)?;
        let names: BTreeSet<_> = weight_map.values().collect();
        if let Some(outside) = names
            .iter()
            .find(|name| Path::new(name).file_name() != Some(name.as_ref()))
        {
            return Err(ModelError::read(
                &path,
                format!("expected names of files beside it, found {outside:?}"),
            ));
        }
        Ok(Self {
            paths: names.into_iter().map(|name| directory.join(name)).collect(),
            index: Some((path, unwrapped(weight_map))),
        })
    }

    /// Checks that each tensor is in the file that the index names; `held_in` returns the path of a tensor's file.
    ///
    /// # Errors
    /// Names the first tensor that is not.
    pub(super) fn require<'a>(&self, held_in: impl Fn(&str) -> Option<&'a Path>) -> Result<(), ModelError> {
        let Some((index, weight_map)) = &self.index else {
            return Ok(());
        };
        for (tensor, name) in weight_map {
            if held_in(tensor).is_none_or(|path| !path.ends_with(name)) {
                return Err(ModelError::read(
                    index,
                    format!("it says that {name} holds {tensor}, which it does not; fetch both again"),
                ));
            }
        }
        Ok(())
    }
}

/// Returns the error of a directory without weights by any of their usual names.
fn refuse_empty(directory: &Path) -> ModelError {
    if let Some(pickled) = pickle::of_directory(directory).last() {
        return pickle::refuse(pickled, "its name is that of a pickle");
    }
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    match names.find(|name| name.starts_with("model-") && name.ends_with(".safetensors")) {
        Some(shard) => ModelError::read(
            &directory.join(INDEX),
            format!("expected the index of {shard} and the files beside it, found none; fetch it too"),
        ),
        None => ModelError::read(
            &directory.join(WEIGHTS),
            format!("expected weights, found neither it nor {INDEX}; fetch them"),
        ),
    }
}
