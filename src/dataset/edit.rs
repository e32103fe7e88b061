//! Builds a dataset from episodes of other datasets: to delete, relabel, merge and split episodes, and to convert v2.1
//! to v3.0. The sources are not changed.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema};

use super::episode_stats::{self, FeatureStats};
use super::episodes::{self, Episode, FilePlace, VideoSpan};
use super::error::DatasetError;
use super::feature::{Dtype, Feature};
use super::info::{CHUNK, DATA, EPISODES, Info, MODALITY, VIDEOS, Version, expand};
use super::open_episode;
use super::parquet::columns;
use super::parquet::rows::GROUP;
use super::parquet::table::{RowRange, Table};
use super::parquet::writer::Writer;
use super::reader::{At, Dataset, data_path, video_path};
use super::statistics::Statistics;
use super::storage::{Storage, commit_with, new_folder, require_outside};
use super::tasks;
use super::verify::require_described_rows;
use super::writer::{episode_path, notes_path};
use crate::contract::FILE_NAME;
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
/// When the sources differ in rate or columns, have other rows than their metadata describes, an episode is missing or
/// damaged, or writing fails. Then `out` has no `meta/info.json` and is not a dataset.
pub fn assemble(storage: &dyn Storage, sources: &[EpisodeSource<'_>], out: &Path) -> Result<Info, DatasetError> {
    let first = sources
        .first()
        .ok_or_else(|| DatasetError::Request("expected a dataset, found none".into()))?;
    for other in sources.iter().skip(1) {
        fit(first.dataset, other.dataset)?;
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
    let mut assembly = Assembly {
        storage,
        out,
        info: described(first.dataset.info()),
        tasks: Vec::new(),
        statistics: FeatureStats::new(),
        videos: BTreeMap::new(),
    };
    for source in sources {
        assembly.take_all(source)?;
    }
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

/// Returns the description of the same dataset without episodes.
fn described(info: &Info) -> Info {
    let empty = Info::empty("", 1, BTreeMap::new());
    let has_video = info.features.values().any(|feature| feature.dtype == Dtype::Video);
    Info {
        codebase_version: Version::V3,
        total_episodes: 0,
        total_frames: 0,
        total_tasks: 0,
        chunks_size: CHUNK,
        splits: BTreeMap::new(),
        data_path: DATA.into(),
        video_path: has_video.then(|| VIDEOS.into()),
        rest: empty.rest,
        ..info.clone()
    }
}

/// Dataset that is being built.
struct Assembly<'a> {
    storage: &'a dyn Storage,
    out: &'a Path,
    info: Info,
    tasks: Vec<String>,
    statistics: FeatureStats,
    /// Source paths of the videos copied so far, by column; the position in the list gives the place of the copy.
    videos: BTreeMap<String, Vec<PathBuf>>,
}

impl Assembly<'_> {
    fn take_all(&mut self, source: &EpisodeSource<'_>) -> Result<(), DatasetError> {
        let mut known = episode_stats::of_episodes(source.dataset.root(), source.dataset.info())?;
        for choice in &source.episodes {
            let episode = source.dataset.episodes().get(choice.episode).ok_or_else(|| {
                let (root, found) = (source.dataset.root().display(), source.dataset.episodes().len());
                DatasetError::Request(format!(
                    "{root}: expected one of {found} episodes, found {}",
                    choice.episode
                ))
            })?;
            if episode.length == 0 {
                let root = source.dataset.root().display();
                tracing::warn!("{root}: episode {} has no rows and is left out", choice.episode);
                continue;
            }
            let statistics = known.remove(&choice.episode).unwrap_or_default();
            self.take(source.dataset, episode, choice, statistics)?;
        }
        Ok(())
    }

    fn take(
        &mut self,
        from: &Dataset,
        episode: &Episode,
        choice: &EpisodeChoice,
        mut statistics: FeatureStats,
    ) -> Result<(), DatasetError> {
        let index = self.info.total_episodes;
        let data = FilePlace {
            chunk: index / CHUNK,
            file: index % CHUNK,
        };
        let mut taken = Episode {
            index,
            tasks: choice
                .task
                .as_ref()
                .map_or(episode.tasks.clone(), |task| vec![task.clone()]),
            length: episode.length,
            from: self.info.total_frames,
            data,
            videos: BTreeMap::new(),
        };
        for (key, span) in &episode.videos {
            let place = self.copy_video(from, episode, key)?;
            taken.videos.insert(key.clone(), VideoSpan { place, ..*span });
        }
        from.complete(episode, &mut statistics)?;
        let task_of_row = self.copy_rows(from, episode, &taken, choice.task.as_deref())?;
        let whole = |values: &mut dyn Iterator<Item = usize>| {
            Statistics::of_rows(&values.map(|value| value as f32).collect::<Vec<_>>(), 1)
        };
        let rows = taken.from..taken.from + taken.length;
        statistics.insert("episode_index".into(), whole(&mut rows.clone().map(|_| index)));
        statistics.insert("index".into(), whole(&mut rows.clone()));
        statistics.insert("task_index".into(), whole(&mut task_of_row.into_iter()));
        let path = self.out.join(episode_path(EPISODES, data)?);
        let frames = taken.length;
        let described = [(taken, statistics)];
        episodes::save(self.storage, &path, &described)?;
        let [(_, statistics)] = described;
        let notes = notes_path(from.root(), episode.index);
        if notes.exists() {
            copy(self.storage, &notes, &notes_path(self.out, index))?;
        }
        episode_stats::merge(&mut self.statistics, &statistics);
        self.info.total_episodes += 1;
        self.info.total_frames += frames;
        Ok(())
    }

    fn number_of(&mut self, task: &str) -> usize {
        self.tasks.iter().position(|known| known == task).unwrap_or_else(|| {
            self.tasks.push(task.to_owned());
            self.tasks.len() - 1
        })
    }

    /// Copies the rows of an episode with all their columns; returns the task index of each.
    fn copy_rows(
        &mut self,
        from: &Dataset,
        episode: &Episode,
        taken: &Episode,
        task: Option<&str>,
    ) -> Result<Vec<usize>, DatasetError> {
        let source = data_path(from.root(), from.info(), episode)?;
        let (_, first) = from.place(At {
            episode: episode.index,
            frame: 0,
        })?;
        let in_rows = from
            .info()
            .features
            .iter()
            .filter(|(_, feature)| feature.dtype != Dtype::Video);
        let names: Vec<&str> = in_rows.map(|(name, _)| name.as_str()).collect();
        let pictures: Vec<_> = from.info().pictures().map(|(name, _)| name.to_owned()).collect();
        let values = from.info().features.values().filter(|feature| !feature.is_picture());
        let part = RowRange {
            first,
            count: episode.length,
            values: values.map(Feature::len).sum(),
        };
        let mut task_of_row = Vec::new();
        let table = Table::open(&source)?;
        for batch in table.read(&["task_index"], part)? {
            let numbers = columns::counts(&batch?, "task_index").map_err(|e| DatasetError::content(&source, e))?;
            for number in numbers {
                let text = match task {
                    Some(text) => text,
                    None => from.numbered_task(number).ok_or_else(|| {
                        DatasetError::content(&source, format!("there is no instruction of number {number}"))
                    })?,
                };
                task_of_row.push(self.number_of(text));
            }
        }
        let path = self.out.join(episode_path(DATA, taken.data)?);
        let mut written = 0;
        commit_with(self.storage, &path, |sink| {
            let mut stream = table.read(&names, part)?.peekable();
            let Some(Ok(head)) = stream.peek() else {
                return Err(DatasetError::content(&source, "expected rows, found none"));
            };
            let mut writer = Writer::new(sink, &path, schema(head), &pictures)?;
            for batch in stream {
                let batch = batch?;
                let tasks = task_of_row.get(written..written + batch.num_rows()).unwrap_or_default();
                let numbered = renumbered(&batch, taken, written, tasks);
                writer.write(&numbered.map_err(|e| DatasetError::content(&source, e))?)?;
                written += batch.num_rows();
                if writer.held() > GROUP {
                    writer.end_group()?;
                }
            }
            if written != episode.length {
                let problem = format!(
                    "episode {}: expected {} rows, found {written}",
                    episode.index, episode.length
                );
                return Err(DatasetError::content(&source, problem));
            }
            writer.finish()
        })?;
        Ok(task_of_row)
    }

    /// Copies the whole file, once for all episodes in it, so that their time spans stay valid.
    fn copy_video(&mut self, from: &Dataset, episode: &Episode, key: &str) -> Result<FilePlace, DatasetError> {
        let source = video_path(from.root(), from.info(), episode, key)?;
        let of_key = self.videos.entry(key.to_owned()).or_default();
        let place = |number: usize| FilePlace {
            chunk: number / CHUNK,
            file: number % CHUNK,
        };
        if let Some(known) = of_key.iter().position(|known| *known == source) {
            return Ok(place(known));
        }
        of_key.push(source.clone());
        let place = place(of_key.len() - 1);
        let (chunk, file) = (place.chunk.to_string(), place.file.to_string());
        let values = [("video_key", key), ("chunk_index", &chunk), ("file_index", &file)];
        let path = expand(VIDEOS, &values).map_err(DatasetError::Request)?;
        copy(self.storage, &source, &self.out.join(path))?;
        Ok(place)
    }

    fn finish(mut self) -> Result<Info, DatasetError> {
        tasks::save(self.storage, self.out, &self.tasks)?;
        episode_stats::save_all(self.storage, self.out, &self.statistics)?;
        self.info.total_tasks = self.tasks.len();
        if self.info.total_episodes > 0 {
            self.info
                .splits
                .insert("train".into(), format!("0:{}", self.info.total_episodes));
        }
        self.info.save(self.storage, self.out)?;
        Ok(self.info)
    }
}

const NUMBERS: [&str; 3] = ["episode_index", "index", "task_index"];

fn schema(batch: &RecordBatch) -> Arc<Schema> {
    let whole = batch.schema();
    let fields = whole.fields().iter().map(|field| {
        let number = NUMBERS.contains(&field.name().as_str());
        if number {
            Arc::new(Field::new(field.name(), DataType::Int64, true))
        } else {
            Arc::clone(field)
        }
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// Returns the same rows with their indices in the new dataset.
fn renumbered(
    batch: &RecordBatch,
    taken: &Episode,
    before: usize,
    tasks: &[usize],
) -> Result<RecordBatch, arrow_schema::ArrowError> {
    let rows = before..before + batch.num_rows();
    let numbers = |values: &mut dyn Iterator<Item = usize>| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(values.map(|value| value as i64)))
    };
    let whole = batch.schema();
    let columns = whole
        .fields()
        .iter()
        .zip(batch.columns())
        .map(|(field, column)| match field.name().as_str() {
            "episode_index" => numbers(&mut rows.clone().map(|_| taken.index)),
            "index" => numbers(&mut rows.clone().map(|row| taken.from + row)),
            "task_index" => numbers(&mut tasks.iter().copied()),
            _ => Arc::clone(column),
        });
    RecordBatch::try_new(schema(batch), columns.collect())
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
