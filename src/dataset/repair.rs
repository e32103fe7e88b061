//! Makes a dataset sound after a killed recorder or a torn disk: cuts it back to its longest sound beginning.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Map;

use super::episodes::{Place, sorted};
use super::error::DatasetError;
use super::info::{DATA, EPISODES, Info, STATS, Version, pretty};
use super::reader::Dataset;
use super::storage::{Storage, TEMPORARY, commit};
use super::tasks;
use super::verify::{Depth, verify};
use super::writer::{episode_path, notes_path};

/// Folders in which files come and go.
const FOLDERS: [&str; 3] = ["meta", "data", "meta/thinkvla"];
const NESTED: [&str; 2] = ["data", "meta/episodes"];

/// Repairs the dataset in `root` and says what was done; nothing where it was sound.
///
/// # Errors
/// When it is not of v3.0, its description cannot be read, or the disk refuses.
pub fn repair(storage: &dyn Storage, root: &Path) -> Result<Vec<String>, DatasetError> {
    let info = Info::load(root)?;
    if info.codebase_version != Version::V3 {
        let message = format!(
            "{}: only datasets of v3.0 are written to; convert it first",
            root.display()
        );
        return Err(DatasetError::Request(message));
    }
    let mut done = Vec::new();
    for path in unfinished(root)? {
        remove(storage, &path)?;
        done.push(format!("removed {}, which was being written", path.display()));
    }
    let report = verify(root, Depth::Files)?;
    let (kept, frames) = (report.sound.len(), report.sound.iter().map(|e| e.length).sum::<usize>());
    let places: BTreeSet<_> = report.sound.iter().map(|e| (e.data.chunk, e.data.file)).collect();
    for path in beyond(root, &places)? {
        remove(storage, &path)?;
        done.push(format!("removed {}, which no saved episode has", path.display()));
    }
    if (kept, frames) == (info.total_episodes, info.total_frames) {
        return Ok(done);
    }
    done.extend(report.problems.iter().map(|problem| format!("found {problem}")));
    for episode in kept..info.total_episodes {
        let notes = notes_path(root, episode);
        if notes.exists() {
            remove(storage, &notes)?;
        }
    }
    let cut = Info {
        total_episodes: kept,
        total_frames: frames,
        total_tasks: tasks::load(root)?.len(),
        splits: [("train".to_owned(), format!("0:{kept}"))].into(),
        ..info.clone()
    };
    cut.save(storage, root)?;
    let statistics = Dataset::open(root)?.statistics()?;
    let json: Map<_, _> = statistics
        .into_iter()
        .map(|(name, all)| (name, all.to_json()))
        .collect();
    commit(storage, &root.join(STATS), &pretty(&json.into()))?;
    done.push(format!(
        "cut back from {} episodes to the first {kept}",
        info.total_episodes
    ));
    Ok(done)
}

fn remove(storage: &dyn Storage, path: &Path) -> Result<(), DatasetError> {
    storage.remove(path).map_err(DatasetError::io("remove", path))
}

/// Files that were being written when the recorder ended.
fn unfinished(root: &Path) -> Result<Vec<PathBuf>, DatasetError> {
    let mut found = Vec::new();
    let mut look = |folder: &Path| -> Result<(), DatasetError> {
        if folder.is_dir() {
            let files = sorted(folder)?;
            found.extend(
                files
                    .into_iter()
                    .filter(|path| path.extension().is_some_and(|e| e == TEMPORARY)),
            );
        }
        Ok(())
    };
    look(root)?;
    for folder in FOLDERS {
        look(&root.join(folder))?;
    }
    for folder in NESTED {
        let folder = root.join(folder);
        for inner in if folder.is_dir() { sorted(&folder)? } else { Vec::new() } {
            look(&inner)?;
        }
    }
    Ok(found)
}

/// Files of rows and of episodes that are not among `places`.
fn beyond(root: &Path, places: &BTreeSet<(usize, usize)>) -> Result<Vec<PathBuf>, DatasetError> {
    let mut kept = BTreeSet::new();
    for (chunk, file) in places {
        let place = Place {
            chunk: *chunk,
            file: *file,
        };
        kept.insert(root.join(episode_path(DATA, place)?));
        kept.insert(root.join(episode_path(EPISODES, place)?));
    }
    let mut found = Vec::new();
    for folder in NESTED {
        let folder = root.join(folder);
        for inner in if folder.is_dir() { sorted(&folder)? } else { Vec::new() } {
            let files = sorted(&inner)?.into_iter();
            found.extend(files.filter(|path| path.extension().is_some_and(|e| e == "parquet") && !kept.contains(path)));
        }
    }
    Ok(found)
}
