//! Chooses between the time in a message's header and its time of recording.

use std::collections::BTreeMap;

use super::MessageError;

/// Times of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Times {
    /// Stamp of the header (ns); `None` if the type has no header.
    pub header: Option<u64>,
    /// Time of recording (ns).
    pub log: u64,
}

/// Choice of the times of messages that count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StampClock {
    /// Stamps of headers; times of recording for topics without stamps.
    #[default]
    Header,
    /// Times of recording, for all topics.
    Log,
}

/// Difference above which two clocks count as different (s).
const ONE_CLOCK_S: f64 = 1.0;

/// Times of a topic's messages that count.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Timeline {
    /// Time of each message, in the order of recording (ns); `None` for messages that are skipped.
    pub times: Vec<Option<u64>>,
    clock: Found,
    /// Median difference between the time that counts and the time of recording (s).
    ahead_s: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// Headers have a time.
    Stamped,
    /// Messages have no header.
    NoHeader,
    /// All headers have the time 0.
    Zero,
    /// All headers have the same time.
    Standing,
    /// Times of recording are requested.
    Log,
}

impl Timeline {
    /// Chooses the times of a topic's messages.
    ///
    /// # Errors
    /// When several messages all have the same time, in their headers and in the recording.
    pub fn new(messages: &[Times], clock: StampClock) -> Result<Self, MessageError> {
        let stamps: Option<Vec<u64>> = messages.iter().map(|message| message.header).collect();
        let logs: Vec<u64> = messages.iter().map(|message| message.log).collect();
        let stands = |times: &[u64]| times.len() > 1 && times.windows(2).all(|pair| pair.first() == pair.last());
        let (found, times) = match (clock, stamps) {
            (StampClock::Log, _) => (Found::Log, logs),
            (StampClock::Header, None) => (Found::NoHeader, logs),
            (StampClock::Header, Some(stamps)) if stamps == logs => (Found::Stamped, stamps),
            (StampClock::Header, Some(stamps)) if stamps.iter().all(|stamp| *stamp == 0) => (Found::Zero, logs),
            (StampClock::Header, Some(stamps)) if stands(&stamps) => (Found::Standing, logs),
            (StampClock::Header, Some(stamps)) => (Found::Stamped, stamps),
        };
        if stands(&times) {
            return Err(MessageError::Standing(times.len()));
        }
        let ahead_s = |(time, message): (&u64, &Times)| (i128::from(*time) - i128::from(message.log)) as f64 * 1e-9;
        let known = times.iter().zip(messages).filter(|(time, _)| **time != 0).map(ahead_s);
        let mut known: Vec<f64> = known.collect();
        known.sort_by(f64::total_cmp);
        let middle = known.get(known.len() / 2).copied().unwrap_or_default();
        // A stamp of 0 is a time if the clock begins there, and a missing stamp among others.
        let is_time = |of: (&u64, &Times)| *of.0 != 0 || (ahead_s(of) - middle).abs() <= ONE_CLOCK_S;
        let of_messages = times.iter().zip(messages).map(|of| is_time(of).then_some(*of.0));
        Ok(Self {
            times: of_messages.collect(),
            clock: found,
            ahead_s: middle,
        })
    }

    /// Checks that no message is much earlier than one before it: rows would mix two passes over the same time.
    ///
    /// # Errors
    /// Names the first such message.
    pub fn require_forward(&self) -> Result<(), MessageError> {
        let mut latest = 0_u64;
        for (message, time) in self.times.iter().enumerate() {
            let Some(time) = *time else { continue };
            let back_s = latest.max(time).abs_diff(time) as f64 * 1e-9;
            if back_s > ONE_CLOCK_S {
                return Err(MessageError::Back {
                    number: message + 1,
                    by: format!("{back_s:.1} s"),
                });
            }
            latest = latest.max(time);
        }
        Ok(())
    }

    /// First and last time (ns).
    fn span(&self) -> Option<(u64, u64)> {
        let times = || self.times.iter().flatten();
        Some((*times().min()?, *times().max()?))
    }

    /// Remark about the topic's clock, unless it is that of the recording.
    fn remark(&self) -> Option<String> {
        match self.clock {
            Found::NoHeader => Some("has no stamps, its times of recording count".into()),
            Found::Zero => Some("has stamps of 0, its times of recording count".into()),
            Found::Standing => Some("has one stamp for all messages, its times of recording count".into()),
            Found::Stamped if self.ahead_s.abs() > ONE_CLOCK_S => {
                let (seconds, side) = (self.ahead_s.abs(), if self.ahead_s < 0.0 { "before" } else { "after" });
                Some(format!("has stamps {seconds:.1} s {side} its times of recording"))
            }
            Found::Stamped | Found::Log => None,
        }
    }
}

fn list(all: impl Iterator<Item = String>) -> String {
    all.collect::<Vec<_>>().join("; ")
}

/// Remarks about the clocks of topics, a sentence each.
pub(super) fn remarks(topics: &BTreeMap<String, Timeline>) -> Vec<String> {
    let of = |clocks: &[Found]| -> Vec<&str> {
        let all = topics.iter().filter(|(_, topic)| clocks.contains(&topic.clock));
        all.map(|(name, _)| name.as_str()).collect()
    };
    let mut remarks = Vec::new();
    let unstamped = of(&[Found::Zero, Found::Standing]);
    if !unstamped.is_empty() {
        remarks.push(format!(
            "no times in the headers of {}: their times of recording count",
            unstamped.join(", ")
        ));
    }
    for (name, topic) in topics {
        let passed_over = topic.times.iter().filter(|time| time.is_none()).count();
        if passed_over > 0 {
            remarks.push(format!(
                "{name}: {passed_over} messages with a stamp of 0 among others are passed over"
            ));
        }
    }
    let ahead = || topics.values().map(|topic| topic.ahead_s);
    if ahead().fold(f64::MIN, f64::max) - ahead().fold(f64::MAX, f64::min) > ONE_CLOCK_S {
        let said = topics.iter().map(|(name, topic)| {
            let remark = topic.remark().unwrap_or_else(|| "has the clock of recording".into());
            format!("{name} {remark}")
        });
        remarks.push(format!(
            "topics have different clocks, rows may not belong together: {}",
            list(said)
        ));
    }
    remarks
}

/// Explains why there is no time at which all topics have messages.
pub(super) fn nothing_in_common(topics: &BTreeMap<String, Timeline>) -> String {
    let said = topics
        .iter()
        .filter_map(|(name, topic)| Some(format!("{name} {}", topic.remark()?)));
    let said = list(said);
    if !said.is_empty() {
        return format!(
            "no time at which all topics have messages, their clocks differ: {said}; \
             stamp all with one clock, or import by the times of recording (--clock log)"
        );
    }
    let spans = || topics.iter().filter_map(|(name, topic)| Some((name, topic.span()?)));
    let ends = spans().min_by_key(|(_, (_, last))| *last);
    let begins = spans().max_by_key(|(_, (first, _))| *first);
    let (Some((ends, (_, end))), Some((begins, (begin, _)))) = (ends, begins) else {
        return "no time at which all topics have messages".into();
    };
    let gap = begin.saturating_sub(end) as f64 * 1e-9;
    format!("no time at which all topics have messages: {ends} ends {gap:.2} s before {begins} begins")
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    fn topic(stamps: &[u64]) -> Timeline {
        let messages: Vec<Times> = stamps
            .iter()
            .zip(1000..)
            .map(|(stamp, log)| Times {
                header: Some(*stamp),
                log: log * S,
            })
            .collect();
        Timeline::new(&messages, StampClock::Header).unwrap()
    }

    fn named(topics: &[(&str, &[u64])]) -> BTreeMap<String, Timeline> {
        let all = topics.iter().map(|(name, stamps)| ((*name).to_owned(), topic(stamps)));
        all.collect()
    }

    #[test]
    fn stamps_count_where_there_are_some() {
        assert_eq!(topic(&[5, 6, 7]).times, [Some(5), Some(6), Some(7)]);
        assert_eq!(
            topic(&[0, 0, 0]).times,
            [Some(1000 * S), Some(1001 * S), Some(1002 * S)]
        );
        assert_eq!(topic(&[9, 9]).times, [Some(1000 * S), Some(1001 * S)]);
        assert_eq!(topic(&[9]).times, [Some(9)]);
        assert_eq!(topic(&[0, 60 * S, 0]).times, [None, Some(60 * S), None]);
    }

    #[test]
    fn a_clock_may_begin_at_0() {
        assert_eq!(topic(&[0, S, 2 * S]).times, [Some(0), Some(S), Some(2 * S)]);
        let exported = [0, S].map(|log| Times { header: Some(log), log });
        let timeline = Timeline::new(&exported, StampClock::Header).unwrap();
        assert_eq!(timeline.times, [Some(0), Some(S)]);
        assert!(timeline.remark().is_none());
    }

    #[test]
    fn a_recording_without_any_time_is_refused() {
        let same = [Times {
            header: Some(0),
            log: S,
        }; 3];
        assert_eq!(Timeline::new(&same, StampClock::Header), Err(MessageError::Standing(3)));
        assert!(Timeline::new(&same, StampClock::Log).is_err());
        assert!(Timeline::new(&same[..1], StampClock::Header).is_ok());
    }

    #[test]
    fn a_clock_that_is_set_back_is_refused_and_messages_that_overtake_each_other_are_not() {
        assert_eq!(topic(&[0, 60 * S, 0]).require_forward(), Ok(()));
        assert_eq!(topic(&[9 * S, 8 * S + S / 10, 10 * S]).require_forward(), Ok(()));
        let back = topic(&[8 * S, 9 * S, 5 * S, 6 * S]).require_forward().unwrap_err();
        let said = back.to_string();
        assert!(said.contains("message 3 is 4.0 s before an earlier one"), "{said}");
    }

    #[test]
    fn topics_without_times_are_named_in_one_sentence() {
        let clocks = named(&[("/a", &[0, 0]), ("/b", &[1000 * S, 1001 * S]), ("/c", &[0, 0])]);
        let said = remarks(&clocks);
        assert!(
            said.len() == 1 && said[0].contains("/a, /c") && !said[0].contains("/b"),
            "{said:?}"
        );
        assert!(remarks(&named(&[("/b", &[1000 * S, 1001 * S])])).is_empty());
    }

    #[test]
    fn clocks_that_differ_are_named() {
        let clocks = named(&[
            ("/camera", &[0, 0]),
            ("/joints", &[5 * S, 6 * S]),
            ("/pose", &[1000 * S, 1001 * S]),
        ]);
        let said = nothing_in_common(&clocks);
        assert!(said.contains("/camera has stamps of 0"), "{said}");
        assert!(said.contains("/joints has stamps 995.0 s before"), "{said}");
        assert!(!said.contains("/pose"), "{said}");
        assert!(remarks(&clocks).iter().any(|said| said.contains("different clocks")));
    }

    #[test]
    fn topics_that_follow_one_another_are_named() {
        let clocks = named(&[("/a", &[1000 * S, 1001 * S]), ("/b", &[1000 * S + S / 2])]);
        assert!(!nothing_in_common(&clocks).contains("clock"));
        let late = [(1005 * S), (1006 * S)].map(|log| Times { header: Some(log), log });
        let mut clocks = clocks;
        clocks.insert("/late".into(), Timeline::new(&late, StampClock::Header).unwrap());
        let said = nothing_in_common(&clocks);
        assert!(said.contains("/b ends 4.50 s before /late begins"), "{said}");
    }
}
