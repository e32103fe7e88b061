//! Turns columns of batches into plain vectors, for all common storage types.

use std::fmt::Display;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::DataType;

/// Error when a column does not have the values that are expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ColumnError {
    /// There is no such column.
    #[error("expected a column {0}, found none")]
    Missing(String),
    /// The column has other values.
    #[error("column {column}: expected {expected}, found {found}")]
    Unexpected {
        /// Name of the column.
        column: String,
        /// Values that were expected.
        expected: &'static str,
        /// Type, value or number of values that was found.
        found: String,
    },
    /// A row has another number of values.
    #[error("column {column}, row {row}: expected {expected} values, found {found}")]
    Length {
        /// Name of the column.
        column: String,
        /// Index of the row.
        row: usize,
        /// Number of values that was expected.
        expected: usize,
        /// Number of values that was found.
        found: usize,
    },
    /// A row cannot be read.
    #[error("row {row}: {problem}")]
    Row {
        /// Index of the row.
        row: usize,
        /// Problem of its value.
        problem: Box<Self>,
    },
}

impl ColumnError {
    fn unexpected(column: &str, expected: &'static str, found: impl Display) -> Self {
        Self::Unexpected {
            column: column.to_owned(),
            expected,
            found: found.to_string(),
        }
    }
}

/// Returns the column of that name.
///
/// # Errors
/// When there is none.
pub fn column(batch: &RecordBatch, name: &str) -> Result<ArrayRef, ColumnError> {
    let found = batch.column_by_name(name).map(Arc::clone);
    found.ok_or_else(|| ColumnError::Missing(name.to_owned()))
}

/// Reads a column of whole numbers, stored as any integer or floating-point type.
pub fn integers(batch: &RecordBatch, name: &str) -> Result<Vec<i64>, ColumnError> {
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
        DataType::Float16 | DataType::Float32 | DataType::Float64 => {
            let values = wide_numbers(array, name, 1, 0)?.into_iter();
            values.map(|v| whole(name, v)).collect()
        }
        other => Err(not_whole(name, other)),
    }
}

fn widened<T: ArrowPrimitiveType, V: From<T::Native>>(array: &ArrayRef) -> Vec<V> {
    array.as_primitive::<T>().values().iter().map(|v| V::from(*v)).collect()
}

/// Converts a floating-point number to the whole number that it stands for.
fn whole(name: &str, value: f64) -> Result<i64, ColumnError> {
    // Up to 2^53 every whole number has an exact `f64`.
    const EXACT: f64 = (1_u64 << 53) as f64;
    match value.fract() == 0.0 && value.abs() <= EXACT {
        true => Ok(value as i64),
        false => Err(not_whole(name, value)),
    }
}

fn not_whole(name: &str, found: impl Display) -> ColumnError {
    ColumnError::unexpected(name, "whole numbers", found)
}

/// Reads a column of whole numbers that are not negative.
pub fn counts(batch: &RecordBatch, name: &str) -> Result<Vec<usize>, ColumnError> {
    let count = |v: i64| usize::try_from(v).map_err(|_| ColumnError::unexpected(name, "0 or more", v));
    integers(batch, name)?.into_iter().map(count).collect()
}

/// Reads a column of one finite number per row.
pub fn finite(batch: &RecordBatch, name: &str) -> Result<Vec<f32>, ColumnError> {
    let values = numbers(&column(batch, name)?, name, 1, 0)?;
    match values.iter().find(|value| !value.is_finite()) {
        Some(found) => Err(ColumnError::unexpected(name, "finite numbers", found)),
        None => Ok(values),
    }
}

/// Reads a batch with `read`, whose error names the first row that cannot be read, counted from `first`.
pub fn by_row<T>(
    batch: &RecordBatch,
    first: usize,
    read: impl Fn(&RecordBatch) -> Result<T, ColumnError>,
) -> Result<T, ColumnError> {
    let problem_of = |row: usize| {
        let problem = Box::new(read(&batch.slice(row, 1)).err()?);
        Some(ColumnError::Row {
            row: first.saturating_add(row),
            problem,
        })
    };
    read(batch).map_err(|problem| (0..batch.num_rows()).find_map(problem_of).unwrap_or(problem))
}

/// Reads an array of numbers, of lists of `dim` numbers, or of lists of lists of them, into one flat vector. An error
/// names the row with a wrong number of values, counted from `first`.
pub fn numbers(array: &ArrayRef, name: &str, dim: usize, first: usize) -> Result<Vec<f32>, ColumnError> {
    flat(array, name, (dim, first), singles)
}

/// Reads an array as [`numbers`] does, into numbers of 64 bits.
pub fn wide_numbers(array: &ArrayRef, name: &str, dim: usize, first: usize) -> Result<Vec<f64>, ColumnError> {
    flat(array, name, (dim, first), wide_singles)
}

/// Reads an array of rows of `dim` numbers, counted from `first`, into one flat vector; `singles` reads the numbers.
fn flat<V>(
    array: &ArrayRef,
    name: &str,
    (dim, first): (usize, usize),
    singles: fn(&ArrayRef, &str) -> Result<Vec<V>, ColumnError>,
) -> Result<Vec<V>, ColumnError> {
    let array = without_nulls(array, name)?;
    let uneven = |row: usize, found: usize| ColumnError::Length {
        column: name.to_owned(),
        row: first.saturating_add(row),
        expected: dim,
        found,
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
    let of_rows = |ends: &mut dyn Iterator<Item = (usize, usize)>, values: &ArrayRef| -> Result<Vec<V>, ColumnError> {
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
fn singles(array: &ArrayRef, name: &str) -> Result<Vec<f32>, ColumnError> {
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
        other => return Err(ColumnError::unexpected(name, "numbers or lists of them", other)),
    };
    Ok(found)
}

/// Reads an array of one number per row; 32 bits would round those of some types.
fn wide_singles(array: &ArrayRef, name: &str) -> Result<Vec<f64>, ColumnError> {
    match array.data_type() {
        DataType::Float64 => Ok(array.as_primitive::<Float64Type>().values().to_vec()),
        DataType::Int32 => Ok(widened::<Int32Type, _>(array)),
        DataType::UInt32 => Ok(widened::<UInt32Type, _>(array)),
        DataType::Int64 => {
            let values = array.as_primitive::<Int64Type>().values().iter();
            Ok(values.map(|v| *v as f64).collect())
        }
        _ => Ok(singles(array, name)?.into_iter().map(f64::from).collect()),
    }
}

fn narrowed<T: ArrowPrimitiveType>(array: &ArrayRef, to: impl Fn(T::Native) -> f32) -> Vec<f32> {
    array.as_primitive::<T>().values().iter().map(|v| to(*v)).collect()
}

/// Reads a column of one 64-bit floating-point number per row.
pub fn doubles(batch: &RecordBatch, name: &str) -> Result<Vec<f64>, ColumnError> {
    wide_numbers(&column(batch, name)?, name, 1, 0)
}

/// Reads an array of one text per row; a null becomes an empty text.
pub fn texts(array: &ArrayRef, name: &str) -> Result<Vec<String>, ColumnError> {
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    match array.data_type() {
        DataType::Utf8 => Ok(array.as_string::<i32>().iter().map(text).collect()),
        DataType::LargeUtf8 => Ok(array.as_string::<i64>().iter().map(text).collect()),
        DataType::Utf8View => Ok(array.as_string_view().iter().map(text).collect()),
        other => Err(ColumnError::unexpected(name, "text", other)),
    }
}

/// Reads a column of one list of texts per row; a single text becomes a list of one.
pub fn text_lists(batch: &RecordBatch, name: &str) -> Result<Vec<Vec<String>>, ColumnError> {
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
pub fn pictures(array: &ArrayRef, name: &str) -> Result<Vec<Vec<u8>>, ColumnError> {
    let bytes = match array.data_type() {
        DataType::Struct(_) => {
            let inner = array.as_struct().column_by_name("bytes");
            Arc::clone(inner.ok_or_else(|| ColumnError::unexpected(name, "a field bytes", "none"))?)
        }
        _ => Arc::clone(array),
    };
    let missing = || {
        let found = "none, perhaps only a path; write the pictures into the rows, e.g. with embed_table_storage of Hugging \
                     Face's datasets";
        ColumnError::unexpected(name, "the bytes of a picture", found)
    };
    let some = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec).ok_or_else(missing);
    match bytes.data_type() {
        DataType::Binary => bytes.as_binary::<i32>().iter().map(some).collect(),
        DataType::LargeBinary => bytes.as_binary::<i64>().iter().map(some).collect(),
        DataType::BinaryView => bytes.as_binary_view().iter().map(some).collect(),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Err(missing()),
        other => Err(ColumnError::unexpected(name, "bytes of pictures", other)),
    }
}

fn without_nulls<'a>(array: &'a ArrayRef, name: &str) -> Result<&'a ArrayRef, ColumnError> {
    match array.null_count() {
        0 => Ok(array),
        found => Err(ColumnError::unexpected(
            name,
            "a value in every row",
            format_args!("{found} without"),
        )),
    }
}
