//! What a dataset knows of each episode.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow_array::builder::{Float64Builder, Int64Builder, ListBuilder, StringBuilder};
use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch};
use serde::Deserialize;

use super::columns;
use super::error::DatasetError;
use super::info::Info;
use super::parquet_out;
use super::statistics::Statistics;
use super::storage::Storage;

/// Which file: its folder and its number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    /// Number of the folder.
    pub chunk: usize,
    /// Number of the file in it.
    pub file: usize,
}

/// Where an episode's pictures lie in a video.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VideoSpan {
    /// The file.
    pub place: Place,
    /// Time of its first picture in the file [s].
    pub from_s: f64,
    /// Time behind its last picture [s].
    pub to_s: f64,
}

/// An episode.
#[derive(Debug, Clone, PartialEq)]
pub struct Episode {
    /// Its number.
    pub index: usize,
    /// Its instructions.
    pub tasks: Vec<String>,
    /// Rows.
    pub length: usize,
    /// The row of the dataset it begins at.
    pub from: usize,
    /// The file of its rows.
    pub data: Place,
    /// Where its pictures lie, by column, where they lie in videos.
    pub videos: BTreeMap<String, VideoSpan>,
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

/// Reads the episodes of v3.0 up to the first that is not sound, and what is wrong with that.
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

/// Files of v3.0 that describe episodes.
pub(super) fn files(root: &Path) -> Result<Vec<std::path::PathBuf>, DatasetError> {
    let mut files = Vec::new();
    let folder = root.join("meta/episodes");
    for chunk in if folder.is_dir() { sorted(&folder)? } else { Vec::new() } {
        let inner = sorted(&chunk)?.into_iter();
        files.extend(inner.filter(|path| path.extension().is_some_and(|e| e == "parquet")));
    }
    Ok(files)
}

pub(super) fn sorted(folder: &Path) -> Result<Vec<std::path::PathBuf>, DatasetError> {
    let entries = std::fs::read_dir(folder).map_err(DatasetError::io("list", folder))?;
    let paths: std::io::Result<Vec<_>> = entries.map(|entry| Ok(entry?.path())).collect();
    let mut paths = paths.map_err(DatasetError::io("list", folder))?;
    paths.sort();
    Ok(paths)
}

fn load_file(path: &Path, info: &Info, episodes: &mut Vec<Episode>) -> Result<(), DatasetError> {
    let videos: Vec<_> = info
        .pictures()
        .filter(|(_, feature)| feature.dtype == super::feature::Dtype::Video)
        .map(|(key, _)| key.to_owned())
        .collect();
    let mut names: Vec<String> = [
        "episode_index",
        "tasks",
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
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for batch in columns::read(path, &names)? {
        let read = read_batch(&batch, &videos).map_err(|problem| DatasetError::content(path, problem))?;
        episodes.extend(read);
    }
    Ok(())
}

fn read_batch(batch: &RecordBatch, videos: &[String]) -> Result<Vec<Episode>, String> {
    let count = |name: &str| columns::counts(batch, name).map(Vec::into_iter);
    let (mut index, mut length) = (count("episode_index")?, count("length")?);
    let (mut chunk, mut file) = (count("data/chunk_index")?, count("data/file_index")?);
    let mut from = count("dataset_from_index")?;
    let mut spans: BTreeMap<&String, Vec<VideoSpan>> = BTreeMap::new();
    for key in videos {
        let chunks = columns::counts(batch, &format!("videos/{key}/chunk_index"))?;
        let files = columns::counts(batch, &format!("videos/{key}/file_index"))?;
        let starts = columns::doubles(batch, &format!("videos/{key}/from_timestamp"))?;
        let ends = columns::doubles(batch, &format!("videos/{key}/to_timestamp"))?;
        let places = chunks.into_iter().zip(files).map(|(chunk, file)| Place { chunk, file });
        let times = starts.into_iter().zip(ends);
        let of_key = places
            .zip(times)
            .map(|(place, (from_s, to_s))| VideoSpan { place, from_s, to_s });
        spans.insert(key, of_key.collect());
    }
    let mut episodes = Vec::new();
    for (row, tasks) in columns::text_lists(batch, "tasks")?.into_iter().enumerate() {
        let next = |values: &mut std::vec::IntoIter<usize>| values.next().unwrap_or_default();
        episodes.push(Episode {
            index: next(&mut index),
            tasks,
            length: next(&mut length),
            from: next(&mut from),
            data: Place {
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

/// Reads `meta/episodes.jsonl` of v2; every episode has files of its own.
///
/// # Errors
/// When the file is missing or malformed.
pub fn load_lines(root: &Path, info: &Info) -> Result<Vec<Episode>, DatasetError> {
    /// A line.
    #[derive(Deserialize)]
    struct Line {
        episode_index: usize,
        tasks: Vec<String>,
        length: usize,
    }
    let path = root.join("meta/episodes.jsonl");
    let lines: Vec<Line> = super::lines::read(&path)?;
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
        let place = Place {
            chunk: expected / info.chunks_size,
            file: expected,
        };
        let span = VideoSpan {
            place,
            from_s: 0.0,
            to_s: line.length as f64 / info.fps,
        };
        let videos = info.pictures().filter(|(_, f)| f.dtype == super::feature::Dtype::Video);
        episodes.push(Episode {
            index: expected,
            tasks: line.tasks,
            length: line.length,
            from,
            data: place,
            videos: videos.map(|(key, _)| (key.to_owned(), span)).collect(),
        });
        from = from.saturating_add(line.length);
    }
    Ok(episodes)
}

/// Writes the description of one episode into a file of its own, which has the number of its data file.
///
/// # Errors
/// When the disk refuses.
pub fn save(
    storage: &dyn Storage,
    path: &Path,
    episode: &Episode,
    statistics: &BTreeMap<String, Statistics>,
) -> Result<(), DatasetError> {
    let number = |value: usize| -> ArrayRef { Arc::new(Int64Array::from_iter_values([value as i64])) };
    let time = |value: f64| -> ArrayRef { Arc::new(Float64Array::from_iter_values([value])) };
    let mut tasks = ListBuilder::new(StringBuilder::new());
    episode.tasks.iter().for_each(|task| tasks.values().append_value(task));
    tasks.append(true);
    let mut columns: Vec<(String, ArrayRef)> = vec![
        ("episode_index".into(), number(episode.index)),
        ("tasks".into(), Arc::new(tasks.finish())),
        ("length".into(), number(episode.length)),
        ("data/chunk_index".into(), number(episode.data.chunk)),
        ("data/file_index".into(), number(episode.data.file)),
        ("dataset_from_index".into(), number(episode.from)),
        ("dataset_to_index".into(), number(episode.from + episode.length)),
    ];
    for (key, span) in &episode.videos {
        columns.extend([
            (format!("videos/{key}/chunk_index"), number(span.place.chunk)),
            (format!("videos/{key}/file_index"), number(span.place.file)),
            (format!("videos/{key}/from_timestamp"), time(span.from_s)),
            (format!("videos/{key}/to_timestamp"), time(span.to_s)),
        ]);
    }
    for (feature, of_feature) in statistics {
        for (name, values) in of_feature.named() {
            let column = if of_feature.of_pictures {
                nested(values)
            } else {
                list(values)
            };
            columns.push((format!("stats/{feature}/{name}"), column));
        }
        let mut count = ListBuilder::new(Int64Builder::new());
        count.values().append_value(of_feature.count as i64);
        count.append(true);
        columns.push((format!("stats/{feature}/count"), Arc::new(count.finish())));
    }
    columns.extend([
        ("meta/episodes/chunk_index".into(), number(episode.data.chunk)),
        ("meta/episodes/file_index".into(), number(episode.data.file)),
    ]);
    let batch = RecordBatch::try_from_iter(columns).map_err(|e| DatasetError::content(path, e))?;
    parquet_out::commit(storage, path, &batch)
}

fn list(values: &[f64]) -> ArrayRef {
    let mut list = ListBuilder::new(Float64Builder::new());
    list.values().append_slice(values);
    list.append(true);
    Arc::new(list.finish())
}

/// # Shapes
/// one value a channel → (channels, 1, 1)
fn nested(values: &[f64]) -> ArrayRef {
    let mut channels = ListBuilder::new(ListBuilder::new(ListBuilder::new(Float64Builder::new())));
    for value in values {
        let rows = channels.values();
        rows.values().values().append_value(*value);
        rows.values().append(true);
        rows.append(true);
    }
    channels.append(true);
    Arc::new(channels.finish())
}
