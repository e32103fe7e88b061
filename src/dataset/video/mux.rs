//! Writes H.264 into an mp4 file (ISO/IEC 14496-12 and -15): one track, constant frame rate.

use std::io::{Seek, SeekFrom, Write};

use super::error::VideoError;

/// Ticks of the media clock per frame; more than one, so that tools may cut between frames.
const TICKS: u32 = 512;

/// Properties of the only track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Track {
    /// Width (px).
    pub width: u16,
    /// Height (px).
    pub height: u16,
    /// Frame rate (Hz).
    pub fps: u32,
}

/// Writes samples as they come, and the index at the end.
#[derive(Debug)]
pub struct Mp4Writer<W> {
    out: W,
    track: Track,
    sizes: Vec<u32>,
    keys: Vec<u32>,
    mdat: u64,
    position: u64,
}

impl<W: Write + Seek> Mp4Writer<W> {
    /// Begins a file at the start of `out`.
    ///
    /// # Errors
    /// When writing fails.
    pub fn new(mut out: W, track: Track) -> Result<Self, VideoError> {
        let mut head = Vec::new();
        boxed(&mut head, b"ftyp", |b| {
            b.extend(b"isom");
            b.extend(512_u32.to_be_bytes());
            b.extend(b"isomiso2avc1mp41");
        });
        let mdat = head.len() as u64;
        // A 64-bit size, which is filled in at the end.
        head.extend(1_u32.to_be_bytes());
        head.extend(b"mdat");
        head.extend(0_u64.to_be_bytes());
        out.write_all(&head)?;
        Ok(Self {
            out,
            track,
            sizes: Vec::new(),
            keys: Vec::new(),
            mdat,
            position: head.len() as u64,
        })
    }

    /// Appends a frame: its units, each after its length in 4 bytes. `key` says whether decoding can begin here.
    ///
    /// # Errors
    /// When writing fails.
    pub fn push(&mut self, sample: &[u8], key: bool) -> Result<(), VideoError> {
        let size = u32::try_from(sample.len()).map_err(|_| VideoError::malformed("a frame of 4 GiB"))?;
        self.out.write_all(sample)?;
        self.sizes.push(size);
        self.position += sample.len() as u64;
        if key {
            self.keys.push(self.sizes.len() as u32);
        }
        Ok(())
    }

    /// Returns the number of frames.
    pub fn len(&self) -> usize {
        self.sizes.len()
    }

    /// Returns whether there is no frame yet.
    pub fn is_empty(&self) -> bool {
        self.sizes.is_empty()
    }

    /// Writes the index with the parameter sets, and returns the file.
    ///
    /// # Errors
    /// When writing fails.
    pub fn finish(mut self, sps: &[u8], pps: &[u8]) -> Result<W, VideoError> {
        let mut index = Vec::new();
        self.index(&mut index, sps, pps);
        self.out.write_all(&index)?;
        let size = self.position - self.mdat;
        self.out.seek(SeekFrom::Start(self.mdat + 8))?;
        self.out.write_all(&size.to_be_bytes())?;
        self.out.seek(SeekFrom::End(0))?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn index(&self, out: &mut Vec<u8>, sps: &[u8], pps: &[u8]) {
        let Track { width, height, fps } = self.track;
        let count = self.sizes.len() as u32;
        let duration = u64::from(count) * u64::from(TICKS);
        let scale = fps.saturating_mul(TICKS);
        boxed(out, b"moov", |b| {
            full(b, b"mvhd", 1 << 24, |b| {
                b.extend([0; 16]);
                words(b, &[scale]);
                b.extend(duration.to_be_bytes());
                words(b, &[0x1_0000]);
                b.extend([1, 0]);
                b.extend([0; 10]);
                matrix(b);
                b.extend([0; 24]);
                words(b, &[2]);
            });
            boxed(b, b"trak", |b| {
                // enabled, in the movie
                full(b, b"tkhd", 1 << 24 | 3, |b| {
                    b.extend([0; 16]);
                    words(b, &[1, 0]);
                    b.extend(duration.to_be_bytes());
                    b.extend([0; 16]);
                    matrix(b);
                    words(b, &[u32::from(width) << 16, u32::from(height) << 16]);
                });
                boxed(b, b"mdia", |b| {
                    full(b, b"mdhd", 1 << 24, |b| {
                        b.extend([0; 16]);
                        words(b, &[scale]);
                        b.extend(duration.to_be_bytes());
                        // language: undetermined
                        words(b, &[0x55C4_0000]);
                    });
                    full(b, b"hdlr", 0, |b| {
                        words(b, &[0]);
                        b.extend(b"vide");
                        b.extend([0; 12]);
                        b.extend(b"VideoHandler\0");
                    });
                    boxed(b, b"minf", |b| {
                        full(b, b"vmhd", 1, |b| b.extend([0; 8]));
                        boxed(b, b"dinf", |b| {
                            full(b, b"dref", 0, |b| {
                                words(b, &[1]);
                                full(b, b"url ", 1, |_| {});
                            });
                        });
                        boxed(b, b"stbl", |b| self.tables(b, count, [sps, pps]));
                    });
                });
            });
        });
    }

    fn tables(&self, out: &mut Vec<u8>, count: u32, sets: [&[u8]; 2]) {
        full(out, b"stsd", 0, |b| {
            words(b, &[1]);
            boxed(b, b"avc1", |b| {
                b.extend([0; 6]);
                b.extend(1_u16.to_be_bytes());
                b.extend([0; 16]);
                b.extend(self.track.width.to_be_bytes());
                b.extend(self.track.height.to_be_bytes());
                // 72 dots an inch both ways
                words(b, &[0x48_0000, 0x48_0000, 0]);
                b.extend(1_u16.to_be_bytes());
                b.extend([0; 32]);
                b.extend(24_u16.to_be_bytes());
                b.extend(u16::MAX.to_be_bytes());
                boxed(b, b"avcC", |b| configuration(b, sets));
            });
        });
        full(out, b"stts", 0, |b| words(b, &[1, count, TICKS]));
        full(out, b"stss", 0, |b| {
            words(b, &[self.keys.len() as u32]);
            words(b, &self.keys);
        });
        full(out, b"stsc", 0, |b| words(b, &[1, 1, count, 1]));
        full(out, b"stsz", 0, |b| {
            words(b, &[0, count]);
            words(b, &self.sizes);
        });
        full(out, b"co64", 0, |b| {
            words(b, &[1]);
            b.extend((self.mdat + 16).to_be_bytes());
        });
    }
}

/// Writes the `AVCDecoderConfigurationRecord` of a stream without high profiles.
fn configuration(out: &mut Vec<u8>, [sps, pps]: [&[u8]; 2]) {
    out.push(1);
    out.extend(sps.get(1..4).unwrap_or(&[66, 0xC0, 51]));
    // lengths of 4 bytes; one set of each kind
    out.extend([0xFF, 0xE1]);
    out.extend((sps.len() as u16).to_be_bytes());
    out.extend(sps);
    out.push(1);
    out.extend((pps.len() as u16).to_be_bytes());
    out.extend(pps);
}

fn boxed(out: &mut Vec<u8>, kind: &[u8; 4], content: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    words(out, &[0]);
    out.extend(kind);
    content(out);
    let size = (out.len() - start) as u32;
    if let Some(place) = out.get_mut(start..start + 4) {
        place.copy_from_slice(&size.to_be_bytes());
    }
}

fn full(out: &mut Vec<u8>, kind: &[u8; 4], version_and_flags: u32, content: impl FnOnce(&mut Vec<u8>)) {
    boxed(out, kind, |b| {
        words(b, &[version_and_flags]);
        content(b);
    });
}

fn words(out: &mut Vec<u8>, values: &[u32]) {
    out.extend(values.iter().flat_map(|value| value.to_be_bytes()));
}

/// Writes the identity matrix: no rotation.
fn matrix(out: &mut Vec<u8>) {
    words(out, &[0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000]);
}
