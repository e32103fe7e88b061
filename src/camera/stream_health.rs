//! Health of a camera stream: rate, age, and whether it repeats one image under fresh stamps.

use std::collections::VecDeque;

use super::image_view::ImageView;
use crate::types::time::Time;

/// Conditions, all of which must hold, under which a stream counts as frozen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FreezeRule {
    /// Identical frames in a row, the first one included; at least 2.
    pub frames: u32,
    /// Duration over which the identical frames arrived (s). Sensor noise never repeats, but a rendered scene at rest does,
    /// so a simulated camera needs a longer duration.
    pub seconds: f64,
}

impl Default for FreezeRule {
    fn default() -> Self {
        Self {
            frames: 10,
            seconds: 0.5,
        }
    }
}

/// Rate, age and content of one stream, for diagnostics.
#[derive(Debug, Clone)]
pub struct StreamHealth {
    rule: FreezeRule,
    /// Stamps of the newest frames, oldest first.
    stamps: VecDeque<Time>,
    arrived: Option<Time>,
    content: Option<u64>,
    repeats: u32,
    repeating_since: Time,
    received: u64,
}

/// Number of frames the rate is averaged over.
const WINDOW: usize = 31;

impl StreamHealth {
    /// Creates the health record of a stream that has delivered nothing yet.
    pub fn new(rule: FreezeRule) -> Self {
        Self {
            rule,
            stamps: VecDeque::with_capacity(WINDOW),
            arrived: None,
            content: None,
            repeats: 0,
            repeating_since: Time::default(),
            received: 0,
        }
    }

    /// Records a frame stamped `stamp` that arrived at `now` with this [`content_hash`].
    pub fn observe(&mut self, now: Time, stamp: Time, content: u64) {
        let went_back = |last: Option<&Time>, new: Time| last.is_some_and(|last| new < *last);
        if went_back(self.arrived.as_ref(), now) {
            self.content = None;
            self.stamps.clear();
        }
        if went_back(self.stamps.back(), stamp) {
            self.stamps.clear();
        }
        if self.stamps.len() == WINDOW {
            self.stamps.pop_front();
        }
        self.stamps.push_back(stamp);
        self.arrived = Some(now);
        self.received += 1;
        if self.content == Some(content) {
            self.repeats = self.repeats.saturating_add(1);
        } else {
            self.content = Some(content);
            self.repeats = 1;
            self.repeating_since = now;
        }
    }

    /// Mean rate of the last 31 frames (Hz); `None` before the second frame. It is computed from stamps, because frames that
    /// waited for a busy receiver arrive all at once.
    pub fn rate_hz(&self) -> Option<f64> {
        let span = self.stamps.back()?.seconds_since(*self.stamps.front()?);
        (span > 0.0).then(|| (self.stamps.len() - 1) as f64 / span)
    }

    /// Age of the newest frame, from its stamp to `now` (s); `None` before the first frame.
    pub fn age_s(&self, now: Time) -> Option<f64> {
        self.stamps.back().map(|stamp| now.seconds_since(*stamp))
    }

    /// Whether the newest frames were identical for as many frames and as long as the rule says.
    pub fn is_frozen(&self) -> bool {
        let span = self
            .arrived
            .map_or(0.0, |last| last.seconds_since(self.repeating_since));
        self.repeats >= self.rule.frames.max(2) && span >= self.rule.seconds
    }

    /// Number of identical frames in a row up to the newest, the first one included.
    pub fn repeats(&self) -> u32 {
        self.repeats
    }

    /// Number of frames received since the start.
    pub fn received(&self) -> u64 {
        self.received
    }
}

/// Approximate number of rows that are hashed.
const SAMPLED_ROWS: usize = 24;

/// Hash of evenly spread rows of an image: equal images give equal values, and sensor noise gives another value for each
/// frame. Changes between the sampled rows are not detected.
pub fn content_hash(view: &ImageView<'_>) -> u64 {
    let every = (view.height() as usize / SAMPLED_ROWS).max(1);
    view.rows().step_by(every).fold(0xcbf2_9ce4_8422_2325, |hash, row| {
        let (words, rest) = row.as_chunks::<8>();
        let hash = words
            .iter()
            .fold(hash, |hash, word| mix(hash, u64::from_le_bytes(*word)));
        rest.iter().fold(hash, |hash, byte| mix(hash, u64::from(*byte)))
    })
}

fn mix(hash: u64, word: u64) -> u64 {
    (hash.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::camera::image_view::ImageFields;

    fn at(ms: i64) -> Time {
        Time(1_000_000_000_000 + ms * 1_000_000)
    }

    #[test]
    fn a_repeated_picture_under_fresh_stamps_is_frozen() {
        let mut health = StreamHealth::new(FreezeRule {
            frames: 5,
            seconds: 0.1,
        });
        (0..10).for_each(|i| health.observe(at(i * 33), at(i * 33), i as u64));
        assert!(!health.is_frozen());
        (10..14).for_each(|i| health.observe(at(i * 33), at(i * 33), 77));
        assert!(!health.is_frozen(), "four of five frames");
        health.observe(at(14 * 33), at(14 * 33), 77);
        assert!(health.is_frozen());
        assert_eq!(health.repeats(), 5);
        health.observe(at(15 * 33), at(15 * 33), 78);
        assert!(!health.is_frozen(), "a new picture thaws it");
    }

    #[test]
    fn a_burst_of_equal_frames_is_not_frozen_before_its_time() {
        let mut health = StreamHealth::new(FreezeRule {
            frames: 3,
            seconds: 0.5,
        });
        (0..8).for_each(|i| health.observe(at(i), at(i), 1));
        assert!(!health.is_frozen());
        health.observe(at(500), at(500), 1);
        assert!(health.is_frozen());
    }

    #[test]
    fn rate_and_age_are_of_the_newest_frames() {
        let mut health = StreamHealth::new(FreezeRule::default());
        assert_eq!((health.rate_hz(), health.age_s(at(0))), (None, None));
        (0..100).for_each(|i| health.observe(at(i * 100), at(i * 100 - 20), i as u64));
        (0..40).for_each(|i| health.observe(at(10_000 + i * 20), at(10_000 + i * 20 - 20), i as u64));
        approx::assert_abs_diff_eq!(health.rate_hz().unwrap(), 50.0, epsilon = 1e-6);
        approx::assert_abs_diff_eq!(health.age_s(at(11_000)).unwrap(), 0.24, epsilon = 1e-6);
        assert_eq!(health.received(), 140);
    }

    #[test]
    fn frames_that_waited_for_a_busy_receiver_keep_their_rate() {
        let mut health = StreamHealth::new(FreezeRule::default());
        (0..20).for_each(|i| health.observe(at(1_000 + i), at(i * 50), i as u64));
        approx::assert_abs_diff_eq!(health.rate_hz().unwrap(), 20.0, epsilon = 1e-6);
    }

    #[test]
    fn a_clock_set_back_starts_the_statistics_again() {
        let mut health = StreamHealth::new(FreezeRule {
            frames: 2,
            seconds: 0.0,
        });
        (0..5).for_each(|i| health.observe(at(i * 100), at(i * 100), 1));
        health.observe(at(-100_000), at(-100_000), 1);
        assert!(!health.is_frozen() && health.rate_hz().is_none());
    }

    #[test]
    fn the_hash_ignores_padding_and_sees_a_changed_pixel_in_a_sampled_row() {
        let hash = |step: u32, data: &[u8]| {
            let fields = ImageFields {
                width: 5,
                height: 2,
                encoding: "rgb8",
                step,
                data,
            };
            content_hash(&ImageView::new(fields).unwrap())
        };
        let plain: Vec<u8> = (0..30).collect();
        let padded: Vec<u8> = plain.chunks(15).flat_map(|row| [row, &[9, 9]].concat()).collect();
        assert_eq!(hash(15, &plain), hash(17, &padded));
        let mut changed = plain.clone();
        changed[29] ^= 1;
        assert_ne!(hash(15, &plain), hash(15, &changed));
    }
}
