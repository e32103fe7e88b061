//! Reads columns of parquet files into plain vectors, for all common storage types.

use std::fmt::Display;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::DataType;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};

use super::footer_check::Checked;
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
        let content = |problem: String| DatasetError::content(path, problem);
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
        let content = |problem: String| DatasetError::content(path, problem);
        let pages = self.checked.pages(file, columns, part.values as u64);
        let pages = pages.map_err(content)?;
        guarded(path, || pages.look_inside(file, self.metadata.metadata()))?;
        if let Some(missing) = columns.iter().find(|column| !self.has(column)) {
            return Err(content(format!("expected a column {missing}, found none")));
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

/// Returns the column of that name.
pub fn column(batch: &RecordBatch, name: &str) -> Result<ArrayRef, String> {
    let found = batch.column_by_name(name).map(Arc::clone);
    found.ok_or_else(|| format!("expected a column {name}, found none"))
}

/// Reads a column of whole numbers, stored as any integer or floating-point type.
pub fn integers(batch: &RecordBatch, name: &str) -> Result<Vec<i64>, String> {
    let array = column(batch, name)?;
    let array = without_nulls(&array, name)?;
    match array.data_type() {
        DataType::Int64 => Ok(array.as_primitive::<Int64Type>().values().to_vec()),
        DataType::Int32 => Ok(widened::<Int32Type, _>(array)),
        DataType::Int16 => Ok(widened::<Int16Type, _>(array)),
        DataType::Int8 => Ok(widened::<Int8Type, _>(array)),
        DataType::UInt32 => Ok(widened::<UInt32Type, _>(array)),
        DataType::UInt16 => Ok(widened::<UInt16Type, _>(array)),
        DataType::UInt8 => Ok(widened::<UInt8Type, _>(array)),
        DataType::UInt64 => {
            let values = array.as_primitive::<UInt64Type>().values().iter();
            values
                .map(|v| i64::try_from(*v).map_err(|_| not_whole(name, v)))
                .collect()
        }
        DataType::Float32 | DataType::Float64 => doubles_of(array, name)?.into_iter().map(|v| whole(name, v)).collect(),
        other => Err(not_whole(name, other)),
    }
}

fn widened<T: ArrowPrimitiveType, V: From<T::Native>>(array: &ArrayRef) -> Vec<V> {
    array.as_primitive::<T>().values().iter().map(|v| V::from(*v)).collect()
}

/// Converts a floating-point number to the whole number that it stands for.
fn whole(name: &str, value: f64) -> Result<i64, String> {
    // Up to 2^53 every whole number has an exact `f64`.
    const EXACT: f64 = (1_u64 << 53) as f64;
    match value.fract() == 0.0 && value.abs() <= EXACT {
        true => Ok(value as i64),
        false => Err(not_whole(name, value)),
    }
}

fn not_whole(name: &str, found: impl Display) -> String {
    format!("column {name}: expected whole numbers, found {found}")
}

/// Reads a column of whole numbers that are not negative.
pub fn counts(batch: &RecordBatch, name: &str) -> Result<Vec<usize>, String> {
    let count = |v: i64| usize::try_from(v).map_err(|_| format!("column {name}: expected 0 or more, found {v}"));
    integers(batch, name)?.into_iter().map(count).collect()
}

/// Reads an array of numbers, of lists of `dim` numbers, or of lists of lists of them, into one flat vector. An error
/// names the row with a wrong number of values, counted from `first`.
pub fn numbers(array: &ArrayRef, name: &str, dim: usize, first: usize) -> Result<Vec<f32>, String> {
    let array = without_nulls(array, name)?;
    let uneven = |row: usize, found: usize| {
        format!(
            "column {name}, row {}: expected {dim} values, found {found}",
            first.saturating_add(row)
        )
    };
    let of_lists = |ends: &mut dyn Iterator<Item = (usize, usize)>, values: &ArrayRef| {
        let (mut from, mut to) = (None, 0);
        for (row, (begin, end)) in ends.enumerate() {
            if end - begin != dim {
                return Err(uneven(row, end - begin));
            }
            from.get_or_insert(begin);
            to = end;
        }
        let from = from.unwrap_or(to);
        let values = values.slice(from, to - from);
        singles(without_nulls(&values, name)?, name)
    };
    // Rows of a shape such as (7, 1) are lists of lists.
    let of_rows = |ends: &mut dyn Iterator<Item = (usize, usize)>, values: &ArrayRef| -> Result<Vec<f32>, String> {
        let DataType::List(_) = values.data_type() else {
            return of_lists(ends, values);
        };
        let inner = without_nulls(values, name)?.as_list::<i32>();
        let offset = |at: usize| inner.offsets().get(at).and_then(|offset| usize::try_from(*offset).ok());
        let mut ends = ends.map(|(begin, end)| {
            let (begin, end) = (offset(begin).unwrap_or(0), offset(end).unwrap_or(0));
            (begin, end.max(begin))
        });
        of_lists(&mut ends, inner.values())
    };
    match array.data_type() {
        DataType::FixedSizeList(_, length) if *length as usize != dim && !array.is_empty() => {
            Err(uneven(0, *length as usize))
        }
        DataType::FixedSizeList(..) => singles(without_nulls(array.as_fixed_size_list().values(), name)?, name),
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            let ends = list.offsets().windows(2);
            of_rows(&mut ends.map(span), list.values())
        }
        DataType::LargeList(_) => {
            let list = array.as_list::<i64>();
            let ends = list.offsets().windows(2);
            of_lists(&mut ends.map(span), list.values())
        }
        _ if dim != 1 && !array.is_empty() => Err(uneven(0, 1)),
        _ => singles(array, name),
    }
}

/// Begin and end of a list's values. The reader has checked that offsets do not decrease.
fn span<T: Copy + TryInto<usize>>(pair: &[T]) -> (usize, usize) {
    let at = |place: Option<&T>| place.and_then(|at| (*at).try_into().ok()).unwrap_or(0);
    let (begin, end) = (at(pair.first()), at(pair.last()));
    (begin, end.max(begin))
}

/// Reads an array of one number per row.
fn singles(array: &ArrayRef, name: &str) -> Result<Vec<f32>, String> {
    let found = match array.data_type() {
        DataType::Float32 => array.as_primitive::<Float32Type>().values().to_vec(),
        DataType::Float64 => narrowed::<Float64Type>(array, |v| v as f32),
        DataType::Float16 => narrowed::<Float16Type>(array, f32::from),
        DataType::Int64 => narrowed::<Int64Type>(array, |v| v as f32),
        DataType::Int32 => narrowed::<Int32Type>(array, |v| v as f32),
        DataType::Int16 => narrowed::<Int16Type>(array, f32::from),
        DataType::Int8 => narrowed::<Int8Type>(array, f32::from),
        DataType::UInt8 => narrowed::<UInt8Type>(array, f32::from),
        DataType::UInt16 => narrowed::<UInt16Type>(array, f32::from),
        DataType::UInt32 => narrowed::<UInt32Type>(array, |v| v as f32),
        DataType::UInt64 => narrowed::<UInt64Type>(array, |v| v as f32),
        DataType::Boolean => {
            let values = array.as_boolean().values().iter();
            values.map(|on| f32::from(u8::from(on))).collect()
        }
        other => {
            return Err(format!(
                "column {name}: expected numbers or lists of them, found {other}"
            ));
        }
    };
    Ok(found)
}

fn narrowed<T: ArrowPrimitiveType>(array: &ArrayRef, to: impl Fn(T::Native) -> f32) -> Vec<f32> {
    array.as_primitive::<T>().values().iter().map(|v| to(*v)).collect()
}

/// Reads a column of one 64-bit floating-point number per row.
pub fn doubles(batch: &RecordBatch, name: &str) -> Result<Vec<f64>, String> {
    let array = column(batch, name)?;
    doubles_of(without_nulls(&array, name)?, name)
}

fn doubles_of(array: &ArrayRef, name: &str) -> Result<Vec<f64>, String> {
    match array.data_type() {
        DataType::Float64 => Ok(array.as_primitive::<Float64Type>().values().to_vec()),
        _ => Ok(numbers(array, name, 1, 0)?.into_iter().map(f64::from).collect()),
    }
}

/// Reads an array of one text per row; a null becomes an empty text.
pub fn texts(array: &ArrayRef, name: &str) -> Result<Vec<String>, String> {
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    match array.data_type() {
        DataType::Utf8 => Ok(array.as_string::<i32>().iter().map(text).collect()),
        DataType::LargeUtf8 => Ok(array.as_string::<i64>().iter().map(text).collect()),
        DataType::Utf8View => Ok(array.as_string_view().iter().map(text).collect()),
        other => Err(format!("column {name}: expected text, found {other}")),
    }
}

/// Reads a column of one list of texts per row; a single text becomes a list of one.
pub fn text_lists(batch: &RecordBatch, name: &str) -> Result<Vec<Vec<String>>, String> {
    let array = column(batch, name)?;
    match array.data_type() {
        DataType::List(_) => {
            let rows = array.as_list::<i32>();
            rows.iter()
                .map(|row| row.map_or(Ok(Vec::new()), |row| texts(&row, name)))
                .collect()
        }
        DataType::LargeList(_) => {
            let rows = array.as_list::<i64>();
            rows.iter()
                .map(|row| row.map_or(Ok(Vec::new()), |row| texts(&row, name)))
                .collect()
        }
        _ => Ok(texts(&array, name)?.into_iter().map(|text| vec![text]).collect()),
    }
}

/// Reads an encoded image from each row, of an array of bytes or of structs with a field `bytes`.
pub fn pictures(array: &ArrayRef, name: &str) -> Result<Vec<Vec<u8>>, String> {
    let bytes = match array.data_type() {
        DataType::Struct(_) => {
            let inner = array.as_struct().column_by_name("bytes");
            Arc::clone(inner.ok_or_else(|| format!("column {name}: expected a field bytes, found none"))?)
        }
        _ => Arc::clone(array),
    };
    let some = |bytes: Option<&[u8]>| {
        let missing = || format!("column {name}: expected the bytes of a picture, found none (only a path?)");
        bytes.map(<[u8]>::to_vec).ok_or_else(missing)
    };
    match bytes.data_type() {
        DataType::Binary => bytes.as_binary::<i32>().iter().map(some).collect(),
        DataType::LargeBinary => bytes.as_binary::<i64>().iter().map(some).collect(),
        DataType::BinaryView => bytes.as_binary_view().iter().map(some).collect(),
        other => Err(format!("column {name}: expected bytes of pictures, found {other}")),
    }
}

fn without_nulls<'a>(array: &'a ArrayRef, name: &str) -> Result<&'a ArrayRef, String> {
    match array.null_count() {
        0 => Ok(array),
        found => Err(format!(
            "column {name}: expected a value in every row, found {found} without"
        )),
    }
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
