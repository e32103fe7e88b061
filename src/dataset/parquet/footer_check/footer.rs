//! Reads and checks what the footer of a parquet file says of its columns and where they lie.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use super::super::thrift::{self, Value};
use super::{FooterError, bytes, inside};

/// Magic bytes at the beginning and the end of a file.
const MARK: &[u8; 4] = b"PAR1";
/// Maximum nesting depth of columns; LeRobot's statistics of images have 8.
const DEEPEST: usize = 16;

/// What a footer says, as far as lengths follow from it.
#[derive(Debug, Default)]
pub(super) struct Footer {
    /// Number of rows.
    pub rows: i64,
    /// Column chunks, group by group.
    pub chunks: Vec<Chunk>,
}

/// Column chunk: a column of a row group.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    /// Name of the outermost column.
    pub root: Vec<u8>,
    /// Location in the file.
    pub extent: Extent,
    /// Offset of the index of its pages (bytes).
    pub offset_index: Option<i64>,
    /// Length of the index of its pages (bytes).
    pub offset_index_length: Option<i64>,
}

/// Location of a column chunk in the file (bytes).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    /// Rows of the group.
    pub rows: i64,
    /// Offset of the first data page.
    pub data: i64,
    /// Offset of the dictionary, if there is one.
    pub dictionary: Option<i64>,
    /// Length of all pages.
    pub length: i64,
}

impl Footer {
    /// Reads the footer of a file of `length` bytes.
    ///
    /// # Errors
    /// With what was expected and found.
    pub fn read(file: &File, length: u64) -> Result<Self, FooterError> {
        let mut head = [0; 16];
        let beginning = file.read_at(&mut head, 0)?;
        let beginning = head.get(..beginning).unwrap_or_default();
        if beginning.is_empty() {
            return Err(FooterError::Empty);
        }
        if !beginning.starts_with(MARK) {
            return Err(FooterError::Beginning(beginning.escape_ascii().to_string()));
        }
        let short = || FooterError::Short(length);
        let end = length.checked_sub(12).ok_or_else(short)?;
        let mut tail = [0; 8];
        file.read_exact_at(&mut tail, length - 8)?;
        let (size, mark) = tail.split_first_chunk::<4>().ok_or_else(short)?;
        let size = u64::from(u32::from_le_bytes(*size));
        if mark != MARK || size > end {
            return Err(FooterError::Cut);
        }
        let footer = bytes(file, length, (length - 8 - size) as i64, size as i64)?;
        let mut described = Described::default();
        let walked = thrift::walk(&footer, &mut |path, value| described.visit(path, value));
        walked.map_err(|_| FooterError::Damaged)?;
        described.check(length)?;
        Ok(Self {
            rows: described.rows,
            chunks: described.chunks,
        })
    }
}

/// Footer while it is parsed.
#[derive(Debug, Default)]
struct Described {
    /// Columns in the order of the schema: number of children, and name.
    columns: Vec<(i64, Vec<u8>)>,
    rows: i64,
    rows_of_groups: Vec<i64>,
    /// Number of column chunks before each row group.
    before: Vec<usize>,
    chunks: Vec<Chunk>,
    /// Offset and length of ranges in the file (bytes).
    ranges: Vec<(i64, i64)>,
    lengths: Vec<i64>,
    begun: i64,
    /// Whether the table or one of its columns is encrypted although the footer is not.
    is_encrypted: bool,
}

impl Described {
    fn visit(&mut self, path: &[i64], value: Value<'_>) {
        let chunk = self.chunks.last_mut();
        match (path, value, chunk) {
            ([2], Value::Struct, _) => self.columns.push((0, Vec::new())),
            ([2, 2], Value::Integer(length), _) => self.lengths.push(length),
            ([2, 4], Value::Bytes(name), _) => {
                if let Some(last) = self.columns.last_mut() {
                    last.1 = name.to_vec();
                }
            }
            ([2, 5], Value::Integer(count), _) => {
                if let Some(last) = self.columns.last_mut() {
                    last.0 = count;
                }
            }
            ([3], Value::Integer(rows), _) => self.rows = rows,
            ([4], Value::Struct, _) => {
                self.before.push(self.chunks.len());
                self.rows_of_groups.push(0);
            }
            ([4, 3], Value::Integer(rows), _) => {
                if let Some(last) = self.rows_of_groups.last_mut() {
                    *last = rows;
                }
            }
            ([8] | [4, 1, 8], Value::Struct, _) => self.is_encrypted = true,
            ([4, 1], Value::Struct, _) => self.chunks.push(Chunk::default()),
            ([4, 1, 4], Value::Integer(at), Some(chunk)) => chunk.offset_index = Some(at),
            ([4, 1, 5], Value::Integer(length), Some(chunk)) => chunk.offset_index_length = Some(length),
            ([4, 1, 6], Value::Integer(at), _) => self.begun = at,
            ([4, 1, 7], Value::Integer(length), _) => self.ranges.push((self.begun, length)),
            ([4, 1, 3, 7], Value::Integer(length), Some(chunk)) => chunk.extent.length = length,
            ([4, 1, 3, 9], Value::Integer(at), Some(chunk)) => chunk.extent.data = at,
            ([4, 1, 3, 11], Value::Integer(at), Some(chunk)) => chunk.extent.dictionary = Some(at),
            ([4, 1, 3, 14], Value::Integer(at), _) => self.begun = at,
            ([4, 1, 3, 15], Value::Integer(length), _) => self.ranges.push((self.begun, length)),
            _ => (),
        }
    }

    fn check(&mut self, length: u64) -> Result<(), FooterError> {
        if self.is_encrypted {
            return Err(FooterError::Encrypted);
        }
        let roots = roots(&self.columns)?;
        let whole = i64::try_from(length).unwrap_or(i64::MAX);
        let all = self
            .rows_of_groups
            .iter()
            .try_fold(0_i64, |sum, rows| sum.checked_add(*rows));
        let counts = self
            .rows_of_groups
            .iter()
            .chain([&self.rows])
            .all(|rows| (0..=whole).contains(rows));
        if !counts || all != Some(self.rows) {
            return Err(FooterError::Rows {
                rows: self.rows,
                groups: self.rows_of_groups.clone(),
            });
        }
        if let Some(length) = self.lengths.iter().find(|length| !(0..=whole).contains(*length)) {
            return Err(FooterError::ValueLength(*length));
        }
        for chunk in &self.chunks {
            self.ranges.push((chunk.extent.start(), chunk.extent.length));
            self.ranges
                .push((chunk.offset_index.unwrap_or(0), chunk.offset_index_length.unwrap_or(0)));
        }
        for (at, length) in &self.ranges {
            inside(whole, *at, *length)?;
        }
        let ends = self.before.iter().skip(1).copied().chain([self.chunks.len()]);
        let groups = self.before.iter().zip(ends).zip(&self.rows_of_groups);
        for ((from, to), rows) in groups {
            let of_group = self.chunks.get_mut(*from..to).unwrap_or_default();
            if of_group.len() != roots.len() {
                return Err(FooterError::Columns {
                    expected: roots.len(),
                    found: of_group.len(),
                });
            }
            for (chunk, root) in of_group.iter_mut().zip(&roots) {
                chunk.extent.rows = *rows;
                chunk.root.clone_from(root);
            }
        }
        Ok(())
    }
}

impl Extent {
    /// Offset of the first page.
    pub fn start(&self) -> i64 {
        self.dictionary.unwrap_or(self.data)
    }
}

/// Outermost column of each column of values. The numbers of children must make one tree that is not too deep.
fn roots(columns: &[(i64, Vec<u8>)]) -> Result<Vec<Vec<u8>>, FooterError> {
    // The first is the table itself.
    let mut open: Vec<i64> = vec![1];
    let (mut roots, mut root) = (Vec::new(), Vec::new());
    for (count, name) in columns {
        let depth = open.len();
        match open.last_mut() {
            Some(left) => *left -= 1,
            None => return Err(FooterError::MoreColumns),
        }
        if depth == 2 {
            root.clone_from(name);
        }
        if depth > DEEPEST || !usize::try_from(*count).is_ok_and(|count| count <= columns.len()) {
            return Err(FooterError::Nesting { count: *count, depth });
        }
        match count {
            0 => roots.push(root.clone()),
            _ => open.push(*count),
        }
        while open.last() == Some(&0) {
            open.pop();
        }
    }
    if open.is_empty() {
        Ok(roots)
    } else {
        Err(FooterError::FewerColumns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_that_do_not_make_a_tree_are_refused() {
        let columns = |counts: &[i64]| {
            counts
                .iter()
                .zip("tpbqxyz".repeat(9).bytes())
                .map(|(n, c)| (*n, vec![c]))
                .collect()
        };
        // a table of pictures, of bytes and path, and a number
        let sound: Vec<_> = columns(&[2, 2, 0, 0, 0]);
        assert_eq!(roots(&sound).unwrap(), [b"p", b"p", b"x"]);
        for wrong in [&[3, 0, 0][..], &[1, 0, 0], &[-1], &[i64::MAX], &[1; 40]] {
            let wrong: Vec<_> = columns(wrong);
            assert!(roots(&wrong).is_err(), "{wrong:?}");
        }
    }
}
