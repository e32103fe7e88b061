//! Finds the frames of the first video track of an mp4 file, in time order and by key frames.
//!
//! Whatever a file claims, at most twice its length is allocated. Its index takes as much memory as in the file. The
//! list of frames may take twice as much as the rest of the file, because frames of a still scene have few bytes, or in
//! a fragmented file as much as the file; 64 KiB are always allowed.

use std::io::{Read, Seek};

use super::boxes::{Boxes, Fields, TopLevel};
use super::error::VideoError;
use super::fragments;

/// Codec of the samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Codec {
    /// H.264, with its configuration.
    H264 {
        /// Sequence and picture parameter sets.
        sets: Vec<Vec<u8>>,
        /// Size of the length before each unit (bytes).
        length_size: usize,
    },
    /// AV1.
    Av1,
}

/// Types of the units of H.264 that hold parts of a picture, up to that of an IDR picture.
const PICTURE_UNITS: std::ops::RangeInclusive<u8> = 1..=IDR;

/// Type of the units of a picture that resets the decoder (IDR; ITU-T H.264, table 7-1).
const IDR: u8 = 5;

impl Codec {
    /// Whether a key frame resets the decoder, so that nothing from it on refers to pictures before it. A key frame of
    /// H.264 need not: that of an open group of pictures only begins with a picture that refers to no other.
    pub fn begins_anew(&self, sample: &[u8]) -> bool {
        let Self::H264 { length_size, .. } = self else {
            return true;
        };
        let mut rest = sample;
        while let Some((length, after)) = rest.split_at_checked(*length_size) {
            let length = length
                .iter()
                .fold(0_usize, |value, byte| value << 8 | usize::from(*byte));
            let kind = after.first().map_or(0, |header| header & 31);
            if length > 0 && PICTURE_UNITS.contains(&kind) {
                return kind == IDR;
            }
            rest = after.get(length..).unwrap_or_default();
        }
        // A damaged sample is reported by the decoder.
        true
    }
}

/// Frame in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VideoSample {
    /// Offset in the file (bytes).
    pub offset: u64,
    /// Size (bytes).
    pub size: u32,
    /// Index in the order of presentation.
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
    /// Indices of the samples in the order of presentation.
    pub order: Vec<u32>,
    /// Time of presentation of each sample (ticks).
    times: Vec<i64>,
    /// Delay from the time of presentation of a sample to the time at which it is shown (ticks).
    delay: i64,
    /// Ticks per second.
    scale: u32,
}

/// Maximum number of pixels of a frame; decoders allocate by it.
const MOST_PIXELS: u64 = 1 << 25;

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
        let loose = if fragmented {
            fragments::read(file, length, &moov, track_id(child(track, b"tkhd")?)?)?
        } else {
            Tables::new(stbl, length, 2 * (length - moov.len() as u64))?.read()?
        };
        let Frames {
            samples,
            order,
            times,
            fps,
        } = loose.arrange(scale, edits.media_start)?;
        // As in ffmpeg: edits of a fragmented file are a constant shift, those of another make the first frame the
        // first that is shown, and without any the times count as they are.
        let origin = match edits.media_start {
            Some(start) if fragmented => start,
            None if fragmented || empty == 0 => 0,
            _ => order
                .first()
                .and_then(|first| times.get(*first as usize))
                .copied()
                .unwrap_or(0),
        };
        Ok(Self {
            codec: description.codec,
            width: description.width,
            height: description.height,
            fps,
            samples,
            order,
            times,
            delay: empty.saturating_sub(origin),
            scale,
        })
    }

    /// Returns the time at which frame `index`, in the order of presentation, is shown (s), as ffmpeg gives it. The
    /// first is shown at 0 if the file has an edit list, or later if that begins with an empty edit; without an edit
    /// list it is shown at its own time.
    pub fn time_of(&self, index: usize) -> Option<f64> {
        self.order.get(index).map(|sample| self.time_of_sample(*sample))
    }

    /// Returns the time at which a sample is shown (s), as in [`Self::time_of`].
    pub fn time_of_sample(&self, sample: u32) -> f64 {
        let time = self.times.get(sample as usize).copied().unwrap_or_default();
        time.saturating_add(self.delay) as f64 / f64::from(self.scale)
    }
}

/// Positions and times of the frames of a track.
struct Frames {
    samples: Vec<VideoSample>,
    order: Vec<u32>,
    times: Vec<i64>,
    fps: f64,
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

/// Beginning of an edit list (ISO/IEC 14496-12, 8.6.6): what is shown when.
struct Edits {
    /// Duration of the empty edits before the first frame (ticks of the movie).
    empty: u64,
    /// Media time of the first frame that is shown (ticks of the track); `None` if no edit says.
    media_start: Option<i64>,
}

impl Edits {
    /// Reads the edit list of a track, which may have none.
    fn read(track: &[u8]) -> Result<Self, VideoError> {
        let mut edits = Self {
            empty: 0,
            media_start: None,
        };
        let Ok(list) = child(track, b"edts").and_then(|edts| child(edts, b"elst")) else {
            return Ok(edits);
        };
        let mut fields = Fields::new(list);
        let long = fields.u32()? >> 24 == 1;
        for _ in 0..fields.u32()? {
            let (duration, media_time) = if long {
                (fields.u64()?, fields.u64()? as i64)
            } else {
                (u64::from(fields.u32()?), i64::from(fields.u32()? as i32))
            };
            fields.skip(4)?;
            if media_time >= 0 {
                edits.media_start = Some(media_time);
                break;
            }
            // An empty edit shows nothing, so what follows is shown later.
            edits.empty = edits.empty.saturating_add(duration);
        }
        Ok(edits)
    }
}

/// Converts ticks of one clock to the nearest tick of another; both have at least one a second.
fn rescaled(ticks: u64, from: u32, to: u32) -> i64 {
    let (from, to) = (u128::from(from), u128::from(to));
    let nearest = (u128::from(ticks) * to + from / 2).checked_div(from);
    nearest.and_then(|ticks| i64::try_from(ticks).ok()).unwrap_or(i64::MAX)
}

struct Description {
    codec: Codec,
    width: u32,
    height: u32,
}

impl Description {
    fn read(stsd: &[u8]) -> Result<Self, VideoError> {
        let entries = stsd.get(8..).unwrap_or_default();
        let mut entries = Boxes::of(entries);
        let (kind, entry) = entries
            .next()
            .ok_or_else(|| VideoError::malformed("it does not name its codec"))?;
        if entries.next().is_some() {
            return Err(VideoError::unsupported("a video track of several descriptions"));
        }
        let mut fields = Fields::new(entry);
        fields.skip(24)?;
        let (width, height) = (u32::from(fields.u16()?), u32::from(fields.u16()?));
        if width == 0 || height == 0 || u64::from(width) * u64::from(height) > MOST_PIXELS {
            return Err(VideoError::malformed(format!(
                "its frames claim to be {width}x{height}"
            )));
        }
        let inner = entry.get(78..).unwrap_or_default();
        let codec = match &kind {
            b"avc1" | b"avc3" => h264(child(inner, b"avcC")?)?,
            b"av01" => Codec::Av1,
            b"hvc1" | b"hev1" => return Err(VideoError::unsupported("HEVC (H.265)")),
            b"vp09" => return Err(VideoError::unsupported("VP9")),
            other => {
                let name = String::from_utf8_lossy(other).into_owned();
                return Err(VideoError::unsupported(format!("video of type {name}")));
            }
        };
        Ok(Self { codec, width, height })
    }
}

/// Parses an `AVCDecoderConfigurationRecord`.
fn h264(record: &[u8]) -> Result<Codec, VideoError> {
    let mut fields = Fields::new(record);
    fields.skip(4)?;
    let length_size = usize::from(fields.u8()? & 3) + 1;
    let mut sets = Vec::new();
    for mask in [31, 255] {
        for _ in 0..fields.u8()? & mask {
            let length = usize::from(fields.u16()?);
            sets.push(fields.bytes(length)?.to_vec());
        }
    }
    Ok(Codec::H264 { sets, length_size })
}

/// Tables that give the position and time of each sample.
struct Tables<'a> {
    file: u64,
    sizes: Fields<'a>,
    same_size: u32,
    count: usize,
    durations: Fields<'a>,
    shifts: Option<Fields<'a>>,
    chunk_runs: Fields<'a>,
    chunks: Fields<'a>,
    long_chunks: bool,
    keys: Option<Fields<'a>>,
}

impl<'a> Tables<'a> {
    fn new(stbl: &'a [u8], file: u64, room: u64) -> Result<Self, VideoError> {
        let table = |kind: &[u8; 4]| child(stbl, kind).and_then(|content| Fields::new(content).after(4));
        let mut sizes = table(b"stsz")?;
        let (same_size, count) = (sizes.u32()?, sizes.u32()?);
        if count == 0 {
            return Err(VideoError::malformed("it has no frames"));
        }
        Loose::default().require_room(count as usize, room)?;
        let long_chunks = child(stbl, b"stco").is_err();
        Ok(Self {
            file,
            sizes,
            same_size,
            count: count as usize,
            durations: table(b"stts")?,
            shifts: table(b"ctts").ok(),
            chunk_runs: table(b"stsc")?,
            chunks: table(if long_chunks { b"co64" } else { b"stco" })?,
            long_chunks,
            keys: table(b"stss").ok(),
        })
    }

    fn read(mut self) -> Result<Loose, VideoError> {
        let samples = self.places()?;
        let (times, ticks) = self.times()?;
        Ok(Loose {
            samples,
            times,
            keys: self.key_frames()?,
            ticks,
        })
    }

    /// Reads the positions of the samples, chunk by chunk.
    fn places(&mut self) -> Result<Vec<VideoSample>, VideoError> {
        let mut samples = Vec::with_capacity(self.count);
        let chunks = self.chunks.u32()?;
        let mut runs = self.chunk_runs.u32()?;
        let mut per_chunk = 0;
        let mut next_run = if runs > 0 { self.chunk_runs.u32()? } else { u32::MAX };
        for chunk in 1..=chunks {
            if chunk == next_run {
                per_chunk = self.chunk_runs.u32()?;
                self.chunk_runs.skip(4)?;
                runs -= 1;
                next_run = if runs > 0 { self.chunk_runs.u32()? } else { u32::MAX };
            }
            let mut offset = if self.long_chunks {
                self.chunks.u64()?
            } else {
                self.chunks.u32()?.into()
            };
            for _ in 0..per_chunk {
                if samples.len() == self.count {
                    return Ok(samples);
                }
                let size = if self.same_size == 0 {
                    self.sizes.u32()?
                } else {
                    self.same_size
                };
                let end = offset
                    .checked_add(size.into())
                    .filter(|end| *end <= self.file && size > 0);
                let end = end.ok_or_else(|| {
                    let frame = samples.len();
                    VideoError::malformed(format!(
                        "sample {frame}: {size} bytes from byte {offset} of {}",
                        self.file
                    ))
                })?;
                samples.push(VideoSample {
                    offset,
                    size,
                    shown: 0,
                    entry: false,
                });
                offset = end;
            }
        }
        if samples.len() == self.count {
            return Ok(samples);
        }
        Err(VideoError::malformed(format!(
            "places of {} frames out of {}",
            samples.len(),
            self.count
        )))
    }

    /// Reads the time of presentation of each sample, and the total duration (ticks).
    fn times(&mut self) -> Result<(Vec<i64>, u64), VideoError> {
        let mut times = Vec::with_capacity(self.count);
        let mut now = 0_u64;
        let mut runs = self.durations.u32()?;
        let (mut left, mut ticks) = (0_u32, 0_u32);
        let mut shift_runs = self.shifts.as_mut().map_or(Ok(0), Fields::u32)?;
        let (mut shifts_left, mut shift) = (0_u32, 0_i64);
        while times.len() < self.count {
            while left == 0 {
                runs = runs
                    .checked_sub(1)
                    .ok_or_else(|| VideoError::malformed("times of too few frames"))?;
                (left, ticks) = (self.durations.u32()?, self.durations.u32()?);
            }
            while shifts_left == 0 && shift_runs > 0 {
                shift_runs -= 1;
                if let Some(shifts) = &mut self.shifts {
                    (shifts_left, shift) = (shifts.u32()?, i64::from(shifts.u32()? as i32));
                }
            }
            times.push(now as i64 + shift);
            // Fewer than 2^32 samples of less than 2^32 ticks: cannot overflow.
            now += u64::from(ticks);
            left -= 1;
            shifts_left = shifts_left.saturating_sub(1);
        }
        Ok((times, now))
    }

    /// Reads which samples are key frames; all are if there is no table of them.
    fn key_frames(&mut self) -> Result<Vec<bool>, VideoError> {
        let Some(table) = &mut self.keys else {
            return Ok(vec![true; self.count]);
        };
        let mut keys = vec![false; self.count];
        for _ in 0..table.u32()? {
            let number = table.u32()?.checked_sub(1);
            if let Some(key) = number.and_then(|number| keys.get_mut(number as usize)) {
                *key = true;
            }
        }
        Ok(keys)
    }
}

/// Memory that a sample takes (bytes).
const SAMPLE: usize = size_of::<VideoSample>() + size_of::<u32>() + size_of::<i64>() + size_of::<bool>();

/// Memory that the list of frames may always take (bytes): short videos of small, still scenes have few bytes per
/// frame.
const LEAST_ROOM: u64 = 64 << 10;

/// Samples in the order of decoding.
#[derive(Debug, Default)]
pub(super) struct Loose {
    /// Positions of the samples.
    pub samples: Vec<VideoSample>,
    /// Time of presentation of each sample (ticks).
    pub times: Vec<i64>,
    /// Whether each sample is a key frame.
    pub keys: Vec<bool>,
    /// Total duration (ticks).
    pub ticks: u64,
}

impl Loose {
    /// Refuses a list with `more` frames if it takes more memory than `room` and than what is always allowed (bytes).
    ///
    /// # Errors
    /// When it does; the error has the number of frames.
    pub fn require_room(&self, more: usize, room: u64) -> Result<(), VideoError> {
        let count = self.samples.len().saturating_add(more);
        match (count as u64).saturating_mul(SAMPLE as u64) > room.max(LEAST_ROOM) {
            true => Err(VideoError::malformed(format!(
                "it claims {count} frames, more than a file of its length has"
            ))),
            false => Ok(()),
        }
    }

    fn arrange(mut self, scale: u32, first_shown: Option<i64>) -> Result<Frames, VideoError> {
        let count = self.samples.len();
        let mut order: Vec<u32> = (0..count as u32).collect();
        let time = |sample: &u32| self.times.get(*sample as usize).copied().unwrap_or(0);
        order.sort_unstable_by_key(|sample| (time(sample), *sample));
        for (shown, sample) in order.iter().enumerate() {
            if let Some(sample) = self.samples.get_mut(*sample as usize) {
                sample.shown = shown as u32;
            }
        }
        let shown_from = order.first().map_or(0, time);
        let half = (self.ticks / (count as u64).max(1) / 2) as i64;
        if first_shown.is_some_and(|first| first > shown_from.saturating_add(half)) {
            return Err(VideoError::unsupported("an mp4 whose edit list hides its first frames"));
        }
        self.mark_entries()?;
        Ok(Frames {
            order,
            fps: count as f64 * f64::from(scale) / self.ticks.max(1) as f64,
            samples: self.samples,
            times: self.times,
        })
    }

    /// Marks the key frames where nothing before is shown after, nor the reverse.
    fn mark_entries(&mut self) -> Result<(), VideoError> {
        // The latest frame shown so far tells whether anything before a sample is shown after it.
        let mut latest = None;
        for ((number, sample), key) in (0_u32..).zip(&mut self.samples).zip(&self.keys) {
            sample.entry = *key && sample.shown == number && latest.is_none_or(|latest| latest < sample.shown);
            latest = latest.max(Some(sample.shown));
        }
        match self.samples.first() {
            Some(first) if first.entry => Ok(()),
            _ => Err(VideoError::unsupported("a video that does not begin with a key frame")),
        }
    }
}
