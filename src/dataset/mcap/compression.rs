//! Decompresses what rosbag2 compressed: whole files (`.mcap.zstd`) and single messages. Chunks of MCAP are
//! decompressed by its reader.

use std::borrow::Cow;
use std::io::{BufRead, Error, ErrorKind, Read, Result};

use zstd::stream::read::Decoder;

use super::MessageError;

/// Magic bytes of a Zstandard frame. A message that is not compressed begins with 0.
pub(super) const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Maximum length of a message (bytes); an image of 16 megapixels is shorter.
pub const LONGEST_MESSAGE: usize = 1 << 28;

/// Maximum ratio of decompressed to compressed size of a file, on top of [`FILE_MARGIN`].
const FILE_RATIO: u64 = 1000;
/// Decompressed size that any file may have (bytes).
const FILE_MARGIN: u64 = 1 << 30;

/// Returns a message as it was published, decompressed if rosbag2 compressed each message
/// (`compression_mode: MESSAGE`).
///
/// # Errors
/// When the decompressed message is too long, or the data is damaged.
pub fn message(data: &[u8]) -> std::result::Result<Cow<'_, [u8]>, MessageError> {
    if !data.starts_with(&ZSTD_MAGIC) {
        return Ok(data.into());
    }
    let damaged = |e: Error| MessageError::Compressed(e.to_string());
    let mut out = Vec::new();
    let decoder = Decoder::with_buffer(data).map_err(damaged)?;
    let mut bounded = decoder.take(LONGEST_MESSAGE as u64 + 1);
    bounded.read_to_end(&mut out).map_err(damaged)?;
    if out.len() > LONGEST_MESSAGE {
        return Err(MessageError::TooLong {
            found: data.len(),
            most: LONGEST_MESSAGE,
        });
    }
    Ok(out.into())
}

/// Decompresses a file of `length` bytes while it is read.
///
/// # Errors
/// When the decoder cannot be created. Reading fails when the data is damaged or too long.
pub(super) fn file<R: BufRead>(compressed: R, length: u64) -> Result<impl Read + use<R>> {
    let most = length.saturating_mul(FILE_RATIO).saturating_add(FILE_MARGIN);
    Ok(Bounded {
        inner: Decoder::with_buffer(compressed)?,
        left: most,
        most,
    })
}

/// Reader that fails after more than `most` bytes.
struct Bounded<R> {
    inner: R,
    left: u64,
    most: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let read = self.inner.read(buffer)?;
        let Some(left) = self.left.checked_sub(read as u64) else {
            let problem = format!(
                "expected at most {} bytes to come out of the compressed file, found more; \
                 if it is to be so large, unpack it with `zstd -d` first",
                self.most
            );
            return Err(Error::new(ErrorKind::InvalidData, problem));
        };
        self.left = left;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_out_as_they_went_in() {
        let plain = [0, 1, 0, 0, 7, 0, 0, 0];
        let packed = zstd::bulk::compress(&plain, 1).unwrap();
        assert_eq!(&*message(&plain).unwrap(), plain);
        assert_eq!(&*message(&packed).unwrap(), plain);
        for length in 4..packed.len() {
            assert!(message(&packed[..length]).is_err(), "cut to {length}");
        }
    }

    /// Zeros, compressed piece by piece so that the test itself needs no memory for them.
    fn zeros(length: usize) -> Vec<u8> {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        std::io::copy(&mut std::io::repeat(0).take(length as u64), &mut encoder).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_message_that_grows_without_bounds_is_refused() {
        let bomb = zeros(LONGEST_MESSAGE + 1);
        assert!(bomb.len() < 1 << 16);
        let error = message(&bomb).unwrap_err().to_string();
        assert!(error.contains("268435456"), "{error}");
    }

    #[test]
    fn a_file_that_grows_without_bounds_is_refused() {
        let packed = zeros(1 << 20);
        let mut bounded = Bounded {
            inner: Decoder::with_buffer(&packed[..]).unwrap(),
            left: 1000,
            most: 1000,
        };
        let error = std::io::copy(&mut bounded, &mut std::io::sink()).unwrap_err();
        assert!(error.to_string().contains("at most 1000 bytes"), "{error}");
        let mut out = Vec::new();
        file(&packed[..], packed.len() as u64)
            .unwrap()
            .read_to_end(&mut out)
            .unwrap();
        assert_eq!(out.len(), 1 << 20);
    }
}
