//! Checks the footer and page headers of a parquet file before it is read, so that a damaged or hostile file is refused
//! instead of being given the memory it asks for.
//!
//! Every length must lie within the file. Decoded values may take more space than the file where they repeat; how much
//! more is bounded by the file's length too.

mod error;
mod footer;
mod pages;

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};

use self::footer::{Extent, Footer};
use self::pages::Pages;
use super::delta_lengths;

pub use self::error::FooterError;

/// Number of values, of all columns together, that any file may hold however small it is.
const FEW_VALUES: u64 = 1 << 20;

/// Footer whose lengths lie within the file.
#[derive(Debug)]
#[must_use = "the reader may understand the footer otherwise"]
pub struct Checked {
    footer: Footer,
    /// Length of the file (bytes).
    length: u64,
}

/// Pages whose headers say what can be.
#[derive(Debug)]
#[must_use = "some pages say more inside than their headers show"]
pub struct CheckedPages {
    /// Chunks, by their number, whose texts have lengths that are packed as differences.
    packed_lengths: Vec<usize>,
}

impl Checked {
    /// Checks the footer of a file.
    ///
    /// # Errors
    /// With what was expected and found.
    pub fn footer_of(file: &File) -> Result<Self, FooterError> {
        let length = file.metadata()?.len();
        let footer = Footer::read(file, length)?;
        Ok(Self { footer, length })
    }

    /// Whether the reader has understood the footer as it was checked: bytes that break the format's rules, a field twice
    /// or of another type, can be read in more than one way.
    ///
    /// # Errors
    /// When the reader has understood it differently.
    pub fn agrees(&self, understood: &ParquetMetaData) -> Result<(), FooterError> {
        let of_group = |group: &RowGroupMetaData| {
            let rows = group.num_rows();
            let columns = group.columns().iter().map(move |column| Extent {
                rows,
                data: column.data_page_offset(),
                dictionary: column.dictionary_page_offset(),
                length: column.compressed_size(),
            });
            columns.collect::<Vec<_>>()
        };
        let understood = understood.row_groups().iter().flat_map(of_group);
        match understood.eq(self.footer.chunks.iter().map(|chunk| chunk.extent)) {
            true => Ok(()),
            false => Err(FooterError::Ambiguous),
        }
    }

    /// Checks the pages of these columns (with what is nested in them), of which a row is known to have `values_of_row`
    /// values together; 0 where that is not known.
    ///
    /// # Errors
    /// With what was expected and found.
    pub fn pages(&self, file: &File, columns: &[&str], values_of_row: u64) -> Result<CheckedPages, FooterError> {
        let (footer, length) = (&self.footer, self.length);
        let (mut values, mut packed_lengths) = (0_u64, Vec::new());
        for (number, chunk) in footer.chunks.iter().enumerate() {
            if columns.iter().any(|column| column.as_bytes() == chunk.root) {
                let found = Pages::walk(file, length, chunk)?;
                if found.packed_lengths {
                    packed_lengths.push(number);
                }
                values = values.saturating_add(found.values);
                found.check_index(file, length, chunk)?;
            }
        }
        // Values that are all the same take hardly any bytes: where their number is known, that is the limit.
        let known = footer.rows.unsigned_abs().saturating_mul(values_of_row);
        match known
            .saturating_add(length.saturating_mul(4))
            .saturating_add(FEW_VALUES)
        {
            most if values > most => Err(FooterError::Values {
                most,
                length,
                found: values,
            }),
            _ => Ok(CheckedPages { packed_lengths }),
        }
    }
}

impl CheckedPages {
    /// Looks into the pages that say more inside than their headers show; what was understood has to agree.
    ///
    /// # Errors
    /// When a page claims more than it can hold, or cannot be read.
    pub fn look_inside(&self, file: &File, understood: &ParquetMetaData) -> Result<(), ParquetError> {
        let groups = understood.row_groups().iter();
        let chunks = groups.flat_map(|group| (0..group.num_columns()).map(move |column| (group, column)));
        for (number, (group, column)) in chunks.enumerate() {
            if self.packed_lengths.contains(&number) {
                delta_lengths::check(file, group, column)?;
            }
        }
        Ok(())
    }
}

/// Checks that a range lies within the first `whole` bytes.
fn inside(whole: i64, at: i64, length: i64) -> Result<(), FooterError> {
    let end = at.checked_add(length).filter(|end| *end <= whole);
    if at < 0 || length < 0 || end.is_none() {
        return Err(FooterError::Outside { at, length, whole });
    }
    Ok(())
}

/// Reads a range of the file, which must lie within it.
fn bytes(file: &File, whole: u64, at: i64, length: i64) -> Result<Vec<u8>, FooterError> {
    inside(i64::try_from(whole).unwrap_or(i64::MAX), at, length)?;
    let mut bytes = vec![0; length as usize];
    file.read_exact_at(&mut bytes, at as u64)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, RecordBatch, StringArray};
    use parquet::arrow::ArrowWriter;
    use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};

    use super::*;

    #[test]
    fn ranges_beyond_the_file_are_refused() {
        assert!(inside(100, 40, 60).is_ok());
        for (at, length) in [(40, 61), (-1, 10), (10, -1), (i64::MAX, i64::MAX)] {
            assert!(inside(100, at, length).is_err(), "{at} {length}");
        }
    }

    fn written(words: &[&str]) -> File {
        let words: ArrayRef = Arc::new(StringArray::from_iter_values(words));
        let batch = RecordBatch::try_from_iter([("task", words)]).unwrap();
        let mut file = tempfile::tempfile().unwrap();
        let mut writer = ArrowWriter::try_new(&mut file, batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        file
    }

    #[test]
    fn a_footer_that_the_reader_understands_otherwise_is_refused() {
        let files = [written(&["push", "pull", "push"]), written(&["push", "push"])];
        let checked = Checked::footer_of(&files[0]).unwrap();
        let agrees = files.map(|file| {
            let understood = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()).unwrap();
            checked.agrees(understood.metadata()).is_ok()
        });
        assert_eq!(agrees, [true, false]);
    }

    #[test]
    fn places_in_a_dictionary_that_is_not_there_are_refused() {
        let file = written(&["push", "pull", "push", "push"]);
        let checked = Checked::footer_of(&file).unwrap();
        assert!(checked.pages(&file, &["task"], 0).is_ok());

        let whole = file.metadata().unwrap().len();
        let mut chunk = Footer::read(&file, whole).unwrap().chunks.remove(0);
        let dictionary = chunk.extent.dictionary.take().unwrap();
        chunk.extent.length -= chunk.extent.data - dictionary;
        let problem = Pages::walk(&file, whole, &chunk).unwrap_err().to_string();
        assert!(problem.contains("no dictionary"), "{problem}");
    }
}
