//! List of the samples of a track, and their order of presentation.

use super::VideoSample;
use crate::dataset::video::error::VideoError;

/// Memory that a sample takes (bytes).
const SAMPLE: usize = size_of::<VideoSample>() + size_of::<u32>() + size_of::<i64>() + size_of::<bool>();

/// Memory that the list of frames may always take (bytes): short videos of small, still scenes have few bytes per
/// frame.
const LEAST_ROOM: u64 = 64 << 10;

/// Samples in the order of decoding.
#[derive(Debug, Default)]
pub(in crate::dataset::video) struct SampleList {
    /// Positions of the samples.
    pub samples: Vec<VideoSample>,
    /// Time of presentation of each sample (ticks).
    pub times: Vec<i64>,
    /// Whether each sample is a key frame.
    pub keys: Vec<bool>,
    /// Total duration (ticks).
    pub ticks: u64,
}

impl SampleList {
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

    /// Puts the frames into the order of presentation. `scale` are ticks per second, `first_shown` the time of the first
    /// frame that is shown (ticks). Those before are only decoded: a video that was cut without encoding it anew still
    /// begins with its key frame.
    ///
    /// # Errors
    /// When no frame is shown, or the first is not one that decoding can begin at.
    pub fn arrange(mut self, scale: u32, first_shown: Option<i64>, fragmented: bool) -> Result<Frames, VideoError> {
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
        // Fragments count from near their first frame, and none of it is hidden.
        let half = match fragmented {
            true => (self.ticks / (count as u64).max(1) / 2) as i64,
            false => 0,
        };
        if let Some(first) = first_shown.filter(|first| *first > shown_from.saturating_add(half)) {
            order.retain(|sample| time(sample) >= first);
            if order.is_empty() {
                return Err(VideoError::unsupported(
                    "an mp4 whose edit list hides all of its frames",
                ));
            }
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

/// Positions and times of the frames of a track.
pub(in crate::dataset::video) struct Frames {
    /// Frames in the order of decoding.
    pub samples: Vec<VideoSample>,
    /// Indices of the samples in the order of presentation, without those that are only decoded.
    pub order: Vec<u32>,
    /// Time of presentation of each sample (ticks).
    pub times: Vec<i64>,
    /// Average frame rate (Hz).
    pub fps: f64,
}
