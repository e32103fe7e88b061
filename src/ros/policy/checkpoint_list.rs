//! List of the checkpoints on disk, with their metadata.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::Deserialize;

use super::error::PolicyError;
use crate::contract::{Contract, FILE_NAME};
use crate::files;

/// File name of the weights.
const WEIGHTS: &str = "model.safetensors";
/// File name of the training record beside the weights.
const RECORDS: &str = "training.json";
/// Depth to which checkpoints are searched for: directory, run, step.
const DEPTH: usize = 3;

/// A checkpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckpointEntry {
    /// Its directory.
    pub path: PathBuf,
    /// Name of the weights, from the contract.
    pub name: String,
    /// Modification time of the weights.
    pub date: SystemTime,
    /// Training record.
    pub records: TrainingRecord,
}

/// Fields of the training record that the list contains.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
pub struct TrainingRecord {
    /// Number of training steps.
    #[serde(default)]
    pub step: u64,
    /// Action error on held-out episodes, normalised.
    #[serde(default)]
    pub held_out: Option<f64>,
    #[serde(default)]
    config: Configured,
}

#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
struct Configured {
    #[serde(default)]
    data: Data,
}

#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
struct Data {
    #[serde(default)]
    datasets: Vec<Share>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Share {
    path: PathBuf,
}

impl TrainingRecord {
    /// Folders of the datasets of the training.
    pub fn datasets(&self) -> impl Iterator<Item = &Path> {
        self.config.data.datasets.iter().map(|share| share.path.as_path())
    }
}

/// Lists the checkpoints below a directory, newest first. Hidden directories are skipped: they are being written.
///
/// # Errors
/// When the directory cannot be read.
pub fn find_checkpoints(directory: &Path) -> Result<Vec<CheckpointEntry>, PolicyError> {
    std::fs::read_dir(directory).map_err(|source| PolicyError::Directory {
        path: directory.to_owned(),
        source,
    })?;
    let mut found = Vec::new();
    search(directory, DEPTH, &mut found);
    found.sort_by(|a, b| b.date.cmp(&a.date).then_with(|| a.path.cmp(&b.path)));
    Ok(found)
}

fn search(directory: &Path, depth: usize, found: &mut Vec<CheckpointEntry>) {
    if let Some(entry) = entry(directory) {
        found.push(entry);
        return;
    }
    // A directory that cannot be read contains nothing that could be loaded.
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    for inner in entries.filter(|_| depth > 0) {
        let hidden = inner.file_name().to_string_lossy().starts_with('.');
        if !hidden && inner.path().is_dir() {
            search(&inner.path(), depth - 1, found);
        }
    }
}

fn entry(directory: &Path) -> Option<CheckpointEntry> {
    let date = directory.join(WEIGHTS).metadata().ok()?.modified().ok()?;
    if !directory.join(FILE_NAME).is_file() {
        return None;
    }
    let contract = Contract::load(directory).ok();
    let records = files::read_text(&directory.join(RECORDS), files::TABLE).ok();
    Some(CheckpointEntry {
        path: directory.to_owned(),
        name: contract
            .and_then(|of| of.model)
            .map(|model| model.weights)
            .unwrap_or_default(),
        date,
        records: records
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoints_are_found_with_their_records_and_those_in_the_making_are_not() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["run/step-1", "run/.open-2", "other"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(&path).unwrap();
            std::fs::write(path.join(WEIGHTS), "").unwrap();
            std::fs::write(path.join(FILE_NAME), "").unwrap();
        }
        let records =
            r#"{"step": 7, "held_out": 0.25, "config": {"steps": 9, "data": {"datasets": [{"path": "a/b"}]}}}"#;
        std::fs::write(folder.path().join("run/step-1").join(RECORDS), records).unwrap();
        let found = find_checkpoints(folder.path()).unwrap();
        assert_eq!(found.len(), 2);
        let trained = found.iter().find(|entry| entry.path.ends_with("run/step-1")).unwrap();
        assert_eq!((trained.records.step, trained.records.held_out), (7, Some(0.25)));
        assert_eq!(trained.records.datasets().collect::<Vec<_>>(), [Path::new("a/b")]);
        assert!(
            find_checkpoints(&folder.path().join("nowhere"))
                .unwrap_err()
                .to_string()
                .contains("nowhere")
        );
    }
}
