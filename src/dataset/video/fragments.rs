//! Reads the frames of a fragmented mp4 file, whose fragments have an index each: from a camera or a stream, or from a
//! recording that was cut off.

use std::io::{Read, Seek};

use super::boxes::{Boxes, Fields, TopLevel};
use super::demux::{SampleList, VideoSample, child};
use super::error::VideoError;

/// Flag of a sample that decoding cannot begin at.
const NOT_KEY: u32 = 0x1_0000;

/// Properties of samples that their run does not give.
#[derive(Debug, Clone, Copy, Default)]
struct Defaults {
    duration: u32,
    size: u32,
    flags: u32,
}

/// Reads all fragments of a track of a file of `length` bytes; `moov` is the common index.
///
/// # Errors
/// When a fragment is damaged or claims more frames than the file has room for.
pub fn read(file: &mut (impl Read + Seek), length: u64, moov: &[u8], track: u32) -> Result<SampleList, VideoError> {
    let defaults = defaults_of(child(moov, b"mvex")?, track)?;
    let mut frames = SampleList::default();
    let mut clock = 0_u64;
    let mut boxes = TopLevel::new(length);
    while let Some(found) = boxes.next(file)? {
        if &found.kind != b"moof" {
            continue;
        }
        let moof = found.content(file)?;
        let of_track = Boxes::of(&moof).filter(|(kind, _)| kind == b"traf");
        for (_, traf) in of_track {
            let header = Header::read(child(traf, b"tfhd")?, defaults)?;
            if header.track != track {
                continue;
            }
            if let Ok(time) = child(traf, b"tfdt") {
                let mut fields = Fields::new(time);
                let long = fields.u32()? >> 24 == 1;
                clock = if long { fields.u64()? } else { fields.u32()?.into() };
            }
            let base = header.base.unwrap_or(found.start);
            let mut next = base;
            for (_, run) in Boxes::of(traf).filter(|(kind, _)| kind == b"trun") {
                let of_run = Run {
                    base,
                    next,
                    file: length,
                    defaults: header.defaults,
                };
                (next, clock) = of_run.read(run, clock, &mut frames)?;
            }
        }
    }
    match frames.samples.is_empty() {
        true => Err(VideoError::malformed("it has no frames")),
        false => Ok(frames),
    }
}

fn defaults_of(mvex: &[u8], track: u32) -> Result<Defaults, VideoError> {
    for (_, trex) in Boxes::of(mvex).filter(|(kind, _)| kind == b"trex") {
        let mut fields = Fields::new(trex).after(4)?;
        if fields.u32()? == track {
            fields.skip(4)?;
            return Ok(Defaults {
                duration: fields.u32()?,
                size: fields.u32()?,
                flags: fields.u32()?,
            });
        }
    }
    Ok(Defaults::default())
}

/// Header of a track in a fragment.
struct Header {
    track: u32,
    base: Option<u64>,
    defaults: Defaults,
}

impl Header {
    fn read(tfhd: &[u8], mut defaults: Defaults) -> Result<Self, VideoError> {
        let mut fields = Fields::new(tfhd);
        let (flags, track) = (fields.u32()?, fields.u32()?);
        let base = (flags & 1 != 0).then(|| fields.u64()).transpose()?;
        if flags & 2 != 0 {
            fields.skip(4)?;
        }
        for (flag, value) in [
            (0x8, &mut defaults.duration),
            (0x10, &mut defaults.size),
            (0x20, &mut defaults.flags),
        ] {
            if flags & flag != 0 {
                *value = fields.u32()?;
            }
        }
        Ok(Self { track, base, defaults })
    }
}

/// Run of consecutive samples.
struct Run {
    /// Position that offsets count from (bytes).
    base: u64,
    /// End of the run before (bytes).
    next: u64,
    /// Length of the file (bytes).
    file: u64,
    defaults: Defaults,
}

impl Run {
    /// Reads the samples; returns where they end in the file (bytes) and in time (ticks).
    fn read(&self, trun: &[u8], mut clock: u64, frames: &mut SampleList) -> Result<(u64, u64), VideoError> {
        let mut fields = Fields::new(trun);
        let (flags, count) = (fields.u32()?, fields.u32()?);
        let mut offset = self.next;
        if flags & 1 != 0 {
            let shift = i64::from(fields.u32()? as i32);
            offset = self.base.saturating_add_signed(shift);
        }
        let first_flags = (flags & 4 != 0).then(|| fields.u32()).transpose()?;
        frames.require_room(count as usize, self.file)?;
        for at in 0..count {
            let mut given = |flag: u32, other: u32| match flags & flag {
                0 => Ok(other),
                _ => fields.u32(),
            };
            let duration = given(0x100, self.defaults.duration)?;
            let size = given(0x200, self.defaults.size)?;
            let other = first_flags.filter(|_| at == 0).unwrap_or(self.defaults.flags);
            let kind = given(0x400, other)?;
            let shift = given(0x800, 0)? as i32;
            let end = offset
                .checked_add(size.into())
                .filter(|end| *end <= self.file && size > 0);
            let end = end.ok_or_else(|| {
                let (frame, file) = (frames.samples.len(), self.file);
                VideoError::malformed(format!("sample {frame}: {size} bytes from byte {offset} of {file}"))
            })?;
            frames.samples.push(VideoSample {
                offset,
                size,
                shown: 0,
                entry: false,
            });
            let shown = i64::try_from(clock)
                .ok()
                .and_then(|clock| clock.checked_add(shift.into()));
            frames.times.push(shown.ok_or_else(|| {
                let frame = frames.samples.len() - 1;
                VideoError::malformed(format!(
                    "sample {frame}: it is decoded at tick {clock}, later than any clock goes"
                ))
            })?);
            frames.keys.push(kind & NOT_KEY == 0);
            frames.ticks += u64::from(duration);
            clock = clock.saturating_add(duration.into());
            offset = end;
        }
        Ok((offset, clock))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_that_are_decoded_later_than_any_clock_goes_are_refused() {
        let run = Run {
            base: 0,
            next: 0,
            file: 100,
            defaults: Defaults {
                duration: 1,
                size: 1,
                flags: 0,
            },
        };
        let mut trun = [0; 8];
        trun[7] = 2;
        for clock in [i64::MAX as u64, u64::MAX] {
            let error = run
                .read(&trun, clock, &mut SampleList::default())
                .unwrap_err()
                .to_string();
            assert!(error.contains("later than any clock goes"), "{error}");
        }
        assert!(run.read(&trun, 1, &mut SampleList::default()).is_ok());
    }
}
