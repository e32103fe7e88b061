//! Checks the footer and page headers of a parquet file before it is read, so that a damaged or hostile file is refused
//! instead of being given the memory it asks for.
//!
//! Every length must lie within the file. Decoded values may take more space than the file where they repeat; how much
//! more is bounded by the file's length too.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt as _;

use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};

use super::delta_lengths;
use super::thrift::{self, Broken, Value};

/// Magic bytes at the beginning and the end of a file.
const MARK: &[u8; 4] = b"PAR1";
/// Size that any page may have in memory, however small the file is (bytes); writers end pages at about 1 MiB.
const MARGIN: u64 = 16 << 20;
/// Number of values, of all columns together, that any file may hold however small it is.
const FEW_VALUES: u64 = 1 << 20;
/// Maximum nesting depth of columns; LeRobot's statistics of images have 8.
const DEEPEST: usize = 16;
/// Size in which most page headers fit, and maximum size of one (bytes).
const HEADER: (usize, usize) = (512, 1 << 20);
/// Encodings that are read: plain, dictionaries, run lengths, packed bits, deltas, delta lengths and split streams. In
/// the other encoding of the format, `DELTA_BYTE_ARRAY` (7), few bytes can stand for any amount of text.
const ENCODINGS: [i64; 8] = [0, 2, 3, 4, 5, DELTA_LENGTHS, 8, 9];
const DELTA_LENGTHS: i64 = 6;

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
    pub fn footer_of(file: &File) -> Result<Self, String> {
        let length = file.metadata().map_err(|e| e.to_string())?.len();
        let footer = Footer::read(file, length)?;
        Ok(Self { footer, length })
    }

    /// Whether the reader has understood the footer as it was checked: bytes that break the format's rules, a field twice
    /// or of another type, can be read in more than one way.
    ///
    /// # Errors
    /// When the reader has understood it differently.
    pub fn agrees(&self, understood: &ParquetMetaData) -> Result<(), String> {
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
            false => Err("its footer is damaged: it can be read in more than one way".into()),
        }
    }

    /// Checks the pages of these columns (with what is nested in them), of which a row is known to have `values_of_row`
    /// values together; 0 where that is not known.
    ///
    /// # Errors
    /// With what was expected and found.
    pub fn pages(&self, file: &File, columns: &[&str], values_of_row: u64) -> Result<CheckedPages, String> {
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
            most if values > most => Err(format!(
                "expected at most {most} values in {length} bytes, found {values}"
            )),
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

/// What a footer says, as far as lengths follow from it.
#[derive(Debug, Default)]
struct Footer {
    rows: i64,
    chunks: Vec<Chunk>,
}

/// Column chunk: a column of a row group.
#[derive(Debug, Default)]
struct Chunk {
    /// Name of the outermost column.
    root: Vec<u8>,
    extent: Extent,
    offset_index: Option<i64>,
    offset_index_length: Option<i64>,
}

/// Location of a column chunk in the file (bytes).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Extent {
    /// Rows of the group.
    rows: i64,
    data: i64,
    dictionary: Option<i64>,
    length: i64,
}

impl Footer {
    fn read(file: &File, length: u64) -> Result<Self, String> {
        let mut head = [0; 16];
        let beginning = file.read_at(&mut head, 0).map_err(|e| e.to_string())?;
        let beginning = head.get(..beginning).unwrap_or_default();
        if beginning.is_empty() {
            return Err("expected a parquet file, found an empty one; fetch or write it again".into());
        }
        if !beginning.starts_with(MARK) {
            let found = beginning.escape_ascii();
            return Err(format!(
                "expected a parquet file, found one that begins with \"{found}\""
            ));
        }
        let short = || format!("expected a whole parquet file, found {length} bytes");
        let end = length.checked_sub(12).ok_or_else(short)?;
        let mut tail = [0; 8];
        file.read_exact_at(&mut tail, length - 8).map_err(|e| e.to_string())?;
        let (size, mark) = tail.split_first_chunk::<4>().ok_or_else(short)?;
        let size = u64::from(u32::from_le_bytes(*size));
        if mark != MARK || size > end {
            return Err(
                "expected a whole parquet file, found one without its end; it was still being written, or is cut"
                    .into(),
            );
        }
        let footer = bytes(file, length, (length - 8 - size) as i64, size as i64)?;
        let mut described = Described::default();
        thrift::walk(&footer, &mut |path, value| described.visit(path, value)).map_err(|_| "its footer is damaged")?;
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

    fn check(&mut self, length: u64) -> Result<(), String> {
        if self.is_encrypted {
            return Err("its columns are encrypted; decrypt the file first".into());
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
            return Err(format!(
                "{} rows in groups of {:?} cannot be",
                self.rows, self.rows_of_groups
            ));
        }
        if let Some(length) = self.lengths.iter().find(|length| !(0..=whole).contains(*length)) {
            return Err(format!("a column of values of {length} bytes cannot be"));
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
                return Err(format!(
                    "expected {} columns in each group of rows, found {}",
                    roots.len(),
                    of_group.len()
                ));
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
    fn start(&self) -> i64 {
        self.dictionary.unwrap_or(self.data)
    }
}

/// Outermost column of each column of values. The numbers of children must make one tree that is not too deep.
fn roots(columns: &[(i64, Vec<u8>)]) -> Result<Vec<Vec<u8>>, String> {
    // The first is the table itself.
    let mut open: Vec<i64> = vec![1];
    let (mut roots, mut root) = (Vec::new(), Vec::new());
    for (count, name) in columns {
        let depth = open.len();
        match open.last_mut() {
            Some(left) => *left -= 1,
            None => return Err("its columns are more than it says".into()),
        }
        if depth == 2 {
            root.clone_from(name);
        }
        if depth > DEEPEST || !usize::try_from(*count).is_ok_and(|count| count <= columns.len()) {
            return Err(format!("a column of {count} others at depth {depth} cannot be"));
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
        Err("its columns are fewer than it says".into())
    }
}

fn inside(whole: i64, at: i64, length: i64) -> Result<(), String> {
    let end = at.checked_add(length).filter(|end| *end <= whole);
    if at < 0 || length < 0 || end.is_none() {
        return Err(format!("{length} bytes from {at} on do not lie in its {whole}"));
    }
    Ok(())
}

/// Reads a range of the file, which must lie within it.
fn bytes(file: &File, whole: u64, at: i64, length: i64) -> Result<Vec<u8>, String> {
    inside(i64::try_from(whole).unwrap_or(i64::MAX), at, length)?;
    let mut bytes = vec![0; length as usize];
    file.read_exact_at(&mut bytes, at as u64).map_err(|e| e.to_string())?;
    Ok(bytes)
}

/// Pages of a column chunk.
#[derive(Debug, Default)]
struct Pages {
    /// Size of each data page with its header (bytes), by offset.
    data: BTreeMap<i64, i64>,
    values: u64,
    /// Whether texts have delta-encoded lengths.
    packed_lengths: bool,
}

/// Content of a page header.
#[derive(Debug, Default)]
struct Page {
    kind: i64,
    uncompressed: i64,
    compressed: i64,
    values: i64,
    encoding: i64,
    levels: [i64; 2],
}

impl Pages {
    fn walk(file: &File, whole: u64, chunk: &Chunk) -> Result<Self, String> {
        let mut pages = Self::default();
        let (start, end) = (chunk.extent.start(), chunk.extent.start() + chunk.extent.length);
        let (mut at, mut dictionary) = (start, false);
        while at < end {
            let (page, header) = Page::read(file, at, end)?;
            page.check(whole, at)?;
            let length = header.saturating_add(page.compressed);
            inside(end, at, length)?;
            if page.kind == Page::DICTIONARY {
                dictionary = at == start;
            } else {
                pages.data.insert(at, length);
            }
            if page.needs_dictionary() && !dictionary {
                return Err(format!("the page at {at} has no dictionary before it, or not only one"));
            }
            pages.packed_lengths |= page.encoding == DELTA_LENGTHS;
            pages.values = pages.values.saturating_add(page.values.unsigned_abs());
            at += length;
        }
        Ok(pages)
    }

    /// Checks that the offset index, by which single rows are found, lists exactly the pages that exist.
    fn check_index(&self, file: &File, whole: u64, chunk: &Chunk) -> Result<(), String> {
        let (Some(at), Some(length)) = (chunk.offset_index, chunk.offset_index_length) else {
            return Ok(());
        };
        let index = bytes(file, whole, at, length)?;
        let (mut offsets, mut sizes, mut rows) = (Vec::new(), Vec::new(), Vec::new());
        let mut visit = |path: &[i64], value: Value<'_>| match (path, value) {
            ([1, 1], Value::Integer(at)) => offsets.push(at),
            ([1, 2], Value::Integer(size)) => sizes.push(size),
            ([1, 3], Value::Integer(row)) => rows.push(row),
            _ => (),
        };
        thrift::walk(&index, &mut visit).map_err(|_| "an index of its pages is damaged")?;
        let same = offsets.iter().eq(self.data.keys()) && sizes.iter().eq(self.data.values());
        let ordered = rows.first().is_none_or(|first| *first == 0)
            && rows.is_sorted_by(|a, b| a < b)
            && rows.last().is_none_or(|last| *last < chunk.extent.rows.max(1));
        if !same || !ordered || rows.len() != offsets.len() {
            return Err("an index of its pages does not fit them".into());
        }
        Ok(())
    }
}

impl Page {
    const DICTIONARY: i64 = 2;

    /// Returns whether the page is a dictionary or its values are indices into one.
    fn needs_dictionary(&self) -> bool {
        self.kind == Self::DICTIONARY || [2, 8].contains(&self.encoding)
    }

    /// Reads the header of the page at `at`; also returns the header's length (bytes).
    fn read(file: &File, at: i64, end: i64) -> Result<(Self, i64), String> {
        let left = usize::try_from(end - at).unwrap_or_default();
        let mut size = HEADER.0;
        loop {
            let mut window = vec![0; size.min(left)];
            file.read_exact_at(&mut window, at as u64).map_err(|e| e.to_string())?;
            let mut page = Self::default();
            match thrift::walk(&window, &mut |path, value| page.visit(path, value)) {
                Ok(length) => return Ok((page, length as i64)),
                Err(Broken::Short) if size < HEADER.1.min(left) => size = HEADER.1,
                Err(_) => return Err(format!("the page at {at} is damaged")),
            }
        }
    }

    fn visit(&mut self, path: &[i64], value: Value<'_>) {
        let Value::Integer(value) = value else { return };
        match path {
            [1] => self.kind = value,
            [2] => self.uncompressed = value,
            [3] => self.compressed = value,
            [5 | 7 | 8, 1] => self.values = value,
            [5 | 7, 2] | [8, 4] => self.encoding = value,
            [8, 5] => self.levels[0] = value,
            [8, 6] => self.levels[1] = value,
            _ => (),
        }
    }

    fn check(&self, whole: u64, at: i64) -> Result<(), String> {
        let most = i64::try_from(whole.saturating_mul(2).saturating_add(MARGIN)).unwrap_or(i64::MAX);
        let positive = [self.uncompressed, self.compressed, self.values]
            .iter()
            .all(|length| *length >= 0);
        let within = |length: &i64| (0..=self.compressed).contains(length);
        let levels = self.levels.iter().all(within) && within(&(self.levels[0] + self.levels[1]));
        if !positive || self.uncompressed > most || !levels {
            return Err(format!("the page at {at} cannot be: {self:?} in {whole} bytes"));
        }
        if self.kind == Self::DICTIONARY && self.values > self.uncompressed {
            return Err(format!("the dictionary at {at} cannot have {} values", self.values));
        }
        if !ENCODINGS.contains(&self.encoding) {
            let encoding = self.encoding;
            return Err(format!(
                "the page at {at} has encoding {encoding}, which is not read; write the file anew with plain values, dictionaries or differences"
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, RecordBatch, StringArray};
    use parquet::arrow::ArrowWriter;
    use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};

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
        assert_eq!(roots(&sound), Ok(vec![b"p".to_vec(), b"p".to_vec(), b"x".to_vec()]));
        for wrong in [&[3, 0, 0][..], &[1, 0, 0], &[-1], &[i64::MAX], &[1; 40]] {
            let wrong: Vec<_> = columns(wrong);
            assert!(roots(&wrong).is_err(), "{wrong:?}");
        }
    }

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
        let problem = Pages::walk(&file, whole, &chunk).unwrap_err();
        assert!(problem.contains("no dictionary"), "{problem}");
    }
}
