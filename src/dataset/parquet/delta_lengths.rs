//! Checks pages of texts in the encoding `DELTA_LENGTH_BYTE_ARRAY`. The parquet reader allocates as many lengths as
//! such a page claims in its body, which a check of page headers does not see.

use std::fs::File;
use std::sync::Arc;

use parquet::basic::Encoding;
use parquet::column::page::{Page, PageReader as _};
use parquet::errors::ParquetError;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::serialized_reader::SerializedPageReader;

/// Refuses pages of a column chunk that claim more lengths than they have values.
///
/// # Errors
/// When there is such a page, or a page cannot be read.
pub fn check(file: &File, group: &RowGroupMetaData, column: usize) -> Result<(), ParquetError> {
    let Some(chunk) = group.columns().get(column) else {
        return Ok(());
    };
    let rows = usize::try_from(group.num_rows()).unwrap_or_default();
    let mut pages = SerializedPageReader::new(Arc::new(file.try_clone()?), chunk, rows, None)?;
    let levels = [
        chunk.column_descr().max_rep_level(),
        chunk.column_descr().max_def_level(),
    ];
    while let Some(page) = pages.get_next_page()? {
        let Some(claimed) = claimed(&page, levels) else {
            continue;
        };
        let values = u64::from(page.num_values());
        if claimed.is_none_or(|claimed| claimed > values) {
            let message = format!("a page of {values} texts claims to have the lengths of others");
            return Err(ParquetError::General(message));
        }
    }
    Ok(())
}

/// Number of lengths that a page claims; `None` if it has none, `Some(None)` if its beginning is damaged.
fn claimed(page: &Page, [rep, def]: [i16; 2]) -> Option<Option<u64>> {
    if page.encoding() != Encoding::DELTA_LENGTH_BYTE_ARRAY {
        return None;
    }
    let values = match page {
        Page::DataPageV2 {
            buf,
            def_levels_byte_len,
            rep_levels_byte_len,
            ..
        } => buf.get((*rep_levels_byte_len as usize).saturating_add(*def_levels_byte_len as usize)..),
        Page::DataPage {
            buf,
            def_level_encoding,
            rep_level_encoding,
            ..
        } => {
            let levels = [(rep, rep_level_encoding), (def, def_level_encoding)];
            let there = levels.into_iter().filter(|(highest, _)| *highest > 0);
            there
                .map(|(_, encoding)| *encoding)
                .try_fold(buf.as_ref(), behind_levels)
        }
        Page::DictionaryPage { .. } => return None,
    };
    // The block size and the number of miniblocks come first.
    let mut left = values.unwrap_or_default();
    Some(
        varint(&mut left)
            .and_then(|_| varint(&mut left))
            .and_then(|_| varint(&mut left)),
    )
}

/// Returns what follows the levels, which begin with their length in bytes; `None` for the obsolete encoding without
/// it.
fn behind_levels(page: &[u8], encoding: Encoding) -> Option<&[u8]> {
    let (length, rest) = page.split_first_chunk::<4>()?;
    match encoding {
        Encoding::RLE => rest.get(u32::from_le_bytes(*length) as usize..),
        _ => None,
    }
}

fn varint(left: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = left.split_first()?;
        *left = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(values: u32, bytes: &'static [u8]) -> Page {
        Page::DataPage {
            buf: bytes.into(),
            num_values: values,
            encoding: Encoding::DELTA_LENGTH_BYTE_ARRAY,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        }
    }

    #[test]
    fn the_number_of_lengths_is_found_behind_the_levels() {
        // 128 values a block, 4 parts, 300 lengths
        assert_eq!(claimed(&page(2, b"\x80\x01\x04\xac\x02"), [0, 0]), Some(Some(300)));
        assert_eq!(
            claimed(&page(2, b"\x02\0\0\0ab\x80\x01\x04\x02"), [0, 1]),
            Some(Some(2))
        );
    }

    #[test]
    fn a_page_that_ends_too_early_claims_what_cannot_be() {
        for bytes in [&b""[..], b"\x80\x01\x04", b"\x80\x01\x04\xff\xff", b"\xff\xff\xff\xff"] {
            let levels = if bytes.len() == 4 { [0, 1] } else { [0, 0] };
            let bytes: &'static [u8] = Box::leak(bytes.to_vec().into_boxed_slice());
            assert_eq!(claimed(&page(2, bytes), levels), Some(None), "{bytes:?}");
        }
    }
}
