//! Reader of zip archives whose files are stored uncompressed, so that they can be mapped.

use std::collections::BTreeMap;
use std::ops::Range;

use super::error::TorchArchiveError;

/// Signature of an entry, with which an archive begins.
pub const BEGINNING: &[u8] = b"PK\x03\x04";

/// Signatures of an entry in the central directory, of the directory's end, and of the zip64 end and its locator.
const LISTED: &[u8] = b"PK\x01\x02";
const END: &[u8] = b"PK\x05\x06";
const LARGE_END: &[u8] = b"PK\x06\x06";
const LARGE_END_PLACE: &[u8] = b"PK\x06\x07";

/// Sizes of the fixed parts of these records (bytes).
const ENTRY_SIZE: usize = 30;
const LISTED_SIZE: usize = 46;
const END_SIZE: usize = 22;
const LARGE_END_PLACE_SIZE: usize = 20;
/// Largest distance of the directory's end from the end of the file, where a comment follows (bytes).
const LONGEST_COMMENT: usize = u16::MAX as usize;

/// Marks numbers that are stored in the zip64 form.
const ZIP64_MARKER: u64 = u32::MAX as u64;
/// Id of the extra field that holds them.
const LARGE_EXTRA: u64 = 1;

/// Byte range of each file of an archive.
#[derive(Debug)]
pub struct Archive<'a> {
    entries: BTreeMap<&'a str, Range<usize>>,
}

impl<'a> Archive<'a> {
    /// Reads the central directory of an archive.
    ///
    /// # Errors
    /// When the archive is truncated or damaged, or a file is compressed or encrypted.
    pub fn read(file: &'a [u8]) -> Result<Self, TorchArchiveError> {
        let list = list_of(file)?;
        let mut entries = BTreeMap::new();
        let mut rest = file.get(list).ok_or(TorchArchiveError::Damaged)?;
        while !rest.is_empty() {
            let (name, range, length) = listed(file, rest)?;
            if entries.insert(name, range).is_some() {
                return Err(TorchArchiveError::Twice(name.to_owned()));
            }
            rest = rest.get(length..).ok_or(TorchArchiveError::Damaged)?;
        }
        Ok(Self { entries })
    }

    /// Returns the byte range of a file.
    pub fn get(&self, name: &str) -> Option<Range<usize>> {
        self.entries.get(name).cloned()
    }

    /// Returns all files.
    pub fn entries(&self) -> impl Iterator<Item = (&'a str, Range<usize>)> {
        self.entries.iter().map(|(name, range)| (*name, range.clone()))
    }
}

/// Returns the byte range of the central directory.
fn list_of(file: &[u8]) -> Result<Range<usize>, TorchArchiveError> {
    let last = file.len().checked_sub(END_SIZE).ok_or(TorchArchiveError::Damaged)?;
    let first = last.saturating_sub(LONGEST_COMMENT);
    let ends_file = |at: &usize| {
        let comment = number(file, at + 20, 2);
        file.get(*at..).is_some_and(|rest| rest.starts_with(END)) && comment == Some((last - at) as u64)
    };
    let end = (first..=last).rev().find(ends_file).ok_or(TorchArchiveError::Damaged)?;
    let (size, start) = (number(file, end + 12, 4), number(file, end + 16, 4));
    let (size, start) = match (size, start) {
        (Some(ZIP64_MARKER), _) | (_, Some(ZIP64_MARKER)) => large_list(file, end)?,
        (Some(size), Some(start)) => (size, start),
        _ => return Err(TorchArchiveError::Damaged),
    };
    let start = usize::try_from(start).map_err(|_| TorchArchiveError::Damaged)?;
    let size = usize::try_from(size).map_err(|_| TorchArchiveError::Damaged)?;
    let stop = start
        .checked_add(size)
        .filter(|stop| *stop <= end)
        .ok_or(TorchArchiveError::Damaged)?;
    Ok(start..stop)
}

/// Returns size and start of the central directory from the zip64 end.
fn large_list(file: &[u8], end: usize) -> Result<(u64, u64), TorchArchiveError> {
    let place = end
        .checked_sub(LARGE_END_PLACE_SIZE)
        .ok_or(TorchArchiveError::Damaged)?;
    if !starts(file, place, LARGE_END_PLACE) {
        return Err(TorchArchiveError::Damaged);
    }
    let large = number(file, place + 8, 8).and_then(|at| usize::try_from(at).ok());
    let large = large
        .filter(|at| *at < place && starts(file, *at, LARGE_END))
        .ok_or(TorchArchiveError::Damaged)?;
    let both = number(file, large + 40, 8).zip(number(file, large + 48, 8));
    both.ok_or(TorchArchiveError::Damaged)
}

/// Returns name and byte range of the first file of a directory, and the length of its entry there.
fn listed<'a>(file: &'a [u8], list: &'a [u8]) -> Result<(&'a str, Range<usize>, usize), TorchArchiveError> {
    let field = |at: usize, size: usize| number(list, at, size).ok_or(TorchArchiveError::Damaged);
    if !starts(list, 0, LISTED) {
        return Err(TorchArchiveError::Damaged);
    }
    let (name_len, extra_len) = (field(28, 2)? as usize, field(30, 2)? as usize);
    let comment_len = field(32, 2)? as usize;
    let name = list
        .get(LISTED_SIZE..LISTED_SIZE + name_len)
        .ok_or(TorchArchiveError::Damaged)?;
    let name = std::str::from_utf8(name).map_err(|_| TorchArchiveError::Damaged)?;
    let extra_start = LISTED_SIZE + name_len;
    let extra = list
        .get(extra_start..extra_start + extra_len)
        .ok_or(TorchArchiveError::Damaged)?;
    if field(8, 2)? & 1 != 0 {
        return Err(TorchArchiveError::Encrypted(name.to_owned()));
    }
    if field(10, 2)? != 0 {
        return Err(TorchArchiveError::Compressed(name.to_owned()));
    }
    let mut large = large_numbers(extra).into_iter();
    let mut own = |value: u64| match value {
        ZIP64_MARKER => large.next().ok_or(TorchArchiveError::Damaged),
        _ => Ok(value),
    };
    // In the order of the zip64 field, which omits the numbers that are stored in the entry itself.
    let (size, packed, entry) = (own(field(24, 4)?)?, own(field(20, 4)?)?, own(field(42, 4)?)?);
    let entry = usize::try_from(entry).map_err(|_| TorchArchiveError::Damaged)?;
    if size != packed || !starts(file, entry, BEGINNING) {
        return Err(TorchArchiveError::Damaged);
    }
    // The local entry has extra fields of its own, by which writers align the file.
    let lengths = number(file, entry + 26, 2).zip(number(file, entry + 28, 2));
    let start = lengths.map(|(name, extra)| entry + ENTRY_SIZE + name as usize + extra as usize);
    let start = start.ok_or(TorchArchiveError::Damaged)?;
    let size = usize::try_from(size).map_err(|_| TorchArchiveError::Damaged)?;
    let end = start
        .checked_add(size)
        .filter(|end| *end <= file.len())
        .ok_or(TorchArchiveError::Damaged)?;
    Ok((name, start..end, extra_start + extra_len + comment_len))
}

/// Returns the numbers of the zip64 form in the extra fields of an entry.
fn large_numbers(mut extra: &[u8]) -> Vec<u64> {
    while let (Some(kind), Some(size)) = (number(extra, 0, 2), number(extra, 2, 2)) {
        let Some(field) = extra.get(4..4 + size as usize) else {
            break;
        };
        if kind == LARGE_EXTRA {
            return field
                .as_chunks::<8>()
                .0
                .iter()
                .copied()
                .map(u64::from_le_bytes)
                .collect();
        }
        extra = extra.get(4 + size as usize..).unwrap_or_default();
    }
    Vec::new()
}

fn starts(bytes: &[u8], at: usize, with: &[u8]) -> bool {
    bytes.get(at..).is_some_and(|rest| rest.starts_with(with))
}

/// Returns a little-endian number of at most 8 bytes.
fn number(bytes: &[u8], at: usize, size: usize) -> Option<u64> {
    let field = bytes.get(at..at.checked_add(size)?)?;
    Some(
        field
            .iter()
            .rev()
            .fold(0, |number, byte| number << 8 | u64::from(*byte)),
    )
}
