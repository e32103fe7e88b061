//! Records episodes: frame by frame into the open episode, and saves each in a single durable step.
//!
//! An episode counts once `meta/info.json` includes it, which is written last. Files that a killed recorder had written
//! before that are removed when the dataset is opened again, and the episode is still open.

mod frame_statistics;
mod pending_episodes;
mod resume;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value};

use self::frame_statistics::FrameStatistics;
use self::pending_episodes::PendingEpisodes;
use super::episode_stats::{self, FeatureStats};
use super::episodes::{self, Described, Episode, FilePlace};
use super::error::DatasetError;
use super::frame::Frame;
use super::info::{EPISODES, Info, MODALITY, STATS, expand, pretty};
use super::instruction::require_plain;
use super::open_episode::{self, FoundEpisode, Header, OpenEpisode, OpenEpisodeReader};
use super::parquet::rows::{RowWriter, RowsPosition};
use super::schema::DatasetSchema;
use super::storage::{Storage, commit, commit_with, new_folder};
use super::tasks;
use crate::contract::{Contract, FILE_NAME};
use crate::writer_lock::WriterLock;

/// Dataset that is being recorded, locked for this writer.
pub struct DatasetWriter {
    root: PathBuf,
    storage: Arc<dyn Storage>,
    info: Info,
    tasks: Vec<String>,
    statistics: FeatureStats,
    contract: Contract,
    open: Option<OpenEpisode>,
    _lock: WriterLock,
}

/// Result of [`DatasetWriter::resume`] and [`DatasetWriter::repair`].
#[derive(Debug, Clone, PartialEq)]
pub struct Resumed {
    /// Descriptions of the repairs; empty if nothing was wrong.
    pub repairs: Vec<String>,
    /// Episode that was open when the recorder ended. It is open again: save or discard it.
    pub open: Option<FoundEpisode>,
}

/// Episode that is saved as a whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Whole {
    /// Instruction.
    pub task: String,
    /// Rows, at least one.
    pub frames: Vec<Frame>,
}

/// Episode that was saved.
#[derive(Debug, Clone, PartialEq)]
pub struct SavedEpisode {
    /// Index of the episode.
    pub episode: usize,
    /// Number of rows.
    pub frames: usize,
}

impl DatasetWriter {
    /// Creates an empty dataset in `root`, which must be new or empty, and writes the contract into it.
    ///
    /// # Errors
    /// When the folder is not empty, another process writes there, or writing fails.
    pub fn create(
        storage: Arc<dyn Storage>,
        root: &Path,
        schema: &DatasetSchema,
        contract: &Contract,
    ) -> Result<Self, DatasetError> {
        let lock = new_folder(&*storage, root)?;
        let info = schema.info();
        commit(&*storage, &root.join(MODALITY), &pretty(&schema.modality()))?;
        commit(&*storage, &root.join(STATS), b"{}")?;
        tasks::save(&*storage, root, &[])?;
        episode_stats::save_contract(&*storage, root, contract)?;
        info.save(&*storage, root)?;
        Ok(Self {
            root: root.to_owned(),
            storage,
            info,
            tasks: Vec::new(),
            statistics: BTreeMap::new(),
            contract: contract.clone(),
            open: None,
            _lock: lock,
        })
    }

    /// Returns the folder of the dataset.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the description of the dataset.
    pub fn info(&self) -> &Info {
        &self.info
    }

    /// Returns the number of frames of the open episode, if there is one.
    pub fn open_frames(&self) -> Option<usize> {
        self.open.as_ref().map(OpenEpisode::frames)
    }

    /// Begins an episode.
    ///
    /// # Errors
    /// When one is open already, the instruction is not plain text, or writing fails.
    pub fn begin(&mut self, task: &str) -> Result<(), DatasetError> {
        if let Some(open) = &self.open {
            let message = format!(
                "an episode of {} frames is open; save or discard it first",
                open.frames()
            );
            return Err(DatasetError::Request(message));
        }
        require_plain(task).map_err(DatasetError::Request)?;
        let header = Header {
            episode: self.info.total_episodes,
            task: task.trim().to_owned(),
            vectors: self.info.vectors().map(|(_, feature)| feature.len()).collect(),
            pictures: self.info.pictures().count(),
        };
        self.open = Some(OpenEpisode::create(&*self.storage, &self.root, header)?);
        Ok(())
    }

    /// Appends a frame with a vector for each column of the dataset, and images in the order of the columns, which is by
    /// name.
    ///
    /// # Errors
    /// When no episode is open, the frame does not fit or holds a value that is not finite, or writing fails.
    pub fn push(&mut self, frame: &Frame) -> Result<(), DatasetError> {
        self.fits(frame).map_err(DatasetError::Request)?;
        let open = self.open.as_mut().ok_or_else(none_open)?;
        open.push(frame)
    }

    fn fits(&self, frame: &Frame) -> Result<(), String> {
        let columns = (self.info.vectors().count(), self.info.pictures().count());
        let found = (frame.vectors.len(), frame.pictures.len());
        if columns != found {
            return Err(format!(
                "a frame: expected {columns:?} vectors and pictures, found {found:?}"
            ));
        }
        for (name, feature) in self.info.vectors() {
            let Some(values) = frame.vectors.get(name) else {
                let found = frame.vectors.keys().map(String::as_str).collect::<Vec<_>>();
                return Err(format!(
                    "a frame: expected the vector {name}, found {}",
                    found.join(", ")
                ));
            };
            if values.len() != feature.len() {
                return Err(format!(
                    "{name}: expected {} values, found {}",
                    feature.len(),
                    values.len()
                ));
            }
            if let Some(at) = values.iter().position(|value| !value.is_finite()) {
                let of = feature.value_names().into_iter().nth(at).unwrap_or_default();
                return Err(format!(
                    "{name}: expected a number for {of}, found one that is not finite"
                ));
            }
        }
        Ok(())
    }

    /// Saves the open episode; `notes` are stored in `meta/thinkvla/`.
    ///
    /// # Errors
    /// When none is open, it has no frames, or writing fails; it is still open then, unless only removing its file
    /// failed.
    pub fn save(&mut self, notes: &Map<String, Value>) -> Result<SavedEpisode, DatasetError> {
        let open = self.open.as_ref().ok_or_else(none_open)?;
        if open.frames() == 0 {
            return Err(DatasetError::Request(
                "the open episode has no frames; record some or discard it".into(),
            ));
        }
        let (task, frames) = (open.header().task.clone(), open.frames());
        let mut pending = PendingEpisodes::after(&self.info, &self.tasks);
        let (episode, standing) = pending.add(&task, frames, self.next_file());
        let of_episode = self.write_rows(&episode, standing)?;
        let index = episode.index;
        self.write_notes(index, notes)?;
        self.count_in(pending, &[(episode, of_episode)])?;
        self.discard()?;
        Ok(SavedEpisode { episode: index, frames })
    }

    /// Saves whole episodes, all in one durable step and one file, so that many short ones are quick to write and to
    /// read. Nothing of them is on disk before that.
    ///
    /// # Errors
    /// When an episode is open, one of these has no valid instruction, no frames or some that do not fit, or writing
    /// fails. Then none of them is saved.
    pub fn save_whole(&mut self, episodes: Vec<Whole>) -> Result<(), DatasetError> {
        if let Some(open) = self.open_frames() {
            let message = format!("an episode of {open} frames is open; save or discard it first");
            return Err(DatasetError::Request(message));
        }
        for (nth, episode) in episodes.iter().enumerate() {
            let wrong = |problem: String| DatasetError::Request(format!("episode {nth} of those to save: {problem}"));
            require_plain(&episode.task).map_err(wrong)?;
            if episode.frames.is_empty() {
                return Err(wrong("expected frames, found none".into()));
            }
            episode
                .frames
                .iter()
                .try_for_each(|frame| self.fits(frame))
                .map_err(wrong)?;
        }
        if episodes.is_empty() {
            return Ok(());
        }
        let file = self.next_file();
        let mut pending = PendingEpisodes::after(&self.info, &self.tasks);
        let path = self.root.join(episode_path(&self.info.data_path, file)?);
        let mut described = Vec::with_capacity(episodes.len());
        commit_with(&*self.storage, &path, |sink| {
            let mut rows = RowWriter::new(sink, &path, &self.info, RowsPosition::default())?;
            for whole in episodes {
                let (episode, standing) = pending.add(whole.task.trim(), whole.frames.len(), file);
                rows.next(standing)?;
                let mut frame_statistics = FrameStatistics::new(&self.info, episode.length);
                for frame in whole.frames {
                    frame_statistics.add(&frame).map_err(DatasetError::Request)?;
                    rows.push(frame)?;
                }
                described.push((episode, frame_statistics.finish(&self.info, standing)));
            }
            rows.finish().map(drop)
        })?;
        self.count_in(pending, &described)
    }

    /// Returns the next file, which has the number of its first episode.
    fn next_file(&self) -> FilePlace {
        FilePlace::of_number(self.info.total_episodes)
    }

    /// Adds episodes to the metadata, so that they count; their rows must be written, all into one file.
    fn count_in(&mut self, pending: PendingEpisodes, described: &[Described]) -> Result<(), DatasetError> {
        let PendingEpisodes { tasks, mut info } = pending;
        let meta = self.root.join(episode_path(EPISODES, self.next_file())?);
        episodes::save(&*self.storage, &meta, described)?;
        if tasks.len() != self.tasks.len() {
            tasks::save(&*self.storage, &self.root, &tasks)?;
        }
        let mut statistics = self.statistics.clone();
        for (_, of_episode) in described {
            episode_stats::merge(&mut statistics, of_episode);
        }
        episode_stats::save(&*self.storage, &self.root, &statistics)?;
        let contract = episode_stats::with_statistics(&self.contract, &statistics);
        episode_stats::save_contract(&*self.storage, &self.root, &contract)?;
        info.total_tasks = tasks.len();
        info.splits = [("train".to_owned(), format!("0:{}", info.total_episodes))].into();
        info.save(&*self.storage, &self.root)?;
        (self.info, self.tasks) = (info, tasks);
        (self.statistics, self.contract) = (statistics, contract);
        Ok(())
    }

    /// Discards the open episode.
    ///
    /// # Errors
    /// When none is open or its file cannot be removed.
    pub fn discard(&mut self) -> Result<(), DatasetError> {
        self.open.take().ok_or_else(none_open)?;
        let path = open_episode::path(&self.root);
        self.storage.remove(&path).map_err(DatasetError::io("remove", &path))
    }

    fn write_rows(&self, episode: &Episode, standing: RowsPosition) -> Result<FeatureStats, DatasetError> {
        let path = self.root.join(episode_path(&self.info.data_path, episode.data)?);
        let open_episode = open_episode::path(&self.root);
        let frames = OpenEpisodeReader::open(&self.root, &self.info)?
            .ok_or_else(|| DatasetError::content(&open_episode, "expected the open episode, found none"))?;
        let mut frame_statistics = FrameStatistics::new(&self.info, episode.length);
        commit_with(&*self.storage, &path, |sink| {
            let mut rows = RowWriter::new(sink, &path, &self.info, standing)?;
            for frame in frames.take(episode.length) {
                frame_statistics
                    .add(&frame)
                    .map_err(|problem| DatasetError::content(&open_episode, problem))?;
                rows.push(frame)?;
            }
            match rows.finish()? {
                written if written == episode.length => Ok(()),
                written => {
                    let problem = format!("expected {} frames, found {written} whole ones", episode.length);
                    Err(DatasetError::content(&open_episode, problem))
                }
            }
        })?;
        Ok(frame_statistics.finish(&self.info, standing))
    }

    fn write_notes(&self, index: usize, notes: &Map<String, Value>) -> Result<(), DatasetError> {
        let path = notes_path(&self.root, index);
        commit(&*self.storage, &path, &pretty(&Value::Object(notes.clone())))
    }
}

/// Loads the contract of a dataset that this package recorded; others are refused.
pub(in crate::dataset) fn own_contract(root: &Path) -> Result<Contract, DatasetError> {
    let path = root.join(FILE_NAME);
    if !path.exists() {
        let message = format!(
            "{}: expected a dataset that was recorded here, found one without {FILE_NAME}; it is left as it is: read from \
             it, or record into a new folder",
            root.display()
        );
        return Err(DatasetError::Request(message));
    }
    Contract::load(root).map_err(|e| DatasetError::content(&path, e))
}

/// Returns the path of the recorder's notes about an episode.
pub fn notes_path(root: &Path, episode: usize) -> PathBuf {
    root.join(format!("meta/thinkvla/episode-{episode:06}.json"))
}

fn none_open() -> DatasetError {
    DatasetError::Request("no episode is open; start one first".into())
}

/// Returns the path of a file of v3.0.
pub(super) fn episode_path(template: &str, place: FilePlace) -> Result<PathBuf, DatasetError> {
    let (chunk, file) = (place.chunk.to_string(), place.file.to_string());
    expand(template, &[("chunk_index", &chunk), ("file_index", &file)])
}
