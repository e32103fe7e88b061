//! Checks that a dataset is what its metadata describes.

use std::collections::BTreeMap;
use std::path::Path;

use arrow_array::RecordBatch;

use super::decoded_images::DecodedImageReader;
use super::episode_stats;
use super::episodes::{self, Episode, FilePlace};
use super::error::DatasetError;
use super::feature::{Dtype, Feature};
use super::frame::Picture;
use super::info::{Info, STATS, Version};
use super::instruction::require_plain;
use super::parquet::columns;
use super::parquet::table::{RowRange, Table};
use super::reader::{At, Dataset, data_path};
use super::times::{is_due, is_rounded};
use crate::camera::rgb::RgbImage;

/// Advice for times that look rounded.
const ROUNDED: &str = "; times look rounded to milliseconds: rows are read with their own frames of videos, but LeRobot \
                       refuses such frames unless its tolerance_s is 0.001; write the number of the frame divided by the \
                       rate";

/// Depth of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Files are complete and have the described number of rows.
    Files,
    /// Indices and times of rows are right, numbers are finite, every image in the rows can be decoded, and videos reach
    /// to the last row of every episode.
    Rows,
    /// In addition, every row's frame of every video exists at its time and can be decoded.
    Videos,
}

/// Result of a check.
#[derive(Debug)]
pub struct VerifyReport {
    /// Episodes up to the first damaged file.
    pub sound: Vec<Episode>,
    /// Problems, the first of each file.
    pub problems: Vec<DatasetError>,
    /// Names of values that are not understood; values can be read, but not told apart.
    pub notes: Vec<DatasetError>,
}

/// Checks a dataset.
///
/// # Errors
/// When its description cannot be read, or it cannot be opened although its files are undamaged.
pub fn verify(root: &Path, depth: Depth) -> Result<VerifyReport, DatasetError> {
    let info = Info::load(root)?;
    let (mut sound, problem) = match info.codebase_version {
        Version::V3 => episodes::load_sound(root, &info)?,
        Version::V21 | Version::V20 => (episodes::load_lines(root, &info)?, None),
    };
    let mut problems: Vec<_> = problem.into_iter().collect();
    if sound.len() > info.total_episodes {
        sound.truncate(info.total_episodes);
    }
    let mut end = sound.len();
    let mut files: BTreeMap<(usize, usize), Vec<&Episode>> = BTreeMap::new();
    for episode in &sound {
        let FilePlace { chunk, file } = episode.data;
        files.entry((chunk, file)).or_default().push(episode);
    }
    for of_file in files.values() {
        if let Err(problem) = verify_file(root, &info, of_file, depth) {
            end = end.min(of_file.first().map_or(0, |episode| episode.index));
            problems.push(problem);
        }
    }
    sound.truncate(end);
    let frames: usize = sound.iter().map(|episode| episode.length).sum();
    if problems.is_empty() && (sound.len(), frames) != (info.total_episodes, info.total_frames) {
        let problem = format!(
            "it says {} episodes of {} frames, found {} of {frames}",
            info.total_episodes,
            info.total_frames,
            sound.len()
        );
        problems.push(DatasetError::content(&root.join(super::info::INFO), problem));
    }
    if depth != Depth::Files && root.join(STATS).exists() {
        problems.extend(episode_stats::load(root).err());
    }
    if depth != Depth::Files && info.codebase_version != Version::V3 {
        problems.extend(episode_stats::of_episodes(root, &info).err());
    }
    if depth != Depth::Files && problems.is_empty() {
        let dataset = Dataset::open(root)?;
        let mut unsound = bad_instructions(&dataset);
        if unsound.is_empty() {
            unsound = bad_videos(&dataset, depth)?;
        }
        for (episode, problem) in unsound {
            sound.truncate(episode);
            problems.push(problem);
        }
    }
    if depth != Depth::Files {
        problems.extend(unknown_types(root, &info));
    }
    let notes = unclear_names(root, &info);
    Ok(VerifyReport { sound, problems, notes })
}

/// Finds columns of types that LeRobot does not have.
fn unknown_types(root: &Path, info: &Info) -> Vec<DatasetError> {
    let unknown = info.features.iter().filter(|(_, feature)| !feature.dtype.is_known());
    let problem = |(name, feature): (&String, &Feature)| {
        let problem = format!(
            "column {name}: expected a dtype of LeRobot such as float32, int64, image or video, found {:?}; write the \
             type of its values",
            feature.dtype.name()
        );
        DatasetError::content(&root.join(super::info::INFO), problem)
    };
    unknown.map(problem).collect()
}

/// Finds columns of numbers whose names are not understood.
fn unclear_names(root: &Path, info: &Info) -> Vec<DatasetError> {
    let unclear = info.vectors().filter_map(|(name, feature)| {
        let problem = format!("column {name}: {}", feature.own_names().err()?);
        Some(DatasetError::content(&root.join(super::info::INFO), problem))
    });
    unclear.collect()
}

/// Checks that the files of rows have as many rows as the metadata describes, so that a copy of episodes loses none.
///
/// # Errors
/// When a file has another number of rows, or cannot be opened.
pub fn require_described_rows(dataset: &Dataset) -> Result<(), DatasetError> {
    for of_file in dataset.episodes().chunk_by(|a, b| a.data == b.data) {
        let of_file: Vec<&Episode> = of_file.iter().collect();
        let checked = verify_file(dataset.root(), dataset.info(), &of_file, Depth::Files);
        checked.map_err(|problem| match problem {
            DatasetError::Content { path, problem } => {
                let problem =
                    format!("{problem}; rows would be lost: mend the lengths of episodes in meta/, or this file");
                DatasetError::content(&path, problem)
            }
            other => other,
        })?;
    }
    Ok(())
}

/// Finds episodes with an instruction that is not plain text, and the problem.
fn bad_instructions(dataset: &Dataset) -> Vec<(usize, DatasetError)> {
    let bad = dataset.episodes().iter().filter_map(|episode| {
        let mut tasks = dataset.instructions(episode).into_iter();
        let problem = tasks.find_map(|task| require_plain(task).err())?;
        let problem = format!(
            "episode {}: {problem}; `thinkvla dataset relabel` gives it another",
            episode.index
        );
        Some((episode.index, DatasetError::content(dataset.root(), problem)))
    });
    bad.collect()
}

/// Finds the first episode of each video column with a missing or wrong frame; only those of last rows are looked for,
/// and none is decoded, unless all are to be.
fn bad_videos(dataset: &Dataset, depth: Depth) -> Result<Vec<(usize, DatasetError)>, DatasetError> {
    let videos = dataset.info().pictures().filter(|(_, f)| f.dtype == Dtype::Video);
    videos
        .filter_map(|(name, feature)| match depth {
            Depth::Videos => first_bad_video(dataset, name, feature).transpose(),
            Depth::Files | Depth::Rows => first_short_video(dataset, name).transpose(),
        })
        .collect()
}

/// Finds the first episode with a last row that has no frame in the video column `name`.
fn first_short_video(dataset: &Dataset, name: &str) -> Result<Option<(usize, DatasetError)>, DatasetError> {
    let mut reader = DecodedImageReader::new(dataset, &[name])?;
    for episode in dataset.episodes().iter().filter(|episode| episode.length > 0) {
        let last = At {
            episode: episode.index,
            frame: episode.length - 1,
        };
        if let Err(problem) = reader.require_frames(last) {
            return Ok(Some((episode.index, problem)));
        }
    }
    Ok(None)
}

/// Finds the first episode with a missing or wrong frame in the video column `name`.
fn first_bad_video(
    dataset: &Dataset,
    name: &str,
    feature: &Feature,
) -> Result<Option<(usize, DatasetError)>, DatasetError> {
    let mut reader = DecodedImageReader::new(dataset, &[name])?;
    // Training reads rows in any order, so one of each episode is reached by a jump from elsewhere.
    let mut jumping = DecodedImageReader::new(dataset, &[name])?;
    let mut images = Vec::new();
    for (episode, length) in dataset.episodes().iter().map(|episode| episode.length).enumerate() {
        for frame in 0..length {
            if let Err(problem) = reader.read(At { episode, frame }, &mut images) {
                return Ok(Some((episode, problem)));
            }
            let found = images.first().map_or((0, 0), |image| (image.width(), image.height()));
            if !feature.has_size(found) {
                let problem = format!(
                    "{name}, row {frame} of episode {episode}: expected {}",
                    another_size(feature, found)
                );
                return Ok(Some((episode, DatasetError::content(dataset.root(), problem))));
            }
        }
        let frame = length / 2;
        if frame < length
            && let Err(problem) = jumping.read(At { episode, frame }, &mut images)
        {
            return Ok(Some((episode, problem)));
        }
    }
    Ok(None)
}

/// Describes the shape of a column in the metadata and the size of its images.
fn another_size(feature: &Feature, (width, height): (u32, u32)) -> String {
    format!("shape {:?}, found {width}x{height} px", feature.shape)
}

fn verify_file(root: &Path, info: &Info, episodes: &[&Episode], depth: Depth) -> Result<(), DatasetError> {
    let Some(first) = episodes.first() else { return Ok(()) };
    let path = data_path(root, info, first)?;
    let expected: usize = episodes.iter().map(|episode| episode.length).sum();
    if expected == 0 && !path.exists() {
        return Ok(());
    }
    let table = Table::open(&path)?;
    let found = table.rows();
    if found != expected as i64 {
        return Err(DatasetError::content(
            &path,
            format!("expected {expected} rows, found {found}"),
        ));
    }
    match depth {
        Depth::Files => Ok(()),
        Depth::Rows | Depth::Videos => verify_rows(&table, &path, info, episodes),
    }
}

fn verify_rows(table: &Table<'_>, path: &Path, info: &Info, episodes: &[&Episode]) -> Result<(), DatasetError> {
    let vectors: Vec<_> = info.vectors().map(|(name, _)| name).collect();
    let pictures: Vec<_> = info.pictures().filter(|(_, f)| f.dtype == Dtype::Image).collect();
    let names = ["timestamp", "frame_index", "episode_index", "index"];
    let names: Vec<&str> = names
        .into_iter()
        .chain(vectors.iter().copied())
        .chain(pictures.iter().map(|p| p.0))
        .collect();
    let mut expected = episodes
        .iter()
        .flat_map(|e| (0..e.length).map(|frame| (frame, e.index, e.from + frame)));
    let mut decoded = RgbImage::default();
    let part = RowRange {
        values: info.vectors().map(|(_, feature)| feature.len()).sum::<usize>() + names.len(),
        ..RowRange::ALL
    };
    let (mut first, mut begin_s) = (0, 0.0);
    for batch in table.read(&names, part)? {
        let batch = batch?;
        let checked = check_places(&batch, first, info.fps, &mut begin_s, &mut expected);
        checked.map_err(|problem| DatasetError::content(path, problem))?;
        for name in &vectors {
            let dim = info.features.get(*name).map_or(0, Feature::len);
            let numbers = columns::column(&batch, name).and_then(|column| columns::numbers(&column, name, dim, first));
            let numbers = numbers.map_err(|problem| DatasetError::content(path, problem))?;
            if let Some(at) = numbers.iter().position(|value| !value.is_finite()) {
                let row = first + at / dim.max(1);
                let problem = format!("{name}, row {row}: expected numbers, found one that is not finite");
                return Err(DatasetError::content(path, problem));
            }
        }
        for (name, feature) in &pictures {
            let checked = check_pictures(&batch, first, name, feature, &mut decoded);
            checked.map_err(|problem| DatasetError::content(path, problem))?;
        }
        first += batch.num_rows();
    }
    Ok(())
}

/// Checks frame, episode, row and time of each row of a batch that begins at row `first` of its file; `expected` gives
/// frame, episode and row of the next ones, and `begin_s` is the time of the first row of the episode (s), which need not
/// be 0.
fn check_places(
    batch: &RecordBatch,
    first: usize,
    fps: f64,
    begin_s: &mut f64,
    expected: &mut impl Iterator<Item = (usize, usize, usize)>,
) -> Result<(), String> {
    let count = |name: &str| {
        let counts = columns::by_row(batch, first, |batch| columns::counts(batch, name));
        counts.map_err(|problem| problem.to_string())
    };
    let times = columns::by_row(batch, first, |batch| columns::doubles(batch, "timestamp"));
    let times = times.map_err(|problem| problem.to_string())?;
    let (frames, indices, rows) = (count("frame_index")?, count("episode_index")?, count("index")?);
    let places = frames.into_iter().zip(indices).zip(rows);
    for ((((frame, episode), row), time), in_file) in places.zip(times).zip(first..) {
        let should = expected.next().unwrap_or_default();
        if (frame, episode, row) != should {
            let found = (frame, episode, row);
            return Err(format!("expected frame, episode and row {should:?}, found {found:?}"));
        }
        if frame == 0 {
            *begin_s = time;
            if time.abs() * f64::from(f32::EPSILON) > 0.5 / fps {
                return Err(format!(
                    "expected a time of the first row at which 32-bit numbers tell rows at {fps} Hz apart, found {time:.4} s; \
                     count times from the start of the episode"
                ));
            }
        }
        let due = *begin_s + frame as f64 / fps;
        if !is_due(time, due) {
            let advice = if is_rounded(time, fps) { ROUNDED } else { "" };
            return Err(format!(
                "row {in_file}, frame {frame} at {fps} Hz: expected time {due:.4} s, found {time:.4} s{advice}"
            ));
        }
    }
    Ok(())
}

/// Checks that the pictures of the column `name` can be decoded and have its size; the batch begins at row `first` of its
/// file, and `decoded` is memory for them.
fn check_pictures(
    batch: &RecordBatch,
    first: usize,
    name: &str,
    feature: &Feature,
    decoded: &mut RgbImage,
) -> Result<(), String> {
    let pictures = columns::column(batch, name).and_then(|column| columns::pictures(&column, name));
    let pictures = pictures.map_err(|problem| problem.to_string())?;
    for (bytes, row) in pictures.into_iter().zip(first..) {
        let read = Picture::of_bytes(bytes).and_then(|picture| picture.decode(decoded));
        read.map_err(|problem| format!("{name}, row {row}: {problem}"))?;
        let found = (decoded.width(), decoded.height());
        if !feature.has_size(found) {
            let hint = match feature.size() == Some((found.1, found.0)) {
                true => "; a shape has the height before the width, of pictures that are turned as their EXIF data say",
                false => "",
            };
            let expected = another_size(feature, found);
            return Err(format!("{name}, row {row}: expected {expected}{hint}"));
        }
    }
    Ok(())
}
