//! Makes a dataset sound after a killed recorder or a torn disk: cuts it back to its longest sound beginning.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::columns;
use super::episodes::{self, Episode, sorted};
use super::error::DatasetError;
use super::info::{Info, Version};
use super::kept;
use super::reader::data_path;
use super::storage::{Storage, TEMPORARY};
use super::tasks;
use super::verify::{Depth, verify};
use super::writer::notes_path;

/// Folders in which files come and go.
const FOLDERS: [&str; 3] = ["meta", "data", "meta/thinkvla"];
/// Where damaged episodes, and those behind them, are put.
const ASIDE: &str = ".cut";
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
    let whole = (kept, frames) == (info.total_episodes, info.total_frames);
    for path in beyond(root, &info, &report.sound)? {
        if whole {
            // Of an episode that was never saved.
            remove(storage, &path)?;
            done.push(format!("removed {}, which no saved episode has", path.display()));
        } else {
            let aside = set_aside(storage, root, &path)?;
            done.push(format!("moved {} to {}", path.display(), aside.display()));
        }
    }
    if !whole {
        done.extend(report.problems.iter().map(|problem| format!("found {problem}")));
        let cut = Info {
            total_episodes: kept,
            total_frames: frames,
            total_tasks: tasks::load(root)?.len(),
            splits: [("train".to_owned(), format!("0:{kept}"))].into(),
            ..info.clone()
        };
        cut.save(storage, root)?;
        for episode in kept..info.total_episodes {
            let notes = notes_path(root, episode);
            if notes.exists() {
                set_aside(storage, root, &notes)?;
            }
        }
        let all = info.total_episodes;
        done.push(format!("cut back from {all} episodes to the first {kept}"));
    }
    if kept::load(root).is_ok_and(|all| all.values().all(|of| of.of_pictures || of.count == frames)) {
        return Ok(done);
    }
    // Written before the number of episodes, and so of one more; or of those that were cut off.
    if let Some(all) = kept::merged(root, &info, kept)? {
        kept::save_all(storage, root, &all)?;
        done.push(format!("counted the statistics of {kept} episodes anew"));
    }
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

/// Files of rows and of descriptions that no sound episode has.
fn beyond(root: &Path, info: &Info, sound: &[Episode]) -> Result<Vec<PathBuf>, DatasetError> {
    let rows: Result<BTreeSet<_>, _> = sound.iter().map(|episode| data_path(root, info, episode)).collect();
    let rows = rows?;
    let mut found = Vec::new();
    let folder = root.join("data");
    for inner in if folder.is_dir() { sorted(&folder)? } else { Vec::new() } {
        let files = sorted(&inner)?.into_iter();
        found.extend(files.filter(|path| path.extension().is_some_and(|e| e == "parquet") && !rows.contains(path)));
    }
    for path in episodes::files(root)? {
        let described = columns::read(&path, &["episode_index"]).ok().and_then(|batches| {
            let numbers = batches.iter().map(|batch| columns::counts(batch, "episode_index"));
            numbers.collect::<Result<Vec<_>, _>>().ok()
        });
        if !described.iter().flatten().flatten().any(|index| *index < sound.len()) {
            found.push(path);
        }
    }
    Ok(found)
}

/// Moves what was saved once out of the way, where a person may still look at it.
fn set_aside(storage: &dyn Storage, root: &Path, path: &Path) -> Result<PathBuf, DatasetError> {
    let aside = root.join(ASIDE).join(path.strip_prefix(root).unwrap_or(path));
    let folder = aside.parent().unwrap_or(root);
    storage
        .create_dir(folder)
        .map_err(DatasetError::io("make folder", folder))?;
    storage.rename(path, &aside).map_err(DatasetError::io("move", path))?;
    Ok(aside)
}
