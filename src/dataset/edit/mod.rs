//! Builds a dataset from episodes of other datasets: to delete, relabel, merge and split episodes, and to convert v2.1
//! to v3.0. The sources are not changed.

mod assembly;
mod rows;

use std::fs::File;
use std::path::{Path, PathBuf};

use self::assembly::Assembly;
use super::error::DatasetError;
use super::info::{Info, MODALITY};
use super::open_episode;
use super::reader::Dataset;
use super::storage::{Storage, commit_with, new_folder, require_outside};
use super::verify::require_described_rows;
use crate::contract::{Contract, ContractError, FILE_NAME, step_differences};
use crate::files;
use crate::writer_lock::{LOCK, WriterLock};

/// Episode to copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EpisodeChoice {
    /// Index in the source dataset.
    pub episode: usize,
    /// Instruction that replaces the episode's own.
    pub task: Option<String>,
}

/// Dataset, with the episodes to copy from it.
#[derive(Debug)]
pub struct EpisodeSource<'a> {
    /// The dataset.
    pub dataset: &'a Dataset,
    /// Episodes to copy, in this order.
    pub episodes: Vec<EpisodeChoice>,
}

/// Builds a dataset from these episodes, source after source, in `out`, which must be new or empty and outside of the
/// sources. The contract and `modality.json` are those of the first source.
///
/// # Errors
/// When the sources differ in rate, columns or contract, have other rows than their metadata describes, an episode is missing or
/// damaged, or writing fails. Then `out` has no `meta/info.json` and is not a dataset.
pub fn assemble(storage: &dyn Storage, sources: &[EpisodeSource<'_>], out: &Path) -> Result<Info, DatasetError> {
    let first = sources
        .first()
        .ok_or_else(|| DatasetError::Request("expected a dataset, found none".into()))?;
    for other in sources.iter().skip(1) {
        fit(first.dataset, other.dataset)?;
        fit_contracts(first.dataset, other.dataset)?;
    }
    for source in sources {
        require_outside(out, source.dataset.root())?;
        require_described_rows(source.dataset)?;
    }
    let _lock = new_folder(storage, out)?;
    for name in [MODALITY, FILE_NAME] {
        let from = first.dataset.root().join(name);
        if from.exists() {
            copy(storage, &from, &out.join(name))?;
        }
    }
    let mut assembly = Assembly::new(storage, out, first.dataset.info());
    assembly.take_all(sources)?;
    assembly.finish()
}

/// Replaces the dataset in `root` by the one in `new`, and keeps the old one beside it; returns its path. `lock` is the
/// lock of `root`. It must be taken before anything is read from `root`: episodes recorded meanwhile would be missing
/// in `new`.
///
/// # Errors
/// When an old dataset is still kept there, or renaming fails.
pub fn replace(storage: &dyn Storage, root: &Path, new: &Path, lock: WriterLock) -> Result<PathBuf, DatasetError> {
    let before = place_of_previous(root)?;
    storage
        .rename(root, &before)
        .map_err(DatasetError::io("rename", root))?;
    storage.rename(new, root).map_err(DatasetError::io("rename", new))?;
    let folder = root
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    storage.sync_dir(folder).map_err(DatasetError::io("write", folder))?;
    lock.moved_to(&before);
    Ok(before)
}

/// Returns the path at which [`replace`] keeps the dataset that was in `root`.
///
/// # Errors
/// When an old dataset is still kept there, or `root` has no file name.
pub fn place_of_previous(root: &Path) -> Result<PathBuf, DatasetError> {
    let before = beside(root, "before")?;
    if before.exists() {
        let message = format!(
            "{} is still there from an earlier change; remove it first",
            before.display()
        );
        return Err(DatasetError::Request(message));
    }
    Ok(before)
}

/// Copies the files in the folder `root` of a dataset that are no part of one, e.g. a README, to the dataset in `new`.
/// Returns the names of other folders, which are not copied.
///
/// # Errors
/// When a file cannot be read or written.
pub fn copy_others(storage: &dyn Storage, root: &Path, new: &Path) -> Result<Vec<String>, DatasetError> {
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(root).map_err(DatasetError::io("list", root))? {
        let path = entry.map_err(DatasetError::io("list", root))?.path();
        let Some(name) = path.file_name() else { continue };
        let to = new.join(name);
        if to.exists() || [LOCK, open_episode::FOLDER].iter().any(|part| name == *part) {
            continue;
        }
        match path.is_file() {
            true => {
                let file = files::open_any(&path).map_err(DatasetError::io("open", &path))?;
                copy_open(storage, file, &to)?;
            }
            false => folders.push(name.to_string_lossy().into_owned()),
        }
    }
    folders.sort();
    Ok(folders)
}

/// Returns the path of a folder beside a dataset, with the dataset's name and `ending`.
///
/// # Errors
/// When the path has no file name.
pub fn beside(root: &Path, ending: &str) -> Result<PathBuf, DatasetError> {
    let name = root.file_name().ok_or_else(|| {
        DatasetError::Request(format!(
            "{}: expected the name of a folder; give its path in full",
            root.display()
        ))
    })?;
    let mut name = name.to_owned();
    name.push(".");
    name.push(ending);
    Ok(root.with_file_name(name))
}

/// Checks that episodes of both fit into one dataset: same rate, columns, types, shapes and value names.
fn fit(a: &Dataset, b: &Dataset) -> Result<(), DatasetError> {
    let differ = |what: &str, a_has: &dyn std::fmt::Debug, b_has: &dyn std::fmt::Debug| {
        let (a, b) = (a.root().display(), b.root().display());
        Err(DatasetError::Request(format!(
            "{what} differs: {a} has {a_has:?}, {b} has {b_has:?}"
        )))
    };
    if a.info().fps != b.info().fps {
        return differ("fps", &a.info().fps, &b.info().fps);
    }
    let names = |dataset: &Dataset| dataset.info().features.keys().cloned().collect::<Vec<_>>();
    if names(a) != names(b) {
        return differ("the list of columns", &names(a), &names(b));
    }
    for (name, in_a) in &a.info().features {
        let Some(in_b) = b.info().features.get(name) else {
            continue;
        };
        if (&in_a.dtype, &in_a.shape) != (&in_b.dtype, &in_b.shape) {
            return differ(name, &(&in_a.dtype, &in_a.shape), &(&in_b.dtype, &in_b.shape));
        }
        if in_a.value_names() != in_b.value_names() {
            return differ(name, &in_a.value_names(), &in_b.value_names());
        }
        if in_a.names != in_b.names && in_a.own_names().is_err() && in_b.own_names().is_err() {
            return differ(name, &in_a.names, &in_b.names);
        }
    }
    Ok(())
}

/// Checks that the contracts of both say the same of the robot and of the steps of actions, or that neither has one: the
/// new dataset gets that of the first, and with it the meaning of its values.
fn fit_contracts(a: &Dataset, b: &Dataset) -> Result<(), DatasetError> {
    let path = |dataset: &Dataset| dataset.root().join(FILE_NAME);
    let (one, other) = (path(a), path(b));
    match (one.exists(), other.exists()) {
        (false, false) => return Ok(()),
        (true, true) => {}
        (has, _) => {
            let (there, absent) = if has { (one, other) } else { (other, one) };
            let problem = format!(
                "expected a contract as in {}, found none; copy that one if the values mean the same",
                there.display()
            );
            return Err(DatasetError::content(&absent, problem));
        }
    }
    let load = |dataset: &Dataset| Contract::load(dataset.root()).map_err(|e| DatasetError::content(&path(dataset), e));
    let (expected, found) = (load(a)?, load(b)?);
    let of_robot = match expected.robot.require_same(&found.robot) {
        Err(ContractError::Mismatch {
            field, expected, found, ..
        }) => Some((field, expected, found)),
        _ => None,
    };
    // Rows have the actions of every space, of which a contract names one.
    let of_steps = step_differences(&expected.data, &found.data).filter(|of| of.field != "action_space");
    let of_steps = of_steps.map(|of| (format!("data.{}", of.field), of.expected, of.found));
    match of_robot.into_iter().chain(of_steps).next() {
        Some((field, expected, found)) => {
            let problem = format!(
                "{field}: expected {expected}, as {} has it, found {found}",
                one.display()
            );
            Err(DatasetError::content(&other, problem))
        }
        None => Ok(()),
    }
}

fn copy(storage: &dyn Storage, from: &Path, to: &Path) -> Result<(), DatasetError> {
    let file = files::open(from).map_err(DatasetError::io("open", from))?;
    copy_open(storage, file, to)
}

fn copy_open(storage: &dyn Storage, mut file: File, to: &Path) -> Result<(), DatasetError> {
    commit_with(storage, to, |sink| {
        std::io::copy(&mut file, sink)
            .map(drop)
            .map_err(DatasetError::io("write", to))
    })
}
