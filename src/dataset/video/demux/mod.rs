//! Finds the frames of the first video track of an mp4 file, in time order and by key frames.
//!
//! Whatever a file claims, at most twice its length is allocated. Its index takes as much memory as in the file. The
//! list of frames may take twice as much as the rest of the file, because frames of a still scene have few bytes, or in
//! a fragmented file as much as the file; 64 KiB are always allowed.

mod codec;
mod edits;
mod samples;
mod tables;

use std::io::{Read, Seek};

use self::codec::Description;
use self::edits::{Edits, rescaled};
use self::samples::Frames;
use self::tables::Tables;
use super::boxes::{Boxes, Fields, TopLevel};
use super::error::VideoError;
use super::fragments;

pub use self::codec::Codec;
pub(super) use self::samples::SampleList;

/// Frame in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VideoSample {
    /// Offset in the file (bytes).
    pub offset: u64,
    /// Size (bytes).
    pub size: u32,
    /// Index in the order of presentation of all frames, also of those that are only decoded.
    pub shown: u32,
    /// Whether decoding can begin here, by the index: it is a key frame, and nothing before it is shown after it, nor
    /// the reverse.
    pub entry: bool,
}

/// Video track of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Movie {
    /// Codec of the samples.
    pub codec: Codec,
    /// Width that the container announces (px).
    pub width: u32,
    /// Height that the container announces (px).
    pub height: u32,
    /// Average frame rate (Hz).
    pub fps: f64,
    /// Frames in the order of decoding.
    pub samples: Vec<VideoSample>,
    /// Indices of the samples in the order of presentation, without those that are only decoded.
    pub order: Vec<u32>,
    /// Time of presentation of each sample (ticks).
    times: Vec<i64>,
    /// Delay from the time of presentation of a sample to the time at which it is shown (ticks).
    delay: i64,
    /// Ticks per second.
    scale: u32,
}

impl Movie {
    /// Reads the index of a file of `length` bytes.
    ///
    /// # Errors
    /// When the file is damaged or has an unsupported format.
    pub fn read(file: &mut (impl Read + Seek), length: u64) -> Result<Self, VideoError> {
        let moov = read_moov(file, length)?;
        let trak = Boxes::of(&moov).filter(|(kind, _)| kind == b"trak");
        let mut tracks = trak.filter(|(_, trak)| is_video(trak)).map(|(_, trak)| trak);
        let track = tracks
            .next()
            .ok_or_else(|| VideoError::malformed("it has no video track"))?;
        let mdia = child(track, b"mdia")?;
        let stbl = child(child(mdia, b"minf")?, b"stbl")?;
        let scale = time_scale(child(mdia, b"mdhd")?)?;
        let description = Description::read(child(stbl, b"stsd")?)?;
        let edits = Edits::read(track)?;
        let empty = match edits.empty {
            0 => 0,
            // Edits last by the clock of the whole movie, samples by that of their track.
            empty => rescaled(empty, time_scale(child(&moov, b"mvhd")?)?, scale),
        };
        // The tables of a fragmented file are empty: each fragment has its own.
        let fragmented = child(&moov, b"mvex").is_ok();
        let list = if fragmented {
            fragments::read(file, length, &moov, track_id(child(track, b"tkhd")?)?)?
        } else {
            Tables::new(stbl, length, 2 * (length - moov.len() as u64))?.read()?
        };
        let Frames {
            samples,
            order,
            times,
            fps,
        } = list.arrange(scale, edits.media_start, fragmented)?;
        if fragmented && order.len() < samples.len() {
            let found = "an mp4 in fragments whose edit list hides its first frames";
            return Err(VideoError::unsupported(found));
        }
        let first = order.first().and_then(|first| times.get(*first as usize));
        let delay = edits.delay(fragmented, empty, first.copied().unwrap_or(0));
        Ok(Self {
            codec: description.codec,
            width: description.width,
            height: description.height,
            fps,
            samples,
            order,
            times,
            delay,
            scale,
        })
    }

    /// Returns the time at which frame `index`, in the order of presentation, is shown (s), as ffmpeg gives it. Without
    /// an edit list it is shown at its own time. An edit list shows the first frame at 0, or later if it begins with an
    /// empty edit; that of a fragmented file shifts all frames by its media time instead.
    pub fn time_of(&self, index: usize) -> Option<f64> {
        self.order.get(index).map(|sample| self.time_of_sample(*sample))
    }

    /// Returns the unit of the times of frames (s).
    pub fn tick_s(&self) -> f64 {
        f64::from(self.scale).recip()
    }

    /// Returns the time at which a sample is shown (s), as in [`Self::time_of`].
    pub fn time_of_sample(&self, sample: u32) -> f64 {
        let time = self.times.get(sample as usize).copied().unwrap_or_default();
        time.saturating_add(self.delay) as f64 / f64::from(self.scale)
    }
}

fn read_moov(file: &mut (impl Read + Seek), length: u64) -> Result<Vec<u8>, VideoError> {
    if length == 0 {
        return Err(VideoError::malformed("it is an empty file; fetch or make it again"));
    }
    let mut boxes = TopLevel::new(length);
    while let Some(found) = boxes.next(file)? {
        if &found.kind == b"moov" {
            return found.content(file);
        }
    }
    Err(VideoError::malformed(
        "it has no index (moov); writing it was cut off, record or convert it again",
    ))
}

/// Returns the content of the first box of a type.
///
/// # Errors
/// When there is none.
pub(super) fn child<'a>(parent: &'a [u8], kind: &[u8; 4]) -> Result<&'a [u8], VideoError> {
    let found = Boxes::of(parent)
        .find(|(found, _)| found == kind)
        .map(|(_, content)| content);
    found.ok_or_else(|| VideoError::malformed(format!("its index lacks {}", String::from_utf8_lossy(kind))))
}

fn is_video(track: &[u8]) -> bool {
    let handler = child(track, b"mdia").and_then(|mdia| child(mdia, b"hdlr"));
    handler.is_ok_and(|handler| handler.get(8..12) == Some(b"vide"))
}

/// Reads the number of a track from its header.
fn track_id(tkhd: &[u8]) -> Result<u32, VideoError> {
    let mut fields = Fields::new(tkhd);
    let long = fields.u32()? >> 24 == 1;
    fields.skip(if long { 16 } else { 8 })?;
    fields.u32()
}

/// Reads the ticks per second from a media header.
fn time_scale(mdhd: &[u8]) -> Result<u32, VideoError> {
    let mut fields = Fields::new(mdhd);
    let long = fields.u32()? >> 24 == 1;
    fields.skip(if long { 16 } else { 8 })?;
    match fields.u32()? {
        0 => Err(VideoError::malformed("its clock has no ticks")),
        scale => Ok(scale),
    }
}
