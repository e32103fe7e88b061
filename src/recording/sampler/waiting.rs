//! Values of a stream that wait for their sample, and what is counted of it.

use std::collections::VecDeque;

use crate::control::time::Time;

/// Values of a stream that wait to be sampled. A camera of 30 Hz has two seconds before its oldest are lost.
const WAITING: usize = 64;

/// What was counted of a stream since the episode began.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Counts {
    /// Values that came.
    pub received: u64,
    /// Samples for which none was near enough.
    pub missing: u64,
    /// Longest run of them.
    pub longest_gap: u64,
    /// Samples with the picture of the sample before.
    pub repeated: u64,
    /// Samples in which a repeated picture was that of a frozen camera.
    pub frozen: u64,
    /// Values that were thrown away because too many waited: whoever takes the samples is too slow.
    pub overflowed: u64,
    gap: u64,
}

impl Counts {
    pub(super) fn note(&mut self, missing: bool) {
        self.missing += u64::from(missing);
        self.gap = if missing { self.gap + 1 } else { 0 };
        self.longest_gap = self.longest_gap.max(self.gap);
    }
}

/// Whether the oldest had to make room.
pub(super) fn put<T>(waiting: &mut VecDeque<(Time, T)>, stamp: Time, value: T) -> bool {
    match waiting.back() {
        // A clock that was set back: what came before is of another time.
        Some((last, _)) if last.seconds_since(stamp) > 1.0 => waiting.clear(),
        Some((last, _)) if *last >= stamp => return false,
        _ => (),
    }
    let full = waiting.len() == WAITING;
    if full {
        waiting.pop_front();
    }
    waiting.push_back((stamp, value));
    full
}

/// Keeps the newest only.
pub(super) fn forget<T>(waiting: &mut VecDeque<(Time, T)>) {
    waiting.drain(..waiting.len().saturating_sub(1));
}

pub(super) fn distance(a: Time, b: Time) -> f64 {
    a.seconds_since(b).abs()
}
