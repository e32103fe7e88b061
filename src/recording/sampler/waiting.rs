//! Values of a stream that wait for their sample, and counts of the stream.

use std::collections::VecDeque;

use crate::types::time::Time;

/// Maximum number of waiting values of a stream: two seconds of a 30 Hz camera.
const MAX_WAITING: usize = 64;

/// Counts of a stream since the episode began.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct StreamCounts {
    /// Values received.
    pub received: u64,
    /// Samples without a value near enough.
    pub missing: u64,
    /// Longest run of such samples.
    pub longest_gap: u64,
    /// Samples that repeat the image of the sample before.
    pub repeated: u64,
    /// Samples in which a repeated image shows that the camera is frozen.
    pub frozen: u64,
    /// Values dropped because too many waited: samples are taken too slowly.
    pub overflowed: u64,
    gap: u64,
}

impl StreamCounts {
    pub(super) fn note(&mut self, missing: bool) {
        self.missing += u64::from(missing);
        self.gap = if missing { self.gap + 1 } else { 0 };
        self.longest_gap = self.longest_gap.max(self.gap);
    }
}

/// Appends a value if its stamp is newer than the last; returns whether the oldest was dropped for it.
pub(super) fn put<T>(waiting: &mut VecDeque<(Time, T)>, stamp: Time, value: T) -> bool {
    match waiting.back() {
        // The clock was set back, so earlier stamps are of another time.
        Some((last, _)) if last.seconds_since(stamp) > 1.0 => waiting.clear(),
        Some((last, _)) if *last >= stamp => return false,
        _ => (),
    }
    let full = waiting.len() == MAX_WAITING;
    if full {
        waiting.pop_front();
    }
    waiting.push_back((stamp, value));
    full
}

/// Keeps the newest value only.
pub(super) fn forget<T>(waiting: &mut VecDeque<(Time, T)>) {
    waiting.drain(..waiting.len().saturating_sub(1));
}

pub(super) fn distance(a: Time, b: Time) -> f64 {
    a.seconds_since(b).abs()
}
