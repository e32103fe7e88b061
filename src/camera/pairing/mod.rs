//! Pairs the newest values of several streams when their stamps agree.
//!
//! Streams are cameras and, optionally, the arm's state. Each stream keeps only its newest value: an observation describes
//! the present, so when one stream lags the pair waits and the other streams do not queue.

mod rule;

pub use rule::{NoPair, PairRule, StreamRule};

use crate::types::time::Time;

/// Step back of a stream's stamps (s) from which it means that the clock was set back, for example by a restarted
/// simulator; a smaller one means that a message came late.
const CLOCK_RESET_S: f64 = 1.0;

/// Value with the time it was measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Stamped<T> {
    /// Stamp of the message header.
    pub stamp: Time,
    /// The value.
    pub value: T,
}

/// Outcome of offering a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offered {
    /// The value is now the newest of its stream.
    Kept,
    /// The value was dropped: its stream already has one with the same or a newer stamp.
    Older,
    /// The clock was set back: the values and stamps of all streams were dropped, and this value was kept.
    ClockReset,
}

/// Values with matching stamps, in the order of [`PairRule::streams`].
#[derive(Debug, Clone, PartialEq)]
pub struct Pair<T> {
    /// One for each stream.
    pub values: Vec<Stamped<T>>,
    /// Oldest stamp of the values: the time of the observation.
    pub oldest: Time,
    /// Newest stamp of the values.
    pub newest: Time,
}

/// Pairs the newest values by stamp.
#[derive(Debug, Clone)]
pub struct Pairer<T> {
    rule: PairRule,
    slots: Vec<Slot<T>>,
}

#[derive(Debug, Clone)]
struct Slot<T> {
    newest: Option<Stamped<T>>,
    /// Stamp of the newest value offered; kept when the value is taken.
    last_stamp: Option<Time>,
}

impl<T> Pairer<T> {
    /// Creates a pairer whose streams are empty.
    pub fn new(rule: PairRule) -> Self {
        let slots = rule
            .streams
            .iter()
            .map(|_| Slot {
                newest: None,
                last_stamp: None,
            })
            .collect();
        Self { rule, slots }
    }

    /// Offers a value to the stream at `index` of [`PairRule::streams`].
    ///
    /// # Errors
    /// When there is no such stream.
    pub fn offer(&mut self, index: usize, stamp: Time, value: T) -> Result<Offered, NoPair> {
        let streams = self.slots.len();
        let last = self
            .slots
            .get(index)
            .ok_or(NoPair::NoSuchStream { index, streams })?
            .last_stamp;
        let mut offered = Offered::Kept;
        if let Some(last) = last.filter(|last| stamp <= *last) {
            if last.seconds_since(stamp) < CLOCK_RESET_S {
                return Ok(Offered::Older);
            }
            self.forget();
            offered = Offered::ClockReset;
        }
        if let Some(slot) = self.slots.get_mut(index) {
            slot.last_stamp = Some(stamp);
            slot.newest = Some(Stamped { stamp, value });
        }
        Ok(offered)
    }

    /// Drops the values and stamps of all streams.
    pub fn forget(&mut self) {
        self.slots.iter_mut().for_each(|slot| {
            *slot = Slot {
                newest: None,
                last_stamp: None,
            }
        });
    }

    /// Takes the newest value of every stream if all are fresh at `now` and their stamps lie within the slop; otherwise
    /// leaves them in place.
    ///
    /// # Errors
    /// Names the first stream that is missing, too old or ahead of the clock, or the one with the oldest stamp when the
    /// stamps lie too far apart.
    pub fn take(&mut self, now: Time) -> Result<Pair<T>, NoPair> {
        let mut span: Option<Span<'_>> = None;
        for (rule, slot) in self.rule.streams.iter().zip(&self.slots) {
            let Some(Stamped { stamp, .. }) = slot.newest else {
                return Err(NoPair::Missing {
                    stream: rule.name.clone(),
                });
            };
            rule.check(stamp, now)?;
            span = Some(Span::include(span, stamp, &rule.name));
        }
        let Span {
            oldest,
            newest,
            lagging,
        } = span.unwrap_or(Span {
            oldest: now,
            newest: now,
            lagging: "",
        });
        let spread_s = newest.seconds_since(oldest);
        if spread_s > self.rule.slop_s {
            return Err(NoPair::Apart {
                stream: lagging.to_string(),
                spread_s,
                slop_s: self.rule.slop_s,
            });
        }
        let values = self.slots.iter_mut().filter_map(|slot| slot.newest.take()).collect();
        Ok(Pair { values, oldest, newest })
    }
}

/// Oldest and newest stamp so far, and the name of the stream with the oldest.
struct Span<'a> {
    oldest: Time,
    newest: Time,
    lagging: &'a str,
}

impl<'a> Span<'a> {
    fn include(span: Option<Self>, stamp: Time, name: &'a str) -> Self {
        match span {
            None => Self {
                oldest: stamp,
                newest: stamp,
                lagging: name,
            },
            Some(span) if stamp < span.oldest => Self {
                oldest: stamp,
                lagging: name,
                ..span
            },
            Some(span) => Self {
                newest: span.newest.max(stamp),
                ..span
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(ms: i64) -> Time {
        Time(1_700_000_000_000_000_000 + ms * 1_000_000)
    }

    fn pairer() -> Pairer<&'static str> {
        let stream = |name: &str, max_age_s| StreamRule {
            name: name.to_string(),
            max_age_s,
        };
        let streams = vec![stream("top", 0.2), stream("wrist", 0.2), stream("state", 0.05)];
        Pairer::new(PairRule { streams, slop_s: 0.04 })
    }

    #[test]
    fn the_newest_values_within_the_slop_go_together_once() {
        let mut pairer = pairer();
        pairer.offer(0, at(-33), "top 0").unwrap();
        pairer.offer(0, at(0), "top 1").unwrap();
        pairer.offer(1, at(15), "wrist 1").unwrap();
        assert_eq!(pairer.take(at(20)), Err(NoPair::Missing { stream: "state".into() }));
        pairer.offer(2, at(18), "state 1").unwrap();
        let pair = pairer.take(at(20)).unwrap();
        let values: Vec<_> = pair.values.iter().map(|v| v.value).collect();
        assert_eq!(values, ["top 1", "wrist 1", "state 1"]);
        assert_eq!((pair.oldest, pair.newest), (at(0), at(18)));
        assert_eq!(pairer.take(at(20)), Err(NoPair::Missing { stream: "top".into() }));
    }

    #[test]
    fn a_lagging_stream_is_named_and_the_pair_forms_when_it_catches_up() {
        let mut pairer = pairer();
        pairer.offer(0, at(100), "top").unwrap();
        pairer.offer(1, at(40), "old wrist").unwrap();
        pairer.offer(2, at(100), "state").unwrap();
        let refused = pairer.take(at(110)).unwrap_err();
        assert!(
            matches!(&refused, NoPair::Apart { stream, .. } if stream == "wrist"),
            "{refused}"
        );
        pairer.offer(1, at(73), "wrist").unwrap();
        assert_eq!(pairer.take(at(110)).unwrap().values[1].value, "wrist");
    }

    #[test]
    fn each_stream_has_its_own_age_limit() {
        let mut pairer = pairer();
        (0..3).for_each(|i| drop(pairer.offer(i, at(0), "")));
        let refused = pairer.take(at(51)).unwrap_err();
        assert!(
            matches!(&refused, NoPair::TooOld { stream, .. } if stream == "state"),
            "{refused}"
        );
        pairer.take(at(50)).unwrap();
    }

    #[test]
    fn late_and_repeated_messages_are_dropped() {
        let mut pairer = pairer();
        assert_eq!(pairer.offer(0, at(100), "new"), Ok(Offered::Kept));
        assert_eq!(pairer.offer(0, at(67), "late"), Ok(Offered::Older));
        assert_eq!(pairer.offer(0, at(100), "again"), Ok(Offered::Older));
        assert!(matches!(
            pairer.offer(7, at(0), ""),
            Err(NoPair::NoSuchStream { index: 7, streams: 3 })
        ));
    }

    #[test]
    fn a_clock_set_back_drops_everything_known_before() {
        let mut pairer = pairer();
        (0..3).for_each(|i| drop(pairer.offer(i, at(100_000), "before")));
        assert_eq!(pairer.offer(1, at(0), "after"), Ok(Offered::ClockReset));
        assert_eq!(pairer.take(at(10)), Err(NoPair::Missing { stream: "top".into() }));
        assert_eq!(pairer.offer(0, at(0), "after"), Ok(Offered::Kept));
        assert_eq!(pairer.offer(2, at(0), "after"), Ok(Offered::Kept));
        assert!(pairer.take(at(10)).unwrap().values.iter().all(|v| v.value == "after"));
    }

    #[test]
    fn stamps_ahead_of_the_clock_are_refused() {
        let mut pairer = pairer();
        (0..3).for_each(|i| drop(pairer.offer(i, at(3_600_000), "")));
        assert!(matches!(pairer.take(at(0)), Err(NoPair::Ahead { .. })));
    }

    proptest! {
        #[test]
        fn whatever_arrives_a_pair_is_fresh_together_and_never_goes_back(
            messages in prop::collection::vec((0..3_usize, 0..300_i64, 0..40_i64), 1..200),
        ) {
            let mut pairer = pairer();
            let mut last = None;
            let mut now = 500;
            for (stream, age, step) in messages {
                now += step;
                pairer.offer(stream, at(now - age), "").unwrap();
                let Ok(pair) = pairer.take(at(now)) else { continue };
                prop_assert_eq!(pair.values.len(), 3);
                prop_assert!(pair.newest.seconds_since(pair.oldest) <= 0.04);
                for (value, limit) in pair.values.iter().zip([200, 200, 50]) {
                    prop_assert!(value.stamp >= at(now - limit) && value.stamp <= at(now));
                }
                let stamps: Vec<Time> = pair.values.iter().map(|v| v.stamp).collect();
                if let Some(last) = last.replace(stamps.clone()) {
                    prop_assert!(stamps.iter().zip(&last).all(|(new, old): (&Time, &Time)| new > old));
                }
            }
        }
    }
}
