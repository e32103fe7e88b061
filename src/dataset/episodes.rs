//! Episode metadata of a dataset: `meta/episodes/` of v3.0 and `meta/episodes.jsonl` of v2.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow_array::builder::{Float64Builder, Int64Builder, ListBuilder, StringBuilder};
use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch};
use serde::Deserialize;

use super::episode_stats::FeatureStats;
use super::error::DatasetError;
use super::info::{CHUNK, Info, Version};
use super::jsonl;
use super::parquet::columns::{self, ColumnError};
use super::parquet::table::{RowRange, Table};
use super::parquet::writer;
use super::statistics::Statistics;
use super::storage::Storage;

/// File of a dataset, by the numbers of its folder and of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FilePlace {
    /// Number of the folder.
    pub chunk: usize,
    /// Number of the file in it.
    pub file: usize,
}

impl FilePlace {
    /// File of this number, counted over all folders.
    pub fn of_number(number: usize) -> Self {
        Self {
            chunk: number / CHUNK,
            file: number % CHUNK,
        }
    }
}

/// Time span of an episode in a video file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VideoSpan {
    /// The file.
    pub place: FilePlace,
    /// Time of the first frame in the file (s).
    pub from_s: f64,
    /// Time at which the last frame ends (s).
    pub to_s: f64,
}

/// Metadata of an episode.
#[derive(Debug, Clone, PartialEq)]
pub struct Episode {
    /// Index of the episode.
    pub index: usize,
    /// Instructions of the episode.
    pub tasks: Vec<String>,
    /// Number of rows.
    pub length: usize,
    /// Index of the first row in the dataset.
    pub from: usize,
    /// File of the rows.
    pub data: FilePlace,
    /// Time spans in video files, by column.
    pub videos: BTreeMap<String, VideoSpan>,
}

/// Column of an episode's instructions. Datasets need not have it: rows name their task too.
const TASKS: &str = "tasks";

/// Reads the episodes of v2 or v3.0 in order.
///
/// # Errors
/// When a file is missing or malformed, or numbers do not run from 0.
pub fn load_any(root: &Path, info: &Info) -> Result<Vec<Episode>, DatasetError> {
    match info.codebase_version {
        Version::V3 => load(root, info),
        Version::V21 | Version::V20 => load_lines(root, info),
    }
}

/// Reads the episodes of v3.0 in order.
///
/// # Errors
/// When a file is malformed or numbers do not run from 0.
pub fn load(root: &Path, info: &Info) -> Result<Vec<Episode>, DatasetError> {
    match load_sound(root, info)? {
        (_, Some(error)) => Err(error),
        (episodes, None) => Ok(episodes),
    }
}

/// Reads the episodes of v3.0 up to the first file that is damaged, and returns what is wrong with that file.
///
/// # Errors
/// When the folder cannot be read.
pub fn load_sound(root: &Path, info: &Info) -> Result<(Vec<Episode>, Option<DatasetError>), DatasetError> {
    let mut episodes: Vec<Episode> = Vec::new();
    for path in files(root)? {
        let before = episodes.len();
        let mut problem = load_file(&path, info, &mut episodes).err();
        let found = episodes.iter().skip(before).map(|episode| episode.index);
        if let Some((found, expected)) = found.zip(before..).find(|(found, expected)| found != expected) {
            problem = Some(DatasetError::content(
                &path,
                format!("expected episode {expected}, found {found}"),
            ));
        }
        if problem.is_some() {
            episodes.truncate(before);
            return Ok((episodes, problem));
        }
    }
    Ok((episodes, None))
}

/// Lists the files of v3.0 that describe episodes, in order.
pub(super) fn files(root: &Path) -> Result<Vec<std::path::PathBuf>, DatasetError> {
    let mut files = Vec::new();
    let folder = root.join("meta/episodes");
    for chunk in if folder.is_dir() { sorted(&folder)? } else { Vec::new() } {
        if !chunk.is_dir() {
            continue;
        }
        let inner = sorted(&chunk)?.into_iter();
        files.extend(inner.filter(|path| path.extension().is_some_and(|e| e == "parquet")));
    }
    Ok(files)
}

/// Lists the entries of a folder in order, without hidden ones.
pub(super) fn sorted(folder: &Path) -> Result<Vec<std::path::PathBuf>, DatasetError> {
    let entries = std::fs::read_dir(folder).map_err(DatasetError::io("list", folder))?;
    let paths: std::io::Result<Vec<_>> = entries.map(|entry| Ok(entry?.path())).collect();
    let mut paths = paths.map_err(DatasetError::io("list", folder))?;
    paths.retain(|path| !is_hidden(path));
    paths.sort();
    Ok(paths)
}

/// Returns whether a name begins with a dot: files of the system (`._file`, `.DS_Store`), and what is put aside.
pub(super) fn is_hidden(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

fn load_file(path: &Path, info: &Info, episodes: &mut Vec<Episode>) -> Result<(), DatasetError> {
    let videos: Vec<_> = info.videos().map(str::to_owned).collect();
    let table = Table::open(path)?;
    let tasks = table.has(TASKS).then_some(TASKS);
    let mut names: Vec<String> = [
        "episode_index",
        "length",
        "data/chunk_index",
        "data/file_index",
        "dataset_from_index",
    ]
    .map(str::to_owned)
    .to_vec();
    for key in &videos {
        let parts = ["chunk_index", "file_index", "from_timestamp", "to_timestamp"];
        names.extend(parts.map(|part| format!("videos/{key}/{part}")));
    }
    // Ends of episodes follow from their lengths.
    let wanted = names.iter().map(String::as_str).chain(tasks);
    let names: Vec<&str> = wanted
        .filter(|name| !name.ends_with("/to_timestamp") || table.has(name))
        .collect();
    for batch in table.read(&names, RowRange::ALL)? {
        let read = read_batch(&batch?, &videos, info.fps).map_err(|problem| DatasetError::content(path, problem))?;
        episodes.extend(read);
    }
    Ok(())
}

fn read_batch(batch: &RecordBatch, videos: &[String], fps: f64) -> Result<Vec<Episode>, ColumnError> {
    let count = |name: &str| columns::counts(batch, name).map(Vec::into_iter);
    let (mut index, mut length) = (count("episode_index")?, count("length")?);
    let (mut chunk, mut file) = (count("data/chunk_index")?, count("data/file_index")?);
    let mut from = count("dataset_from_index")?;
    let mut spans: BTreeMap<&String, Vec<VideoSpan>> = BTreeMap::new();
    for key in videos {
        let chunks = columns::counts(batch, &format!("videos/{key}/chunk_index"))?;
        let files = columns::counts(batch, &format!("videos/{key}/file_index"))?;
        let starts = columns::doubles(batch, &format!("videos/{key}/from_timestamp"))?;
        let end = format!("videos/{key}/to_timestamp");
        let ends = match batch.column_by_name(&end) {
            Some(_) => columns::doubles(batch, &end)?,
            None => {
                let last = starts.iter().zip(length.as_slice());
                last.map(|(start, length)| start + *length as f64 / fps).collect()
            }
        };
        let places = chunks
            .into_iter()
            .zip(files)
            .map(|(chunk, file)| FilePlace { chunk, file });
        let times = starts.into_iter().zip(ends);
        let of_key = places
            .zip(times)
            .map(|(place, (from_s, to_s))| VideoSpan { place, from_s, to_s });
        spans.insert(key, of_key.collect());
    }
    let mut episodes = Vec::new();
    let tasks = match batch.column_by_name(TASKS) {
        Some(_) => columns::text_lists(batch, TASKS)?,
        None => vec![Vec::new(); batch.num_rows()],
    };
    for (row, tasks) in tasks.into_iter().enumerate() {
        let next = |values: &mut std::vec::IntoIter<usize>| values.next().unwrap_or_default();
        episodes.push(Episode {
            index: next(&mut index),
            tasks,
            length: next(&mut length),
            from: next(&mut from),
            data: FilePlace {
                chunk: next(&mut chunk),
                file: next(&mut file),
            },
            videos: spans
                .iter()
                .filter_map(|(key, spans)| Some(((*key).clone(), *spans.get(row)?)))
                .collect(),
        });
    }
    Ok(episodes)
}

/// Reads `meta/episodes.jsonl` of v2, whose lines may have any order; every episode has files of its own.
///
/// # Errors
/// When the file is missing or malformed, an episode is there twice, or numbers do not run from 0.
pub fn load_lines(root: &Path, info: &Info) -> Result<Vec<Episode>, DatasetError> {
    /// Line of the file.
    #[derive(Deserialize)]
    struct Line {
        #[serde(deserialize_with = "jsonl::number")]
        episode_index: usize,
        #[serde(default, deserialize_with = "jsonl::texts")]
        tasks: Vec<String>,
        #[serde(deserialize_with = "jsonl::number")]
        length: usize,
    }
    let path = root.join("meta/episodes.jsonl");
    if info.total_episodes == 0 && !path.exists() {
        return Ok(Vec::new());
    }
    let mut lines: Vec<Line> = jsonl::read(&path)?;
    lines.sort_by_key(|line| line.episode_index);
    let mut pairs = lines.iter().zip(lines.iter().skip(1));
    if let Some((twice, _)) = pairs.find(|(one, next)| one.episode_index == next.episode_index) {
        let problem = format!(
            "expected each episode once, found episode {} more than once; remove the lines that are wrong",
            twice.episode_index
        );
        return Err(DatasetError::content(&path, problem));
    }
    let mut from = 0_usize;
    let mut episodes = Vec::with_capacity(lines.len());
    for (line, expected) in lines.into_iter().zip(0..) {
        if line.episode_index != expected {
            let found = line.episode_index;
            return Err(DatasetError::content(
                &path,
                format!("expected episode {expected}, found {found}"),
            ));
        }
        let place = FilePlace {
            chunk: expected / info.chunks_size,
            file: expected,
        };
        let span = VideoSpan {
            place,
            from_s: 0.0,
            to_s: line.length as f64 / info.fps,
        };
        episodes.push(Episode {
            index: expected,
            tasks: line.tasks,
            length: line.length,
            from,
            data: place,
            videos: info.videos().map(|key| (key.to_owned(), span)).collect(),
        });
        from = from.saturating_add(line.length);
    }
    Ok(episodes)
}

/// An episode and the statistics of its features.
pub type Described = (Episode, FeatureStats);

/// Writes the metadata of the episodes of one data file into the metadata file of the same number. All episodes have
/// the same features and videos.
///
/// # Errors
/// When writing fails.
pub fn save(storage: &dyn Storage, path: &Path, episodes: &[Described]) -> Result<(), DatasetError> {
    let number = |of: &dyn Fn(&Episode) -> usize| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(
            episodes.iter().map(|(one, _)| of(one) as i64),
        ))
    };
    let mut tasks = ListBuilder::new(StringBuilder::new());
    for (episode, _) in episodes {
        episode.tasks.iter().for_each(|task| tasks.values().append_value(task));
        tasks.append(true);
    }
    let mut columns: Vec<(String, ArrayRef)> = vec![
        ("episode_index".into(), number(&|one| one.index)),
        ("tasks".into(), Arc::new(tasks.finish())),
        ("length".into(), number(&|one| one.length)),
        ("data/chunk_index".into(), number(&|one| one.data.chunk)),
        ("data/file_index".into(), number(&|one| one.data.file)),
        ("dataset_from_index".into(), number(&|one| one.from)),
        ("dataset_to_index".into(), number(&|one| one.from + one.length)),
    ];
    let Some((first, features)) = episodes.first() else {
        return Ok(());
    };
    for key in first.videos.keys() {
        let spans = || episodes.iter().filter_map(|(one, _)| one.videos.get(key));
        let number = |of: &dyn Fn(&VideoSpan) -> usize| -> ArrayRef {
            Arc::new(Int64Array::from_iter_values(spans().map(|span| of(span) as i64)))
        };
        let time =
            |of: &dyn Fn(&VideoSpan) -> f64| -> ArrayRef { Arc::new(Float64Array::from_iter_values(spans().map(of))) };
        columns.extend([
            (format!("videos/{key}/chunk_index"), number(&|span| span.place.chunk)),
            (format!("videos/{key}/file_index"), number(&|span| span.place.file)),
            (format!("videos/{key}/from_timestamp"), time(&|span| span.from_s)),
            (format!("videos/{key}/to_timestamp"), time(&|span| span.to_s)),
        ]);
    }
    for feature in features.keys() {
        columns.extend(statistics(feature, episodes));
    }
    columns.extend([
        ("meta/episodes/chunk_index".into(), number(&|one| one.data.chunk)),
        ("meta/episodes/file_index".into(), number(&|one| one.data.file)),
    ]);
    let batch = RecordBatch::try_from_iter(columns).map_err(|e| DatasetError::content(path, e))?;
    writer::commit(storage, path, &batch)
}

/// Columns of one feature's statistics, one row per episode.
fn statistics(feature: &str, episodes: &[Described]) -> Vec<(String, ArrayRef)> {
    let all: Vec<&Statistics> = episodes.iter().filter_map(|(_, all)| all.get(feature)).collect();
    let names = all
        .first()
        .into_iter()
        .flat_map(|one| one.named())
        .map(|(name, _)| name);
    let names = names.filter(|name| all.iter().all(|one| one.named().any(|(known, _)| known == *name)));
    let of_pictures = all.iter().any(|one| one.of_pictures);
    let mut count = ListBuilder::new(Int64Builder::new());
    for one in &all {
        count.values().append_value(one.count as i64);
        count.append(true);
    }
    let of_values = names.map(|name| {
        let of_name = all
            .iter()
            .filter_map(|one| one.named().find(|(known, _)| *known == name));
        let rows: Vec<&[f64]> = of_name.map(|(_, values)| values).collect();
        let column = if of_pictures { nested(&rows) } else { list(&rows) };
        (format!("stats/{feature}/{name}"), column)
    });
    let count: ArrayRef = Arc::new(count.finish());
    of_values.chain([(format!("stats/{feature}/count"), count)]).collect()
}

fn list(rows: &[&[f64]]) -> ArrayRef {
    let mut list = ListBuilder::new(Float64Builder::new());
    for values in rows {
        list.values().append_slice(values);
        list.append(true);
    }
    Arc::new(list.finish())
}

/// Nests image statistics as LeRobot does.
///
/// # Shapes
/// one value a channel → (channels, 1, 1), for each row
fn nested(rows: &[&[f64]]) -> ArrayRef {
    let mut channels = ListBuilder::new(ListBuilder::new(ListBuilder::new(Float64Builder::new())));
    for values in rows {
        for value in *values {
            let rows = channels.values();
            rows.values().values().append_value(*value);
            rows.values().append(true);
            rows.append(true);
        }
        channels.append(true);
    }
    Arc::new(channels.finish())
}
