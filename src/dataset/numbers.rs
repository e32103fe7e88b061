//! Reads the numbers of all rows into memory, computes their statistics, and checks that the rows are those that the
//! episode metadata describes.

use std::collections::BTreeMap;
use std::path::Path;

use arrow_array::RecordBatch;

use super::episodes::Episode;
use super::error::DatasetError;
use super::feature::{Dtype, Feature};
use super::info::{INFO, Info};
use super::parquet::columns::{self, ColumnError};
use super::parquet::table::{RowRange, Table};
use super::reader::{At, Dataset, data_path};
use super::statistics::Statistics;

/// Columns that identify a row; datasets may lack them.
const PLACES: [&str; 2] = ["episode_index", "frame_index"];
/// Column of the task index, which stands for a row's instruction.
const TASK: &str = "task_index";
/// Column of a row's time in its episode, by which frames of videos are found. It has to be right without videos too.
const TIME: &str = "timestamp";

/// Numbers of all rows, concatenated.
#[derive(Debug, Default)]
pub struct ColumnNumbers {
    /// Values of each column of vectors.
    ///
    /// # Shapes
    /// (rows, values in a row)
    pub vectors: BTreeMap<String, Vec<f32>>,
    /// Task index of each row.
    pub tasks: Vec<usize>,
    /// Time of each row in its episode (s); NaN where a table has no times.
    pub times: Vec<f32>,
}

impl ColumnNumbers {
    /// Reads the numbers of the episodes.
    ///
    /// # Errors
    /// When episodes are missing, a file is missing or malformed, or has other rows than the metadata describes; the error
    /// names the row.
    pub fn read(root: &Path, info: &Info, episodes: &[Episode]) -> Result<Self, DatasetError> {
        // The description is written last, so files are missing if it counts more.
        let (expected, found) = (info.total_episodes, episodes.len());
        if found < expected {
            let problem = format!(
                "expected {expected} episodes, found {found} in meta; fetch the files that are missing, or correct the \
                 totals"
            );
            return Err(DatasetError::content(&root.join(INFO), problem));
        }
        let vectors = info.vectors().map(|(name, _)| (name.to_owned(), Vec::new()));
        let mut all = Self {
            vectors: vectors.collect(),
            ..Self::default()
        };
        let mut rows = 0;
        for of_file in episodes.chunk_by(|a, b| a.data == b.data) {
            for episode in of_file {
                if episode.from != rows {
                    let (index, found) = (episode.index, episode.from);
                    let problem = format!("episode {index}: expected its first row to be {rows}, found {found}");
                    return Err(DatasetError::content(root, problem));
                }
                rows = rows.saturating_add(episode.length);
            }
            let filled = of_file.iter().find(|episode| episode.length > 0);
            if let Some(first) = filled {
                all.read_file(&data_path(root, info, first)?, info, of_file)?;
            }
            if all.tasks.len() != rows {
                let problem = format!("expected {rows} rows, found {}", all.tasks.len());
                return Err(DatasetError::content(root, problem));
            }
        }
        Ok(all)
    }

    fn read_file(&mut self, path: &Path, info: &Info, episodes: &[Episode]) -> Result<(), DatasetError> {
        let count = episodes.iter().map(|episode| episode.length).sum();
        let table = Table::open(path)?;
        let places = PLACES.into_iter().chain([TIME]).filter(|name| table.has(name));
        let wanted: Vec<&str> = info
            .vectors()
            .map(|(name, _)| name)
            .chain([TASK])
            .chain(places)
            .collect();
        let part = RowRange {
            first: 0,
            count,
            values: info.vectors().map(|(_, feature)| feature.len()).sum::<usize>() + PLACES.len() + 2,
        };
        let mut rows = episodes
            .iter()
            .flat_map(|episode| (0..episode.length).map(move |frame| (episode.index, frame)));
        let mut first = 0;
        for batch in table.read(&wanted, part)? {
            let batch = batch?;
            self.take(&batch, info, first)
                .map_err(|problem| DatasetError::content(path, problem))?;
            require_order(&batch, path, first, &mut rows)?;
            first += batch.num_rows();
        }
        Ok(())
    }

    /// Appends a batch that begins at row `first` of a file.
    fn take(&mut self, batch: &RecordBatch, info: &Info, first: usize) -> Result<(), ColumnError> {
        for (name, values) in &mut self.vectors {
            let dim = info.features.get(name).map_or(0, Feature::len);
            let column = columns::column(batch, name)?;
            values.extend(columns::numbers(&column, name, dim, first)?);
        }
        let tasks = |batch: &RecordBatch| columns::counts(batch, TASK);
        self.tasks.extend(columns::by_row(batch, first, tasks)?);
        let times = |batch: &RecordBatch| columns::finite(batch, TIME);
        // Without rows only the type can be wrong; `verify` says what is wrong with times that are no numbers.
        match times(&batch.slice(0, 0)) {
            Ok(_) => self.times.extend(columns::by_row(batch, first, times)?),
            Err(_) => self.times.resize(self.tasks.len(), f32::NAN),
        }
        Ok(())
    }
}

/// Computes the statistics of a column of vectors over consecutive episodes, of 64-bit numbers in their full precision.
///
/// # Errors
/// When there is no such column, or its rows cannot be read.
pub fn statistics(dataset: &Dataset, name: &str, episodes: &[Episode]) -> Result<Statistics, DatasetError> {
    let values = dataset.vector(name)?;
    let feature = dataset.info().features.get(name);
    let dim = feature.map_or(0, Feature::len);
    if feature.is_some_and(|feature| feature.dtype == Dtype::Float64) {
        return Ok(Statistics::of_rows(&wide_rows(dataset, name, dim, episodes)?, dim));
    }
    let from = episodes.first().map_or(0, |episode| episode.from);
    let end = episodes.last().map_or(0, |episode| episode.from + episode.length);
    Ok(Statistics::of_rows(
        values.get(from * dim..end * dim).unwrap_or_default(),
        dim,
    ))
}

/// Reads the rows of a column of `dim` values again, of which only 32 bits are in memory.
fn wide_rows(dataset: &Dataset, name: &str, dim: usize, episodes: &[Episode]) -> Result<Vec<f64>, DatasetError> {
    let mut values = Vec::new();
    for of_file in episodes.chunk_by(|a, b| a.data == b.data) {
        let Some(filled) = of_file.iter().find(|episode| episode.length > 0) else {
            continue;
        };
        let (path, first) = dataset.place(At {
            episode: filled.index,
            frame: 0,
        })?;
        let part = RowRange {
            first,
            count: of_file.iter().map(|episode| episode.length).sum(),
            values: dim,
        };
        let table = Table::open(&path)?;
        for batch in table.read(&[name], part)? {
            let read =
                columns::column(&batch?, name).and_then(|column| columns::wide_numbers(&column, name, dim, first));
            values.extend(read.map_err(|problem| DatasetError::content(&path, problem))?);
        }
    }
    Ok(values)
}

/// Checks a batch that begins at row `first` of the file `path`; `rows` yields the expected episode and frame of each
/// row.
fn require_order(
    batch: &RecordBatch,
    path: &Path,
    first: usize,
    rows: &mut impl Iterator<Item = (usize, usize)>,
) -> Result<(), DatasetError> {
    let place = |name| {
        let known = batch.column_by_name(name).is_some();
        let counts = |batch: &RecordBatch| columns::counts(batch, name);
        let numbers = known.then(|| columns::by_row(batch, first, counts)).transpose();
        numbers.map_err(|problem| DatasetError::content(path, problem))
    };
    let [episodes, frames] = [place(PLACES[0])?, place(PLACES[1])?];
    for (row, (episode, frame)) in rows.by_ref().take(batch.num_rows()).enumerate() {
        let found = |numbers: &Option<Vec<usize>>| numbers.as_ref().and_then(|numbers| numbers.get(row).copied());
        let (of, at) = (found(&episodes).unwrap_or(episode), found(&frames).unwrap_or(frame));
        if (of, at) != (episode, frame) {
            let row = first + row;
            let problem = format!(
                "row {row}: expected frame {frame} of episode {episode}, found frame {at} of episode {of}; rows have to \
                 lie in the order that meta/ describes"
            );
            return Err(DatasetError::content(path, problem));
        }
    }
    Ok(())
}
