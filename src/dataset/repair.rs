//! Repairs a dataset after a killed recorder or a damaged disk: cuts it back to its longest undamaged beginning.
//!
//! The repair is planned first and can be inspected. Saved data is moved to `.cut/1`, `.cut/2`, … under its own path,
//! with the descriptions as they were, so that a repair can be undone. Only files that a recorder of this package had
//! not finished are removed. Nothing is repaired while an episode's file is of another kind, e.g. a git-lfs pointer, or
//! cannot be opened: no recorder leaves that, and the file may yet be fetched.

use std::collections::BTreeSet;
use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::episode_stats;
use super::episodes::{self, Episode, FilePlace, sorted};
use super::error::DatasetError;
use super::info::{EPISODES, INFO, Info, MODALITY, STATS, TASKS, Version};
use super::open_episode;
use super::parquet::{columns, table};
use super::reader::data_path;
use super::storage::{Storage, TEMPORARY, copy, temporary};
use super::tasks;
use super::verify::{Depth, verify};
use super::writer::{episode_path, notes_path};
use crate::contract;
use crate::files;
use crate::writer_lock::WriterLock;

/// Files with fixed names that a recorder writes.
const DESCRIPTIONS: [&str; 5] = [INFO, STATS, TASKS, MODALITY, contract::FILE_NAME];
/// Folders of the folders in which a recorder numbers its files.
const NESTED: [&str; 2] = ["data", "meta/episodes"];
/// Folder of damaged episodes and those after them; a subfolder for each repair.
const ASIDE: &str = ".cut";
/// Files that a repair rewrites.
const REWRITTEN: [&str; 3] = [INFO, STATS, contract::FILE_NAME];

/// Step of a repair.
#[derive(Debug)]
enum Step {
    /// Removes a file that was being written.
    Remove(PathBuf),
    /// Moves a file to `.cut`.
    SetAside(PathBuf),
    /// Reports a problem because of which the dataset is cut.
    Found(String),
    /// Rewrites the description with fewer episodes; the number is the one before.
    Cut(Box<Info>, usize),
    /// Recomputes the statistics of this many episodes.
    Recount(usize),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Remove(path) => write!(f, "remove {}, which was being written", path.display()),
            Self::SetAside(path) => write!(f, "move {} to {ASIDE}", path.display()),
            Self::Found(problem) => write!(f, "found {problem}"),
            Self::Cut(info, before) => write!(
                f,
                "cut back from {before} episodes to the first {}",
                info.total_episodes
            ),
            Self::Recount(episodes) => write!(f, "count the statistics of {episodes} episodes anew"),
        }
    }
}

/// Plan of the repair of a dataset.
#[derive(Debug)]
pub struct Repair {
    root: PathBuf,
    info: Info,
    steps: Vec<Step>,
}

impl Repair {
    /// Plans the repair of the dataset in `root` and changes nothing.
    ///
    /// # Errors
    /// When it is not of v3.0, cannot be read, or an episode's file is of another kind or cannot be opened.
    pub fn plan(root: &Path) -> Result<Self, DatasetError> {
        let info = Info::load(root)?;
        if info.codebase_version != Version::V3 {
            let message = format!(
                "{}: only datasets of v3.0 are written to; convert it first",
                root.display()
            );
            return Err(DatasetError::Request(message));
        }
        let report = verify(root, Depth::Files)?;
        let beyond = beyond(root, &info, &report.sound)?;
        require_openable(&report.problems, &beyond)?;
        let mut steps = Vec::new();
        let of_recorder = root.join(contract::FILE_NAME).exists();
        for path in unfinished(root)? {
            steps.push(match of_recorder {
                true => Step::Remove(path),
                false => Step::SetAside(path),
            });
        }
        let (kept, frames) = (report.sound.len(), report.sound.iter().map(|e| e.length).sum::<usize>());
        let whole = (kept, frames) == (info.total_episodes, info.total_frames);
        // After a recorder was killed while it saved an episode, that episode is still open.
        let open = open_episode::find(root, &info).ok().flatten();
        let open_again = whole && open.is_some_and(|open| open.header.episode == kept);
        let unsaved = next_files(root, &info);
        for path in beyond {
            steps.push(match open_again && unsaved.contains(&path) {
                true => Step::Remove(path),
                false => Step::SetAside(path),
            });
        }
        if !whole {
            steps.extend(report.problems.iter().map(|problem| Step::Found(problem.to_string())));
            let notes = (kept..info.total_episodes).map(|episode| notes_path(root, episode));
            steps.extend(notes.filter(|notes| notes.exists()).map(Step::SetAside));
            let cut = cut_to(root, &info, kept, frames)?;
            steps.push(Step::Cut(Box::new(cut), info.total_episodes));
        }
        let counted =
            episode_stats::load(root).is_ok_and(|all| all.values().all(|of| of.of_pictures || of.count == frames));
        // Statistics are written before the number of episodes, so they may count one more, or count what is cut off.
        if !counted && (of_recorder || !whole) {
            steps.push(Step::Recount(kept));
        }
        Ok(Self {
            root: root.to_owned(),
            info,
            steps,
        })
    }

    /// Describes the steps; empty if the dataset is undamaged.
    pub fn words(&self) -> Vec<String> {
        self.steps.iter().map(ToString::to_string).collect()
    }

    /// Returns whether saved episodes would be cut off.
    pub fn cuts(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Cut(..)))
    }

    /// Checks that no saved episode would be cut off: an interrupted recorder leaves every one of them whole.
    ///
    /// # Errors
    /// When one would be; the error names the first problem.
    pub fn require_all_saved(&self) -> Result<(), DatasetError> {
        let kept = self.steps.iter().find_map(|step| match step {
            Step::Cut(cut, _) => Some(cut.total_episodes),
            _ => None,
        });
        let Some(kept) = kept else { return Ok(()) };
        let problem = self.steps.iter().find_map(|step| match step {
            Step::Found(problem) => Some(problem.as_str()),
            _ => None,
        });
        let message = format!(
            "{}: expected {} saved episodes, found the first {kept} whole ({}); nothing was changed: mend or fetch what is \
             named, or run `thinkvla dataset repair` to keep those and move the rest to {ASIDE}",
            self.root.display(),
            self.info.total_episodes,
            problem.unwrap_or("their number is another")
        );
        Err(DatasetError::Request(message))
    }

    /// Carries out the repair and describes what was done. No other process may write to the dataset meanwhile.
    ///
    /// # Errors
    /// When writing fails.
    pub fn apply(self, storage: &dyn Storage) -> Result<Vec<String>, DatasetError> {
        let Self { root, info, steps } = self;
        let aside = next_aside(&root);
        let mut done = Vec::with_capacity(steps.len());
        for step in steps {
            let mut said = step.to_string();
            match step {
                Step::Remove(path) => storage.remove(&path).map_err(DatasetError::io("remove", &path))?,
                Step::SetAside(path) => {
                    let to = aside.join(path.strip_prefix(&root).unwrap_or(&path));
                    shift(storage, &path, &to)?;
                    said = format!("move {} to {}", path.display(), to.display());
                }
                Step::Found(_) => (),
                Step::Cut(cut, _) => {
                    for name in REWRITTEN {
                        copy(storage, &root.join(name), &aside.join(name), files::TABLE)?;
                    }
                    cut.save(storage, &root)?;
                }
                Step::Recount(episodes) => match episode_stats::merged(&root, &info, episodes)? {
                    Some(all) => episode_stats::save_all(storage, &root, &all)?,
                    None => continue,
                },
            }
            done.push(said);
        }
        Ok(done)
    }
}

/// Moves back what the latest repair of the dataset in `root` has set aside; returns the number of files.
///
/// # Errors
/// When there was no repair, episodes have been recorded since, another process writes to the dataset, or moving fails.
pub fn undo(storage: &dyn Storage, root: &Path) -> Result<usize, DatasetError> {
    let _lock = WriterLock::acquire(root)?;
    let aside = last_aside(root).ok_or_else(|| {
        let message = format!("{}: expected a repair to undo in {ASIDE}, found none", root.display());
        DatasetError::Request(message)
    })?;
    let mut moved = Vec::new();
    inside(&aside, &mut moved)?;
    let target = |path: &Path| root.join(path.strip_prefix(&aside).unwrap_or(path));
    for path in &moved {
        let to = target(path);
        let rewritten = REWRITTEN.iter().any(|name| to == root.join(name));
        if !rewritten && to.exists() {
            let message = format!(
                "{} is there again: episodes have been recorded since; move it, or merge what is in {}",
                to.display(),
                aside.display()
            );
            return Err(DatasetError::Request(message));
        }
    }
    // The description comes last: until then the dataset is the cut one.
    moved.sort_by_key(|path| target(path) == root.join(INFO));
    for path in &moved {
        shift(storage, path, &target(path))?;
    }
    std::fs::remove_dir_all(&aside).map_err(DatasetError::io("remove", &aside))?;
    Ok(moved.len())
}

/// Numbers of the folders of repairs, ascending.
fn asides(root: &Path) -> Vec<u64> {
    let entries = std::fs::read_dir(root.join(ASIDE)).into_iter().flatten().flatten();
    let mut numbers: Vec<u64> = entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    numbers.sort_unstable();
    numbers
}

fn next_aside(root: &Path) -> PathBuf {
    let next = asides(root).last().map_or(1, |last| last.saturating_add(1));
    root.join(ASIDE).join(next.to_string())
}

fn last_aside(root: &Path) -> Option<PathBuf> {
    asides(root).last().map(|last| root.join(ASIDE).join(last.to_string()))
}

/// Collects all files in a folder at any depth.
fn inside(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), DatasetError> {
    let entries = std::fs::read_dir(folder).map_err(DatasetError::io("list", folder))?;
    for entry in entries {
        let path = entry.map_err(DatasetError::io("list", folder))?.path();
        match path.is_dir() {
            true => inside(&path, files)?,
            false => files.push(path),
        }
    }
    Ok(())
}

/// Moves a file and creates the folder that it goes to.
fn shift(storage: &dyn Storage, from: &Path, to: &Path) -> Result<(), DatasetError> {
    let folder = to.parent().unwrap_or(to);
    storage
        .create_dir(folder)
        .map_err(DatasetError::io("make folder", folder))?;
    storage.rename(from, to).map_err(DatasetError::io("move", from))
}

/// Checks that the files of episodes are no files of another kind, and that those that are there can be opened.
fn require_openable(problems: &[DatasetError], beyond: &[PathBuf]) -> Result<(), DatasetError> {
    let refused = |path: &Path, source: &std::io::Error| {
        let lost = source.kind() == ErrorKind::NotFound && !path.is_symlink();
        let problem = format!("{source}; nothing is repaired before this is mended, and nothing was changed");
        (!lost).then(|| DatasetError::content(path, problem))
    };
    let counted = problems.iter().find_map(|problem| match problem {
        DatasetError::Io { path, cause, .. } => refused(path, cause),
        _ => None,
    });
    let found = counted.or_else(|| {
        beyond
            .iter()
            .find_map(|path| files::open(path).err().and_then(|source| refused(path, &source)))
    });
    found.map_or(Ok(()), Err)
}

/// Paths of the files that a recorder writes for the first episode that is not counted.
fn next_files(root: &Path, info: &Info) -> Vec<PathBuf> {
    let next = FilePlace::of_number(info.total_episodes);
    let paths = [EPISODES, info.data_path.as_str()].into_iter();
    paths
        .filter_map(|template| Some(root.join(episode_path(template, next).ok()?)))
        .collect()
}

/// Describes the dataset with its first episodes alone, of which there are `kept` with `frames` rows.
fn cut_to(root: &Path, info: &Info, kept: usize, frames: usize) -> Result<Info, DatasetError> {
    Ok(Info {
        total_episodes: kept,
        total_frames: frames,
        total_tasks: tasks::load(root)?.len(),
        splits: [("train".to_owned(), format!("0:{kept}"))].into(),
        ..info.clone()
    })
}

/// Lists files that were being written when the recorder ended. Other files with the extension belong to the user.
fn unfinished(root: &Path) -> Result<Vec<PathBuf>, DatasetError> {
    let described = DESCRIPTIONS.iter().map(|name| temporary(&root.join(name)));
    let mut found: Vec<_> = described.filter(|path| path.is_file()).collect();
    let mut look = |folder: &Path, before: &str, after: &str| -> Result<(), DatasetError> {
        if folder.is_dir() {
            let files = sorted(folder)?.into_iter();
            found.extend(files.filter(|path| path.is_file() && is_unfinished(path, before, after)));
        }
        Ok(())
    };
    look(&root.join("meta/thinkvla"), "episode-", ".json")?;
    for folder in NESTED {
        let folder = root.join(folder);
        for inner in if folder.is_dir() { sorted(&folder)? } else { Vec::new() } {
            look(&inner, "file-", ".parquet")?;
        }
    }
    Ok(found)
}

/// Returns whether a file is the unfinished one of a file that is named by a number between these texts.
fn is_unfinished(path: &Path, before: &str, after: &str) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    let number = name.and_then(|name| {
        let whole = name.strip_suffix(TEMPORARY)?.strip_suffix('.')?;
        whole.strip_prefix(before)?.strip_suffix(after)
    });
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Lists files of rows and of episode metadata that no undamaged episode uses.
fn beyond(root: &Path, info: &Info, sound: &[Episode]) -> Result<Vec<PathBuf>, DatasetError> {
    let rows: Result<BTreeSet<_>, _> = sound.iter().map(|episode| data_path(root, info, episode)).collect();
    let rows = rows?;
    let mut found = Vec::new();
    let folder = root.join("data");
    for inner in if folder.is_dir() { sorted(&folder)? } else { Vec::new() } {
        if inner.is_dir() {
            let files = sorted(&inner)?.into_iter();
            found.extend(files.filter(|path| path.extension().is_some_and(|e| e == "parquet") && !rows.contains(path)));
        }
    }
    for path in episodes::files(root)? {
        let described = table::read(&path, &["episode_index"]).ok().and_then(|batches| {
            let numbers = batches.iter().map(|batch| columns::counts(batch, "episode_index"));
            numbers.collect::<Result<Vec<_>, _>>().ok()
        });
        if !described.iter().flatten().flatten().any(|index| *index < sound.len()) {
            found.push(path);
        }
    }
    Ok(found)
}
