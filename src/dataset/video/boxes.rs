//! Reads boxes and fields of mp4 from untrusted files.

use std::io::{Read, Seek, SeekFrom};

use super::error::VideoError;

/// Iterates over the boxes within a box; ends at an invalid size.
#[derive(Debug, Clone, Copy)]
pub struct Boxes<'a> {
    rest: &'a [u8],
}

impl<'a> Boxes<'a> {
    /// Iterates over the boxes in `content`.
    pub fn of(content: &'a [u8]) -> Self {
        Self { rest: content }
    }
}

impl<'a> Iterator for Boxes<'a> {
    type Item = ([u8; 4], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let mut fields = Fields::new(self.rest);
        let (short, kind) = (fields.u32().ok()?, fields.kind().ok()?);
        let (size, header) = match short {
            0 => (self.rest.len(), 8),
            1 => (usize::try_from(fields.u64().ok()?).ok()?, 16),
            other => (other as usize, 8),
        };
        let content = self.rest.get(header..size)?;
        self.rest = self.rest.get(size..)?;
        Some((kind, content))
    }
}

/// Iterates over the outermost boxes of a file without reading their content.
#[derive(Debug)]
pub struct TopLevel {
    position: u64,
    length: u64,
}

/// Outermost box.
#[derive(Debug, Clone, Copy)]
pub struct OutermostBox {
    /// Type of the box.
    pub kind: [u8; 4],
    /// Offset in the file (bytes).
    pub start: u64,
    header: u64,
    size: u64,
}

impl OutermostBox {
    /// Reads the content, which lies within the file.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn content(&self, file: &mut (impl Read + Seek)) -> Result<Vec<u8>, VideoError> {
        let mut content = vec![0; (self.size - self.header) as usize];
        file.seek(SeekFrom::Start(self.start + self.header))?;
        file.read_exact(&mut content)?;
        Ok(content)
    }
}

impl TopLevel {
    /// Iterates over the boxes of a file of `length` bytes.
    pub fn new(length: u64) -> Self {
        Self { position: 0, length }
    }

    /// Returns the next box; `None` at the end.
    ///
    /// # Errors
    /// When it claims more bytes than are left, or the file cannot be read.
    pub fn next(&mut self, file: &mut (impl Read + Seek)) -> Result<Option<OutermostBox>, VideoError> {
        let (start, left) = (self.position, self.length.saturating_sub(self.position));
        if left < 8 {
            return Ok(None);
        }
        let mut head = [0; 16];
        let head_size = 16.min(left) as usize;
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(head.get_mut(..head_size).unwrap_or_default())?;
        let mut fields = Fields::new(&head);
        let (short, kind) = (u64::from(fields.u32()?), fields.kind()?);
        let (size, header) = match short {
            0 => (left, 8),
            1 if head_size == 16 => (fields.u64()?, 16),
            other => (other, 8),
        };
        if size < header || size > left {
            let kind = String::from_utf8_lossy(&kind).into_owned();
            return Err(VideoError::malformed(format!(
                "at byte {start}, {kind} claims {size} bytes of {left} that are left; was it copied whole?"
            )));
        }
        self.position = start + size;
        Ok(Some(OutermostBox {
            kind,
            start,
            header,
            size,
        }))
    }
}

/// Reads big-endian fields, one after another.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// Reads the fields in `content`.
    pub fn new(content: &'a [u8]) -> Self {
        Self { rest: content }
    }

    /// Returns the reader, `count` bytes later.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn after(mut self, count: usize) -> Result<Self, VideoError> {
        self.skip(count)?;
        Ok(self)
    }

    /// Returns the next `count` bytes.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn bytes(&mut self, count: usize) -> Result<&'a [u8], VideoError> {
        let (found, rest) = self.rest.split_at_checked(count).ok_or_else(ends)?;
        self.rest = rest;
        Ok(found)
    }

    /// Skips `count` bytes.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn skip(&mut self, count: usize) -> Result<(), VideoError> {
        self.bytes(count).map(drop)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], VideoError> {
        let (found, rest) = self.rest.split_first_chunk().ok_or_else(ends)?;
        self.rest = rest;
        Ok(*found)
    }

    /// Reads an 8-bit number.
    ///
    /// # Errors
    /// When none is left.
    pub fn u8(&mut self) -> Result<u8, VideoError> {
        self.array().map(|[byte]| byte)
    }

    /// Reads a 16-bit number.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn u16(&mut self) -> Result<u16, VideoError> {
        self.array().map(u16::from_be_bytes)
    }

    /// Reads a 32-bit number.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn u32(&mut self) -> Result<u32, VideoError> {
        self.array().map(u32::from_be_bytes)
    }

    /// Reads a 64-bit number.
    ///
    /// # Errors
    /// When fewer are left.
    pub fn u64(&mut self) -> Result<u64, VideoError> {
        self.array().map(u64::from_be_bytes)
    }

    /// Reads the type of a box.
    ///
    /// # Errors
    /// When fewer than four bytes are left.
    pub fn kind(&mut self) -> Result<[u8; 4], VideoError> {
        self.array()
    }
}

fn ends() -> VideoError {
    VideoError::malformed("a table or box of the index ends too early")
}
