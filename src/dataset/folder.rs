//! Describes folders that are no dataset in a layout that is read.

use std::path::{Path, PathBuf};

use super::episodes::sorted;
use super::error::DatasetError;
use super::info::INFO;

/// Maximum number of datasets that are named.
const MAX_LISTED: usize = 3;
/// Depth to which datasets are searched for; Hugging Face's cache has them at `datasets--OWNER--NAME/snapshots/REVISION`.
const MAX_DEPTH: usize = 3;
/// Maximum number of folders of each depth that are searched.
const MAX_FOLDERS: usize = 1000;

/// Files and folders by which others are recognised, and what their folder is, with advice.
const KINDS: [(&str, &str); 9] = [
    (
        "meta_data/info.json",
        "a dataset of LeRobot before v2.0; convert it with LeRobot's own scripts",
    ),
    (
        "info.json",
        "the folder meta of a dataset; name the folder that holds it",
    ),
    (
        "state.json",
        "a dataset as Hugging Face's save_to_disk writes it; convert it to LeRobot's layout",
    ),
    (
        "dataset_info.json",
        "a dataset of TensorFlow (RLDS) or of Hugging Face; convert it to LeRobot's layout",
    ),
    (".zgroup", "a Zarr store; convert it to LeRobot's layout"),
    ("zarr.json", "a Zarr store; convert it to LeRobot's layout"),
    (
        "metadata.yaml",
        "a recording of ROS 2; `thinkvla dataset import` makes a dataset of it",
    ),
    ("config.json", "a checkpoint; name a dataset"),
    (
        "meta",
        "a part of a dataset; its description is written last, so fetch it or make it again",
    ),
];

/// Returns the error for a path without `meta/info.json`. It says what the path is, or which datasets it contains.
pub fn no_dataset(root: &Path) -> DatasetError {
    if root.is_file() {
        let problem = "expected the folder of a dataset, found a file; unpack it, or name the folder";
        return DatasetError::content(root, problem);
    }
    let known = KINDS.iter().find(|(mark, _)| root.join(mark).exists());
    let within = datasets_in(root);
    let what = match (known, within.as_slice()) {
        (Some((_, what)), _) => format!("this is {what}"),
        (None, []) => "name the folder that holds meta".to_owned(),
        (None, some) => {
            let names: Vec<_> = some.iter().map(|path| path.display().to_string()).collect();
            format!("name one of the datasets in it, such as {}", names.join(", "))
        }
    };
    DatasetError::content(root, format!("expected a dataset of LeRobot, found no {INFO}; {what}"))
}

/// Finds the first datasets in a folder, at the smallest depth that has any.
fn datasets_in(root: &Path) -> Vec<PathBuf> {
    let mut folders = vec![root.to_owned()];
    for _ in 0..MAX_DEPTH {
        let inner = folders.iter().filter_map(|folder| sorted(folder).ok()).flatten();
        folders = inner.filter(|path| path.is_dir()).take(MAX_FOLDERS).collect();
        let datasets = folders.iter().filter(|folder| folder.join(INFO).is_file());
        let found: Vec<_> = datasets.take(MAX_LISTED).cloned().collect();
        if !found.is_empty() {
            return found;
        }
    }
    Vec::new()
}
