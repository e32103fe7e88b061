//! Writes parquet files as LeRobot does, except for images, which get a page each.

use std::io::{self, Write};
use std::path::Path;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use crate::dataset::error::DatasetError;
use crate::dataset::storage::{self, Sink, Storage};

/// Size after which a page of images ends (bytes): each image gets a page, so that it is read without its neighbours.
const PICTURE_PAGE: usize = 1;

/// Parquet file that is being written.
pub struct Writer<'a> {
    path: &'a Path,
    writer: ArrowWriter<SinkWriter<'a>>,
}

impl<'a> Writer<'a> {
    /// Writes rows of `schema` to `sink`. `pictures` are columns of encoded images, which are not compressed again.
    ///
    /// # Errors
    /// When writing fails.
    pub fn new(
        sink: &'a mut dyn Sink,
        path: &'a Path,
        schema: SchemaRef,
        pictures: &[String],
    ) -> Result<Self, DatasetError> {
        let mut properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_created_by(concat!("thinkvla ", env!("CARGO_PKG_VERSION")).into());
        for name in pictures {
            for part in ["bytes", "path"] {
                let column = ColumnPath::new(vec![name.clone(), part.into()]);
                properties = properties.set_column_statistics_enabled(column, EnabledStatistics::None);
            }
            let bytes = ColumnPath::new(vec![name.clone(), "bytes".into()]);
            properties = properties
                .set_column_compression(bytes.clone(), Compression::UNCOMPRESSED)
                .set_column_dictionary_enabled(bytes.clone(), false)
                .set_column_data_page_size_limit(bytes, PICTURE_PAGE);
        }
        if !pictures.is_empty() {
            properties = properties.set_write_batch_size(1);
        }
        let writer = ArrowWriter::try_new(SinkWriter(sink), schema, Some(properties.build()));
        Ok(Self {
            path,
            writer: writer.map_err(|e| failed(path, e))?,
        })
    }

    /// Appends rows.
    ///
    /// # Errors
    /// When writing fails.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), DatasetError> {
        self.writer.write(batch).map_err(|e| failed(self.path, e))
    }

    /// Returns the number of bytes kept in memory until the row group ends.
    pub fn held(&self) -> usize {
        self.writer.in_progress_size()
    }

    /// Ends the row group.
    ///
    /// # Errors
    /// When writing fails.
    pub fn end_group(&mut self) -> Result<(), DatasetError> {
        self.writer.flush().map_err(|e| failed(self.path, e))
    }

    /// Writes the footer.
    ///
    /// # Errors
    /// When writing fails.
    pub fn finish(self) -> Result<(), DatasetError> {
        self.writer.close().map(drop).map_err(|e| failed(self.path, e))
    }
}

/// Writes a small table atomically.
///
/// # Errors
/// When writing fails.
pub fn commit(storage: &dyn Storage, path: &Path, batch: &RecordBatch) -> Result<(), DatasetError> {
    storage::commit_with(storage, path, |sink| {
        let mut writer = Writer::new(sink, path, batch.schema(), &[])?;
        writer.write(batch)?;
        writer.finish()
    })
}

/// Keeps the system's own error, by which callers recognise a full disk.
fn failed(path: &Path, error: parquet::errors::ParquetError) -> DatasetError {
    if let parquet::errors::ParquetError::External(inner) = error {
        return match inner.downcast::<io::Error>() {
            Ok(source) => DatasetError::io("write", path)(*source),
            Err(other) => DatasetError::content(path, other),
        };
    }
    DatasetError::content(path, error)
}

struct SinkWriter<'a>(&'a mut dyn Sink);

impl Write for SinkWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
