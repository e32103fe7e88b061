//! Tables of a file that is not fragmented: positions, times and key frames of its samples.

use super::samples::SampleList;
use super::{VideoSample, child};
use crate::dataset::video::boxes::Fields;
use crate::dataset::video::error::VideoError;

/// Tables that give the position and time of each sample.
pub(super) struct Tables<'a> {
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
    /// Finds the tables in a sample table box. `file` is the length of the file, `room` the memory that the list of its
    /// frames may take (bytes).
    ///
    /// # Errors
    /// When a table is missing, or there are no frames or too many.
    pub fn new(stbl: &'a [u8], file: u64, room: u64) -> Result<Self, VideoError> {
        let table = |kind: &[u8; 4]| child(stbl, kind).and_then(|content| Fields::new(content).after(4));
        let mut sizes = table(b"stsz")?;
        let (same_size, count) = (sizes.u32()?, sizes.u32()?);
        if count == 0 {
            return Err(VideoError::malformed("it has no frames"));
        }
        SampleList::default().require_room(count as usize, room)?;
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

    /// Reads the samples.
    ///
    /// # Errors
    /// When the tables end too early, or a sample is outside of the file.
    pub fn read(mut self) -> Result<SampleList, VideoError> {
        let samples = self.places()?;
        let (times, ticks) = self.times()?;
        Ok(SampleList {
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
