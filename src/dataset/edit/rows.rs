//! Copies the rows of an episode, with the columns that are described and with their indices in the new dataset.

use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema};

use crate::dataset::episodes::Episode;
use crate::dataset::error::DatasetError;
use crate::dataset::feature::{Dtype, Feature};
use crate::dataset::parquet::columns;
use crate::dataset::parquet::rows::GROUP;
use crate::dataset::parquet::table::{RowRange, Table};
use crate::dataset::parquet::writer::Writer;
use crate::dataset::reader::{At, Dataset};
use crate::dataset::storage::{Storage, commit_with};

/// Columns that are counted anew.
const NUMBERS: [&str; 3] = ["episode_index", "index", "task_index"];

/// Rows of an episode in a file of its dataset.
pub(super) struct SourceRows<'a> {
    dataset: &'a Dataset,
    episode: &'a Episode,
    path: &'a Path,
    table: Table<'a>,
    part: RowRange,
}

impl<'a> SourceRows<'a> {
    /// Opens the file `path`, which has the rows of `episode`.
    ///
    /// # Errors
    /// When it is missing or damaged.
    pub fn open(dataset: &'a Dataset, episode: &'a Episode, path: &'a Path) -> Result<Self, DatasetError> {
        let (_, first) = dataset.place(At {
            episode: episode.index,
            frame: 0,
        })?;
        let features = dataset.info().features.values();
        let part = RowRange {
            first,
            count: episode.length,
            values: features.filter(|feature| !feature.is_picture()).map(Feature::len).sum(),
        };
        Ok(Self {
            dataset,
            episode,
            path,
            table: Table::open(path)?,
            part,
        })
    }

    /// Reads the number of each row's instruction.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn task_numbers(&self) -> Result<Vec<usize>, DatasetError> {
        let mut numbers = Vec::new();
        for batch in self.table.read(&["task_index"], self.part)? {
            let of_batch = columns::counts(&batch?, "task_index");
            numbers.extend(of_batch.map_err(|e| DatasetError::content(self.path, e))?);
        }
        Ok(numbers)
    }

    /// Writes the rows to the file `to`, as the episode `taken` with these instructions of its rows.
    ///
    /// # Errors
    /// When there are not as many rows as the episode has, they cannot be read, or writing fails.
    pub fn copy(
        &self,
        storage: &dyn Storage,
        to: &Path,
        taken: &Episode,
        task_of_row: &[usize],
    ) -> Result<(), DatasetError> {
        let info = self.dataset.info();
        let in_rows = info
            .features
            .iter()
            .filter(|(_, feature)| feature.dtype != Dtype::Video);
        let names: Vec<&str> = in_rows.map(|(name, _)| name.as_str()).collect();
        let pictures: Vec<_> = info.pictures().map(|(name, _)| name.to_owned()).collect();
        let content = |problem: String| DatasetError::content(self.path, problem);
        let mut written = 0;
        commit_with(storage, to, |sink| {
            let mut stream = self.table.read(&names, self.part)?;
            let Some(first) = stream.next().transpose()? else {
                return Err(content("expected rows, found none".into()));
            };
            let mut writer = Writer::new(sink, to, schema(&first), &pictures)?;
            for batch in std::iter::once(Ok(first)).chain(stream) {
                let batch = batch?;
                let tasks = task_of_row.get(written..written + batch.num_rows()).unwrap_or_default();
                let numbered = renumbered(&batch, taken, written, tasks);
                writer.write(&numbered.map_err(|e| content(e.to_string()))?)?;
                written += batch.num_rows();
                if writer.held() > GROUP {
                    writer.end_group()?;
                }
            }
            if written != self.episode.length {
                let (index, length) = (self.episode.index, self.episode.length);
                return Err(content(format!(
                    "episode {index}: expected {length} rows, found {written}"
                )));
            }
            writer.finish()
        })
    }
}

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
