//! Opens datasets to continue recording, after a repair where one is needed.

use std::path::Path;
use std::sync::Arc;

use super::{DatasetWriter, Resumed, own_contract};
use crate::dataset::error::DatasetError;
use crate::dataset::info::Info;
use crate::dataset::open_episode::{self, OpenEpisode};
use crate::dataset::repair::Repair;
use crate::dataset::storage::Storage;
use crate::dataset::{episode_stats, tasks};
use crate::writer_lock::WriterLock;

/// Treatment of damaged episodes that were saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Damage {
    /// The dataset is refused.
    Refused,
    /// They are cut off, with all after them.
    CutOff,
}

impl DatasetWriter {
    /// Opens a dataset to continue recording. What an interrupted save left is repaired first, and every step of that is
    /// logged as a warning; saved episodes are never cut off.
    ///
    /// # Errors
    /// When it was not recorded by this package, another process writes to it, or a saved episode cannot be read. Then
    /// nothing was changed. Or when writing fails.
    pub fn resume(storage: Arc<dyn Storage>, root: &Path) -> Result<(Self, Resumed), DatasetError> {
        Self::open(storage, root, Damage::Refused)
    }

    /// Opens a dataset as [`Self::resume`] does, but cuts it back to its longest undamaged beginning if saved episodes
    /// are damaged (see [`Repair`]). The caller reports the repairs.
    ///
    /// # Errors
    /// When it was not recorded by this package, another process writes to it, it cannot be repaired, or writing fails.
    pub fn repair(storage: Arc<dyn Storage>, root: &Path) -> Result<(Self, Resumed), DatasetError> {
        Self::open(storage, root, Damage::CutOff)
    }

    fn open(storage: Arc<dyn Storage>, root: &Path, damage: Damage) -> Result<(Self, Resumed), DatasetError> {
        // Checked before locking: other folders get no lock file, and datasets of other origin are not written to or
        // repaired.
        Info::load(root)?;
        let contract = own_contract(root)?;
        let lock = WriterLock::acquire(root)?;
        let repair = Repair::plan(root)?;
        let tasks = tasks::load(root)?;
        if damage == Damage::Refused {
            repair.require_all_saved()?;
        }
        let mut repairs = repair.apply(&*storage)?;
        let info = Info::load(root)?;
        let mut open = open_episode::find(root, &info)?;
        let saved = open
            .as_ref()
            .is_some_and(|open| open.header.episode < info.total_episodes);
        if saved || open.as_ref().is_some_and(|open| open.frames == 0) {
            let path = open_episode::path(root);
            storage.remove(&path).map_err(DatasetError::io("remove", &path))?;
            let why = if saved { "had been saved" } else { "has no frames" };
            repairs.push(format!("removed the open episode, which {why}"));
            open = None;
        }
        if damage == Damage::Refused {
            for repair in &repairs {
                tracing::warn!("{}: {repair}", root.display());
            }
        }
        // In meta/stats.json a value that was never finite is 0, which must not count as one.
        let statistics = match episode_stats::merged(root, &info, info.total_episodes)? {
            Some(merged) => merged,
            None => episode_stats::load(root)?,
        };
        let writer = Self {
            tasks,
            statistics,
            contract,
            open: open
                .as_ref()
                .map(|found| OpenEpisode::reopen(&*storage, root, found))
                .transpose()?,
            root: root.to_owned(),
            storage,
            info,
            _lock: lock,
        };
        Ok((writer, Resumed { repairs, open }))
    }
}
