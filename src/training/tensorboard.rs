//! Scalars for TensorBoard: `Event` messages of protocol buffers in TensorFlow's record format.
//!
//! A record is its length (8 bytes), a checksum of the length (4), the message, and a checksum of the message (4).

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::error::RunError;

/// Event file. Each start of a run has its own; TensorBoard reads them as one.
#[derive(Debug)]
pub struct TensorboardWriter {
    path: PathBuf,
    file: File,
}

impl TensorboardWriter {
    /// Creates a new file in a directory.
    ///
    /// # Errors
    /// When writing fails.
    pub fn create(out: &Path) -> Result<Self, RunError> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let name = format!("events.out.tfevents.{:010}.{}", since.as_secs(), std::process::id());
        let path = out.join(name);
        let file = File::create(&path).map_err(RunError::file("write", &path))?;
        let mut events = Self { path, file };
        events.write(&version(since.as_secs_f64()))?;
        Ok(events)
    }

    /// Writes named values of a step.
    ///
    /// # Errors
    /// When writing fails.
    pub fn add(&mut self, step: u64, scalars: &[(&str, f64)]) -> Result<(), RunError> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.write(&event(since.as_secs_f64(), step, scalars))
    }

    fn write(&mut self, message: &[u8]) -> Result<(), RunError> {
        let written = self.file.write_all(&record(message));
        written.map_err(RunError::file("write", &self.path))
    }
}

/// Tags of message fields: field number, and wire type (0 integer, 1 eight bytes, 2 length-delimited, 5 four bytes).
mod field {
    pub const WALL_TIME: u8 = (1 << 3) | 1;
    pub const STEP: u8 = 2 << 3;
    pub const FILE_VERSION: u8 = (3 << 3) | 2;
    pub const SUMMARY: u8 = (5 << 3) | 2;
    pub const VALUE: u8 = (1 << 3) | 2;
    pub const TAG: u8 = (1 << 3) | 2;
    pub const SIMPLE_VALUE: u8 = (2 << 3) | 5;
}

fn version(wall_time: f64) -> Vec<u8> {
    let mut message = vec![field::WALL_TIME];
    message.extend(wall_time.to_le_bytes());
    sized(&mut message, field::FILE_VERSION, b"brain.Event:2");
    message
}

fn event(wall_time: f64, step: u64, scalars: &[(&str, f64)]) -> Vec<u8> {
    let mut summary = Vec::new();
    for (name, value) in scalars {
        let mut one = Vec::new();
        sized(&mut one, field::TAG, name.as_bytes());
        one.push(field::SIMPLE_VALUE);
        one.extend((*value as f32).to_le_bytes());
        sized(&mut summary, field::VALUE, &one);
    }
    let mut message = vec![field::WALL_TIME];
    message.extend(wall_time.to_le_bytes());
    message.push(field::STEP);
    varint(&mut message, step);
    sized(&mut message, field::SUMMARY, &summary);
    message
}

fn sized(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    out.push(field);
    varint(out, bytes.len() as u64);
    out.extend(bytes);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn record(message: &[u8]) -> Vec<u8> {
    let length = (message.len() as u64).to_le_bytes();
    let mut record = length.to_vec();
    record.extend(masked(crc32c(&length)).to_le_bytes());
    record.extend(message);
    record.extend(masked(crc32c(message)).to_le_bytes());
    record
}

/// Masks a checksum as TensorFlow does, so that checksums of data that holds checksums differ.
fn masked(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32C (Castagnoli); `crc32fast` has the other polynomial.
fn crc32c(bytes: &[u8]) -> u32 {
    const REVERSED: u32 = 0x82f6_3b78;
    let crc = bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| match crc & 1 {
            0 => crc >> 1,
            _ => (crc >> 1) ^ REVERSED,
        })
    });
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_castagnolis() {
        // The check value of the catalogue of CRCs, and two of RFC 3720 (B.4).
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
    }

    #[test]
    fn an_event_is_the_bytes_that_protocol_buffers_give() {
        let expected = [
            [9].as_slice(),
            &1.5_f64.to_le_bytes(),
            &[16, 0xac, 2], // step 300
            &[42, 10, 10, 8, 10, 1, b'a', 21],
            &0.25_f32.to_le_bytes(),
        ];
        assert_eq!(event(1.5, 300, &[("a", 0.25)]), expected.concat());
    }
}
