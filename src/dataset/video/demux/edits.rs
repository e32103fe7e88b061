//! Edit list of a track: when its frames are shown.

use super::child;
use crate::dataset::video::boxes::Fields;
use crate::dataset::video::error::VideoError;

/// Beginning of an edit list (ISO/IEC 14496-12, 8.6.6): what is shown when.
pub(super) struct Edits {
    /// Duration of the empty edits before the first frame (ticks of the movie).
    pub empty: u64,
    /// Media time of the first frame that is shown (ticks of the track); `None` if no edit says.
    pub media_start: Option<i64>,
}

impl Edits {
    /// Reads the edit list of a track, which may have none.
    ///
    /// # Errors
    /// When it ends too early, or joins several parts.
    pub fn read(track: &[u8]) -> Result<Self, VideoError> {
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
            match (media_time >= 0, edits.media_start) {
                (true, None) => edits.media_start = Some(media_time),
                (true, Some(_)) => {
                    return Err(VideoError::unsupported("an mp4 whose edit list joins several parts"));
                }
                // An empty edit shows nothing, so what follows is shown later.
                (false, None) => edits.empty = edits.empty.saturating_add(duration),
                (false, Some(_)) => {}
            }
        }
        Ok(edits)
    }

    /// Returns the delay from the time of presentation of a sample to the time at which it is shown, as in ffmpeg: edits
    /// of a fragmented file are a constant shift, those of another make the first frame, of time `first`, the first that
    /// is shown, and without any the times count as they are. `empty` is the duration of the empty edits. All are ticks
    /// of the track.
    pub fn delay(&self, fragmented: bool, empty: i64, first: i64) -> i64 {
        let origin = match self.media_start {
            Some(start) if fragmented => start,
            None if fragmented || empty == 0 => 0,
            _ => first,
        };
        empty.saturating_sub(origin)
    }
}

/// Converts ticks of one clock to the nearest tick of another; both have at least one a second.
pub(super) fn rescaled(ticks: u64, from: u32, to: u32) -> i64 {
    let (from, to) = (u128::from(from), u128::from(to));
    let nearest = (u128::from(ticks) * to + from / 2).checked_div(from);
    nearest.and_then(|ticks| i64::try_from(ticks).ok()).unwrap_or(i64::MAX)
}
