//! Reads and checks the headers of the pages of a column.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt as _;

use super::super::thrift::{self, Broken, Value};
use super::footer::Chunk;
use super::{FooterError, bytes, inside};

/// Size that any page may have in memory, however small the file is (bytes); writers end pages at about 1 MiB.
const MARGIN: u64 = 16 << 20;
/// Size in which most page headers fit, and maximum size of one (bytes).
const HEADER: (usize, usize) = (512, 1 << 20);
/// Encodings that are read: plain, dictionaries, run lengths, packed bits, deltas, delta lengths and split streams. In
/// the other encoding of the format, `DELTA_BYTE_ARRAY` (7), few bytes can stand for any amount of text.
const ENCODINGS: [i64; 8] = [0, 2, 3, 4, 5, DELTA_LENGTHS, 8, 9];
const DELTA_LENGTHS: i64 = 6;

/// Pages of a column chunk.
#[derive(Debug, Default)]
pub(super) struct Pages {
    /// Size of each data page with its header (bytes), by offset.
    data: BTreeMap<i64, i64>,
    /// Number of values.
    pub values: u64,
    /// Whether texts have delta-encoded lengths.
    pub packed_lengths: bool,
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
    /// Reads and checks the headers of the pages of a chunk, in a file of `whole` bytes.
    ///
    /// # Errors
    /// With what was expected and found.
    pub fn walk(file: &File, whole: u64, chunk: &Chunk) -> Result<Self, FooterError> {
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
                return Err(FooterError::NoDictionary(at));
            }
            pages.packed_lengths |= page.encoding == DELTA_LENGTHS;
            pages.values = pages.values.saturating_add(page.values.unsigned_abs());
            at += length;
        }
        Ok(pages)
    }

    /// Checks that the offset index, by which single rows are found, lists exactly the pages that exist.
    ///
    /// # Errors
    /// When it does not.
    pub fn check_index(&self, file: &File, whole: u64, chunk: &Chunk) -> Result<(), FooterError> {
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
        thrift::walk(&index, &mut visit).map_err(|_| FooterError::DamagedIndex)?;
        let same = offsets.iter().eq(self.data.keys()) && sizes.iter().eq(self.data.values());
        let ordered = rows.first().is_none_or(|first| *first == 0)
            && rows.is_sorted_by(|a, b| a < b)
            && rows.last().is_none_or(|last| *last < chunk.extent.rows.max(1));
        if !same || !ordered || rows.len() != offsets.len() {
            return Err(FooterError::Index);
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
    fn read(file: &File, at: i64, end: i64) -> Result<(Self, i64), FooterError> {
        let left = usize::try_from(end - at).unwrap_or_default();
        let mut size = HEADER.0;
        loop {
            let mut window = vec![0; size.min(left)];
            file.read_exact_at(&mut window, at as u64)?;
            let mut page = Self::default();
            match thrift::walk(&window, &mut |path, value| page.visit(path, value)) {
                Ok(length) => return Ok((page, length as i64)),
                Err(Broken::Short) if size < HEADER.1.min(left) => size = HEADER.1,
                Err(_) => return Err(FooterError::DamagedPage(at)),
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

    fn check(&self, whole: u64, at: i64) -> Result<(), FooterError> {
        let most = i64::try_from(whole.saturating_mul(2).saturating_add(MARGIN)).unwrap_or(i64::MAX);
        let positive = [self.uncompressed, self.compressed, self.values]
            .iter()
            .all(|length| *length >= 0);
        let within = |length: &i64| (0..=self.compressed).contains(length);
        let levels = self.levels.iter().all(within) && within(&self.levels[0].saturating_add(self.levels[1]));
        if !positive || self.uncompressed > most || !levels {
            return Err(FooterError::Page {
                at,
                header: format!("{self:?}"),
                length: whole,
            });
        }
        if self.kind == Self::DICTIONARY && self.values > self.uncompressed {
            return Err(FooterError::Dictionary {
                at,
                values: self.values,
            });
        }
        if !ENCODINGS.contains(&self.encoding) {
            return Err(FooterError::Encoding {
                at,
                encoding: self.encoding,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_longer_than_their_page_are_refused() {
        let page = |compressed, levels| Page {
            compressed,
            levels,
            ..Page::default()
        };
        assert!(page(10, [4, 6]).check(100, 0).is_ok());
        for wrong in [[4, 7], [11, 0], [-1, 0], [i64::MAX; 2]] {
            assert!(page(10, wrong).check(100, 0).is_err(), "{wrong:?}");
        }
        // Their sum does not fit 64 bits; a page of this length is refused by where it ends.
        assert!(page(i64::MAX, [i64::MAX; 2]).check(100, 0).is_ok());
    }
}
