//! Reads single encoded images from the rows of a dataset.

use std::collections::HashMap;
use std::fs::File;
use std::path::PathBuf;

use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector,
};
use parquet::file::metadata::PageIndexPolicy;

use super::error::DatasetError;
use super::feature::Dtype;
use super::frame::Picture;
use super::parquet::footer_check::{Checked, FooterError};
use super::parquet::{columns, table};
use super::reader::{At, Dataset};
use crate::files;

/// Maximum number of files that are kept open with their footers.
const REMEMBERED: usize = 512;

/// Reader of encoded images; each thread needs its own.
pub struct EncodedImageReader<'a> {
    dataset: &'a Dataset,
    names: Vec<String>,
    known: HashMap<PathBuf, Known>,
}

/// Open file with its footer.
struct Known {
    file: File,
    metadata: ArrowReaderMetadata,
}

impl<'a> EncodedImageReader<'a> {
    pub(super) fn new(dataset: &'a Dataset, names: &[&str]) -> Result<Self, DatasetError> {
        for name in names {
            match dataset.info().features.get(*name).map(|feature| &feature.dtype) {
                Some(Dtype::Image) => (),
                Some(Dtype::Video) => {
                    let message = format!("{name} is in video files; read it with an ImageReader");
                    return Err(DatasetError::Request(message));
                }
                _ => {
                    let known: Vec<_> = dataset.info().pictures().map(|(name, _)| name).collect();
                    let message = format!("expected a column of pictures among {known:?}, found {name}");
                    return Err(DatasetError::Request(message));
                }
            }
        }
        Ok(Self {
            dataset,
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            known: HashMap::new(),
        })
    }

    /// Returns the images of one row, in the order of the names.
    ///
    /// # Errors
    /// When there is no such row, or it cannot be read.
    pub fn read(&mut self, at: At) -> Result<Vec<Picture>, DatasetError> {
        let mut rows = self.read_many(at, 1)?;
        Ok(rows.pop().unwrap_or_default())
    }

    /// Returns the images of `count` rows from `at` on, in the order of the names. All rows must be of the same
    /// episode.
    ///
    /// # Errors
    /// When there are no such rows, or they cannot be read.
    pub fn read_many(&mut self, at: At, count: usize) -> Result<Vec<Vec<Picture>>, DatasetError> {
        if self.names.is_empty() || count == 0 {
            return Ok(vec![Vec::new(); count]);
        }
        let (path, row) = self.dataset.place(at)?;
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        let known = known(&mut self.known, &path, &names)?;
        let file = known.file.try_clone().map_err(DatasetError::io("open", &path))?;
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, known.metadata.clone());
        let mask = table::only(&builder, &names);
        let selection = RowSelection::from(vec![RowSelector::skip(row), RowSelector::select(count)]);
        let content = |problem: &dyn ToString| DatasetError::content(&path, problem.to_string());
        let reader = builder
            .with_projection(mask)
            .with_row_selection(selection)
            .with_batch_size(count);
        let mut rows: Vec<Vec<Picture>> = vec![Vec::with_capacity(names.len()); count];
        let mut read = 0;
        for batch in table::batches(&path, table::guarded(&path, || reader.build())?) {
            let batch = batch?;
            for name in &names {
                let column = columns::column(&batch, name).map_err(|e| content(&e))?;
                let pictures = columns::pictures(&column, name).map_err(|e| content(&e))?;
                for (row, bytes) in rows.iter_mut().skip(read).zip(pictures) {
                    row.push(Picture::of_bytes(bytes).map_err(|e| content(&format!("{name}: {e}")))?);
                }
            }
            read += batch.num_rows();
        }
        if read != count {
            return Err(content(&format!("expected {count} rows from {row} on, found {read}")));
        }
        Ok(rows)
    }
}

fn known<'k>(all: &'k mut HashMap<PathBuf, Known>, path: &PathBuf, names: &[&str]) -> Result<&'k Known, DatasetError> {
    if all.len() >= REMEMBERED && !all.contains_key(path) {
        all.clear();
    }
    match all.entry(path.clone()) {
        std::collections::hash_map::Entry::Occupied(entry) => Ok(entry.into_mut()),
        std::collections::hash_map::Entry::Vacant(entry) => {
            let file = files::open(path).map_err(DatasetError::io("open", path))?;
            let content = |problem: FooterError| DatasetError::content(path, problem);
            let checked = Checked::footer_of(&file).map_err(content)?;
            let options = ArrowReaderOptions::new()
                .with_skip_arrow_metadata(true)
                .with_offset_index_policy(PageIndexPolicy::Optional);
            let metadata = table::guarded(path, || ArrowReaderMetadata::load(&file, options))?;
            checked.agrees(metadata.metadata()).map_err(content)?;
            let pages = checked.pages(&file, names, 0).map_err(content)?;
            table::guarded(path, || pages.look_inside(&file, metadata.metadata()))?;
            Ok(entry.insert(Known { file, metadata }))
        }
    }
}
