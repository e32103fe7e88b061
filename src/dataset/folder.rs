//! Describes folders that are no dataset in a layout that is read.

use std::path::{Path, PathBuf};

use super::episodes::is_hidden;
use super::error::DatasetError;
use super::info::INFO;

/// Maximum number of datasets that are named.
const MAX_LISTED: usize = 3;
/// Depth to which datasets are searched for; Hugging Face's cache has them at `datasets--OWNER--NAME/snapshots/REVISION`.
const MAX_DEPTH: usize = 3;
/// Maximum number of files and folders that a search looks at.
const MAX_ENTRIES: usize = 10_000;

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
    let what = match known {
        Some((_, what)) => format!("this is {what}"),
        None => advice(&datasets_in(root, MAX_ENTRIES)),
    };
    DatasetError::content(root, format!("expected a dataset of LeRobot, found no {INFO}; {what}"))
}

/// Says which folder to name instead of the one that was searched.
fn advice(search: &Search) -> String {
    let names: Vec<_> = search.found.iter().map(|path| path.display().to_string()).collect();
    let advice = match names.as_slice() {
        [] => "name the folder that holds meta".to_owned(),
        some => format!("name one of the datasets in it, such as {}", some.join(", ")),
    };
    match search.is_cut {
        true => format!("{advice}; the search for datasets in it ended after {MAX_ENTRIES} entries"),
        false => advice,
    }
}

/// Datasets in a folder.
struct Search {
    /// The first ones, at the smallest depth that has any.
    found: Vec<PathBuf>,
    /// Whether there are more entries than were to be looked at.
    is_cut: bool,
}

/// Looks for datasets in a folder, at up to `most` entries of it and of the folders in it.
fn datasets_in(root: &Path, most: usize) -> Search {
    let mut search = Search {
        found: Vec::new(),
        is_cut: false,
    };
    let mut left = most;
    let mut folders = vec![root.to_owned()];
    for _ in 0..MAX_DEPTH {
        let mut inner = Vec::new();
        for entry in folders
            .iter()
            .filter_map(|folder| std::fs::read_dir(folder).ok())
            .flatten()
        {
            if left == 0 {
                search.is_cut = true;
                break;
            }
            left -= 1;
            inner.extend(entry.ok().map(|entry| entry.path()));
        }
        inner.retain(|path| !is_hidden(path) && path.is_dir());
        inner.sort();
        let datasets = inner.iter().filter(|folder| folder.join(INFO).is_file());
        search.found = datasets.take(MAX_LISTED).cloned().collect();
        if !search.found.is_empty() {
            break;
        }
        folders = inner;
    }
    search
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_ends_after_its_number_of_entries() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        std::fs::create_dir_all(root.join("a/set/meta")).unwrap();
        std::fs::write(root.join("a/set").join(INFO), "{}").unwrap();
        for name in 0..6 {
            std::fs::write(root.join(name.to_string()), "").unwrap();
        }
        // Seven entries beside `a`'s own one.
        for (most, found, is_cut) in [(8, 1, false), (7, 0, true), (3, 0, true)] {
            let search = datasets_in(root, most);
            assert_eq!((search.found.len(), search.is_cut), (found, is_cut), "{most}");
        }
        for name in 0..MAX_ENTRIES {
            std::fs::write(root.join(format!("file{name}")), "").unwrap();
        }
        let message = no_dataset(root).to_string();
        assert!(message.contains("ended after 10000 entries"), "{message}");
    }
}
