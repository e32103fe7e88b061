//! Opens parquet files and reads some of their columns and rows, in batches.

use std::fmt::Display;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use arrow_array::RecordBatch;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};

use super::columns::ColumnError;
use super::footer_check::{Checked, FooterError};
use crate::dataset::error::DatasetError;
use crate::files;

/// Rows in a batch.
const AT_ONCE: usize = 256;

/// Reader of a parquet file, before columns and rows are selected.
pub type Builder = ParquetRecordBatchReaderBuilder<File>;

/// Rows of some columns, or why they cannot be read.
type Batch = Result<RecordBatch, DatasetError>;

/// A file that is open: its columns are known, and none of them has been read.
pub struct Table<'a> {
    path: &'a Path,
    file: File,
    checked: Checked,
    metadata: ArrowReaderMetadata,
}

impl<'a> Table<'a> {
    /// Opens a file, of which only the footer is looked at.
    ///
    /// # Errors
    /// When it is missing or is not parquet.
    pub fn open(path: &'a Path) -> Result<Self, DatasetError> {
        let file = files::open(path).map_err(DatasetError::io("open", path))?;
        let content = |problem: FooterError| DatasetError::content(path, problem);
        let checked = Checked::footer_of(&file).map_err(content)?;
        // What a writer noted about Arrow types is not needed, and may be wrong.
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let metadata = guarded(path, || ArrowReaderMetadata::load(&file, options))?;
        checked.agrees(metadata.metadata()).map_err(content)?;
        Ok(Self {
            path,
            file,
            checked,
            metadata,
        })
    }

    /// Names of the columns.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let fields = self.metadata.schema().fields().iter();
        fields.map(|field| field.name().as_str())
    }

    /// Whether there is a column of that name.
    pub fn has(&self, column: &str) -> bool {
        self.names().any(|name| name == column)
    }

    /// Number of rows.
    pub fn rows(&self) -> i64 {
        self.metadata.metadata().file_metadata().num_rows()
    }

    /// Reads a part of the rows of these columns, some rows at a time.
    ///
    /// # Errors
    /// When a column is missing, or its pages cannot be read.
    pub fn read(
        &self,
        columns: &[&str],
        part: RowRange,
    ) -> Result<impl Iterator<Item = Batch> + use<'a>, DatasetError> {
        let (path, file) = (self.path, &self.file);
        let pages = self.checked.pages(file, columns, part.values as u64);
        let pages = pages.map_err(|problem| DatasetError::content(path, problem))?;
        guarded(path, || pages.look_inside(file, self.metadata.metadata()))?;
        if let Some(missing) = columns.iter().find(|column| !self.has(column)) {
            let problem = ColumnError::Missing((*missing).to_owned());
            return Err(DatasetError::content(path, problem));
        }
        let file = file.try_clone().map_err(DatasetError::io("open", path))?;
        let builder = Builder::new_with_metadata(file, self.metadata.clone());
        let mask = only(&builder, columns);
        let reader = builder.with_projection(mask).with_batch_size(AT_ONCE);
        let reader = reader.with_offset(part.first).with_limit(part.count);
        Ok(batches(path, guarded(path, || reader.build())?))
    }
}

/// Reads these columns of the whole file.
///
/// # Errors
/// When the file cannot be read or a column is missing; the error names the column.
pub fn read(path: &Path, columns: &[&str]) -> Result<Vec<RecordBatch>, DatasetError> {
    Table::open(path)?.read(columns, RowRange::ALL)?.collect()
}

/// Range of rows of a file.
#[derive(Debug, Clone, Copy)]
pub struct RowRange {
    /// The first row.
    pub first: usize,
    /// Maximum number of rows.
    pub count: usize,
    /// Number of values that the columns may have together in a row, however well they compress; 0 if unknown.
    pub values: usize,
}

impl RowRange {
    /// All rows.
    pub const ALL: Self = Self {
        first: 0,
        count: usize::MAX,
        values: 0,
    };
}

/// The batches of a reader, up to the first that cannot be read.
pub fn batches(path: &Path, mut reader: ParquetRecordBatchReader) -> impl Iterator<Item = Batch> {
    let mut broken = false;
    std::iter::from_fn(move || {
        let batch = match broken {
            true => return None,
            false => guarded(path, || reader.next().transpose()),
        };
        broken = batch.is_err();
        batch.transpose()
    })
}

/// Runs the parquet reader on a file. The reader panics on some damaged pages; here this becomes an error, so that a
/// damaged file does not end the process.
///
/// # Errors
/// When the file is damaged.
pub fn guarded<T, E: Display>(path: &Path, read: impl FnOnce() -> Result<T, E>) -> Result<T, DatasetError> {
    let content =
        |problem: &dyn Display| DatasetError::content(path, format!("{problem}; expected a whole parquet file"));
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(read) => read.map_err(|problem| content(&problem)),
        Err(_) => Err(content(&"its pages contradict themselves")),
    }
}

/// Selects columns by name, with everything nested in them.
pub fn only(builder: &Builder, columns: &[&str]) -> ProjectionMask {
    let roots: Vec<usize> = builder
        .schema()
        .fields()
        .iter()
        .zip(0..)
        .filter(|(field, _)| columns.contains(&field.name().as_str()))
        .map(|(_, root)| root)
        .collect();
    ProjectionMask::roots(builder.parquet_schema(), roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_gives_up_makes_the_file_damaged() {
        let read = |healthy: bool| {
            guarded(Path::new("rows.parquet"), || match healthy {
                true => Ok::<_, String>(3),
                false => panic!("attempt to divide by zero"),
            })
        };
        assert_eq!(read(true).unwrap(), 3);
        let problem = read(false).unwrap_err().to_string();
        assert!(
            problem.contains("rows.parquet") && problem.contains("contradict"),
            "{problem}"
        );
    }
}
