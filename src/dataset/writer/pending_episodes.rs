//! Metadata of a dataset together with episodes that are being written and do not count yet.

use std::collections::BTreeMap;

use crate::dataset::episodes::{Episode, FilePlace};
use crate::dataset::info::Info;
use crate::dataset::parquet::rows::RowsPosition;

/// Metadata of a dataset with the episodes that are being written.
pub(super) struct PendingEpisodes {
    /// Instructions.
    pub tasks: Vec<String>,
    /// Description of the dataset.
    pub info: Info,
}

impl PendingEpisodes {
    /// Begins after the episodes that `info` and `tasks` describe.
    pub fn after(info: &Info, tasks: &[String]) -> Self {
        Self {
            tasks: tasks.to_vec(),
            info: info.clone(),
        }
    }

    /// Adds an episode of `length` rows in the file `data`; returns its metadata and the position of its rows.
    pub fn add(&mut self, task: &str, length: usize, data: FilePlace) -> (Episode, RowsPosition) {
        let number = self.tasks.iter().position(|known| known == task).unwrap_or_else(|| {
            self.tasks.push(task.to_owned());
            self.tasks.len() - 1
        });
        let standing = RowsPosition {
            episode: self.info.total_episodes,
            task: number,
            from: self.info.total_frames,
        };
        self.info.total_episodes += 1;
        self.info.total_frames += length;
        let episode = Episode {
            index: standing.episode,
            tasks: vec![task.to_owned()],
            length,
            from: standing.from,
            data,
            videos: BTreeMap::new(),
        };
        (episode, standing)
    }
}
