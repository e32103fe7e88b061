//! Writes the rows of one or several episodes into a parquet file.

use std::path::Path;
use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, StringBuilder};
use arrow_array::{ArrayRef, FixedSizeListArray, Float32Array, Int64Array, RecordBatch, StructArray};
use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef};
use parquet::errors::ParquetError;

use super::writer::Writer;
use crate::dataset::error::DatasetError;
use crate::dataset::feature::{Dtype, Feature};
use crate::dataset::frame::Frame;
use crate::dataset::info::{DEFAULTS, Info};
use crate::dataset::storage::Sink;

/// Frames in a batch.
const AT_ONCE: usize = 16;
/// Size after which a row group ends (bytes), so that memory does not grow with the episode.
pub(in crate::dataset) const GROUP: usize = 64 << 20;

/// Position of an episode's rows in the dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RowsPosition {
    /// Index of the episode.
    pub episode: usize,
    /// Task index of its instruction.
    pub task: usize,
    /// Index of its first row.
    pub from: usize,
}

/// Writes rows one after another; memory does not grow with their number.
pub struct RowWriter<'a> {
    writer: Writer<'a>,
    path: &'a Path,
    schema: SchemaRef,
    info: &'a Info,
    standing: RowsPosition,
    waiting: Vec<Frame>,
    /// Rows written of this episode.
    written: usize,
    /// Rows written of earlier episodes.
    before: usize,
}

impl<'a> RowWriter<'a> {
    /// Begins the file.
    ///
    /// # Errors
    /// When writing fails.
    pub fn new(sink: &'a mut dyn Sink, path: &'a Path, info: &'a Info, at: RowsPosition) -> Result<Self, DatasetError> {
        let schema = schema(info);
        let pictures: Vec<_> = info.pictures().map(|(name, _)| name.to_owned()).collect();
        Ok(Self {
            writer: Writer::new(sink, path, Arc::clone(&schema), &pictures)?,
            path,
            schema,
            info,
            standing: at,
            waiting: Vec::with_capacity(AT_ONCE),
            written: 0,
            before: 0,
        })
    }

    /// Ends the episode; further rows belong to the next.
    ///
    /// # Errors
    /// As for [`RowWriter::push`].
    pub fn next(&mut self, at: RowsPosition) -> Result<(), DatasetError> {
        self.write_waiting()?;
        self.before += std::mem::take(&mut self.written);
        self.standing = at;
        Ok(())
    }

    /// Gives the rows that follow the instruction of this task index.
    ///
    /// # Errors
    /// As for [`RowWriter::push`].
    pub fn set_task(&mut self, task: usize) -> Result<(), DatasetError> {
        if task != self.standing.task {
            self.write_waiting()?;
            self.standing.task = task;
        }
        Ok(())
    }

    /// Appends a row.
    ///
    /// # Errors
    /// When writing fails, or the frame does not fit the dataset.
    pub fn push(&mut self, frame: Frame) -> Result<(), DatasetError> {
        self.waiting.push(frame);
        if self.waiting.len() >= AT_ONCE {
            self.write_waiting()?;
        }
        Ok(())
    }

    /// Writes the footer; returns the number of rows.
    ///
    /// # Errors
    /// As for [`RowWriter::push`].
    pub fn finish(mut self) -> Result<usize, DatasetError> {
        self.write_waiting()?;
        self.writer.finish()?;
        Ok(self.before + self.written)
    }

    fn write_waiting(&mut self) -> Result<(), DatasetError> {
        let frames = std::mem::take(&mut self.waiting);
        if frames.is_empty() {
            return Ok(());
        }
        let batch = self.batch(&frames).map_err(|e| DatasetError::content(self.path, e))?;
        self.writer.write(&batch)?;
        self.written += frames.len();
        if self.writer.held() > GROUP {
            self.writer.end_group()?;
        }
        Ok(())
    }

    fn batch(&self, frames: &[Frame]) -> Result<RecordBatch, ParquetError> {
        let mut columns: Vec<ArrayRef> = Vec::new();
        for (name, feature) in self.info.vectors() {
            let of_frames = frames.iter().filter_map(|frame| frame.vectors.get(name));
            let values = Float32Array::from_iter_values(of_frames.flatten().copied());
            let list = FixedSizeListArray::try_new(item(), feature.len() as i32, Arc::new(values), None)?;
            columns.push(Arc::new(list));
        }
        for at in 0..self.info.pictures().count() {
            let mut bytes = BinaryBuilder::new();
            let mut paths = StringBuilder::new();
            for picture in frames.iter().filter_map(|frame| frame.pictures.get(at)) {
                bytes.append_value(&picture.bytes);
                paths.append_null();
            }
            columns.push(Arc::new(StructArray::try_new(
                picture_fields(),
                vec![Arc::new(bytes.finish()), Arc::new(paths.finish())],
                None,
            )?));
        }
        let RowsPosition { episode, task, from } = self.standing;
        let rows = self.written..self.written + frames.len();
        let times = rows.clone().map(|frame| (frame as f64 / self.info.fps) as f32);
        columns.push(Arc::new(Float32Array::from_iter_values(times)));
        let numbers: [&dyn Fn(usize) -> usize; 4] = [&|frame| frame, &|_| episode, &|frame| from + frame, &|_| task];
        for number in numbers {
            let values = rows.clone().map(|frame| number(frame) as i64);
            columns.push(Arc::new(Int64Array::from_iter_values(values)));
        }
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }
}

fn item() -> Arc<Field> {
    Arc::new(Field::new("element", DataType::Float32, true))
}

fn picture_fields() -> Fields {
    let bytes = Field::new("bytes", DataType::Binary, true);
    Fields::from(vec![bytes, Field::new("path", DataType::Utf8, true)])
}

/// Columns in the order of [`RowWriter::batch`].
fn schema(info: &Info) -> SchemaRef {
    let list = |feature: &Feature| DataType::FixedSizeList(item(), feature.len() as i32);
    let vectors = info
        .vectors()
        .map(|(name, feature)| Field::new(name, list(feature), true));
    let pictures = info
        .pictures()
        .map(|(name, _)| Field::new(name, DataType::Struct(picture_fields()), true));
    let defaults = DEFAULTS.map(|(name, dtype)| {
        let kind = if dtype == Dtype::Float32 {
            DataType::Float32
        } else {
            DataType::Int64
        };
        Field::new(name, kind, true)
    });
    Arc::new(Schema::new(vectors.chain(pictures).chain(defaults).collect::<Vec<_>>()))
}
