//! Numbers of a topic over a recording. Joint states of an arm and of its gripper may alternate: each joint has the
//! latest value of any message, as in robot_state_publisher.

use std::collections::HashMap;

use super::MessageError;
use super::clock::Times;
use super::sample::{Stale, held, step};
use super::streams::{Chunk, Values, comes_by_turns, numbers};

/// Collects the numbers of a topic, message by message.
#[derive(Debug, Default)]
pub(super) struct SignalReader {
    names: Vec<String>,
    /// Index of each name.
    places: HashMap<String, usize>,
    /// Times of the messages that hold numbers.
    pub times: Vec<Times>,
    /// For each value: the number of each message that has it, and the value there.
    values: Vec<Vec<(usize, f64)>>,
    chunks: Vec<(usize, Chunk)>,
    /// Number of messages without numbers.
    pub empty: usize,
}

impl SignalReader {
    /// Adds a message.
    ///
    /// # Errors
    /// When it is malformed, has a type without numbers, or has other values than the first message.
    pub fn push(&mut self, kind: &str, log_time: u64, data: &[u8]) -> Result<(), MessageError> {
        let Some(read) = numbers(kind, log_time, data)? else {
            self.empty += 1;
            return Ok(());
        };
        let message = self.times.len();
        if message == 0 {
            self.places = read.names.iter().cloned().zip(0..).collect();
            self.names.clone_from(&read.names);
        }
        match read.values {
            Values::Now(values) => {
                if !comes_by_turns(kind) && read.names != self.names {
                    return Err(self.others(&read.names));
                }
                for (name, value) in read.names.into_iter().zip(values) {
                    let new = self.names.len();
                    let place = *self.places.entry(name).or_insert_with_key(|name| {
                        self.names.push(name.clone());
                        new
                    });
                    self.values.resize_with(self.names.len(), Vec::new);
                    if let Some(of_name) = self.values.get_mut(place) {
                        of_name.push((message, value));
                    }
                }
            }
            Values::Chunk(chunk) => {
                if read.names != self.names {
                    return Err(self.others(&read.names));
                }
                self.chunks.push((message, chunk));
            }
        }
        self.times.push(read.times);
        Ok(())
    }

    /// Reports whether the messages are action chunks.
    pub fn has_chunks(&self) -> bool {
        !self.chunks.is_empty()
    }

    fn others(&self, found: &[String]) -> MessageError {
        MessageError::OtherValues {
            expected: self.names.clone(),
            found: found.to_vec(),
        }
    }

    /// Returns the signal. `times` are those of the messages that count (ns); messages without one are skipped.
    pub fn finish(self, times: &[Option<u64>]) -> Signal {
        let timed = |message: usize| times.get(message).copied().flatten();
        Signal {
            names: self.names,
            tracks: if self.chunks.is_empty() {
                Tracks::Values(self.values.into_iter().map(|all| Track::sorted(all, timed)).collect())
            } else {
                Tracks::Chunks(Track::sorted(self.chunks, timed))
            },
        }
    }
}

/// Numbers of a topic over a recording.
#[derive(Debug)]
pub(super) struct Signal {
    /// Names of the values.
    pub names: Vec<String>,
    tracks: Tracks,
}

#[derive(Debug)]
enum Tracks {
    Values(Vec<Track<f64>>),
    Chunks(Track<Chunk>),
}

/// Items of messages, in the order of their times.
#[derive(Debug)]
pub(super) struct Track<T> {
    /// Times in ascending order (ns).
    pub stamps: Vec<u64>,
    /// Item that holds from each of these times on.
    pub items: Vec<T>,
}

impl<T> Track<T> {
    /// Sorts items, given with the numbers of their messages; `timed` returns the time of a message (ns).
    pub fn sorted(items: impl IntoIterator<Item = (usize, T)>, timed: impl Fn(usize) -> Option<u64>) -> Self {
        let timed = items
            .into_iter()
            .filter_map(|(message, item)| Some((timed(message)?, item)));
        let mut all: Vec<(u64, T)> = timed.collect();
        all.sort_by_key(|(stamp, _)| *stamp);
        let (stamps, items) = all.into_iter().unzip();
        Self { stamps, items }
    }

    /// First and last time (ns).
    pub fn span(&self) -> Option<(u64, u64)> {
        Some((*self.stamps.first()?, *self.stamps.last()?))
    }
}

impl Signal {
    /// Indices of the values called `chosen`; of all values if it is empty.
    ///
    /// # Errors
    /// When there is no value of such a name.
    pub fn places(&self, chosen: &[String]) -> Result<Vec<usize>, MessageError> {
        if chosen.is_empty() {
            return Ok((0..self.names.len()).collect());
        }
        let place = |name: &String| {
            let found = self.names.iter().position(|known| known == name);
            found.ok_or_else(|| MessageError::UnknownValue {
                known: self.names.clone(),
                name: name.clone(),
            })
        };
        chosen.iter().map(place).collect()
    }

    /// Time from which all of these values are known, and time of the last one of any of them (ns).
    pub fn span(&self, places: &[usize]) -> Option<(u64, u64)> {
        match &self.tracks {
            Tracks::Values(tracks) => {
                let spans = places.iter().map(|place| tracks.get(*place)?.span());
                let spans: Vec<(u64, u64)> = spans.collect::<Option<_>>()?;
                let first = spans.iter().map(|(first, _)| *first).max()?;
                // A value that ends before the others becomes too old there, and the error names it.
                let last = spans.iter().map(|(_, last)| *last).max()?;
                Some((first, last))
            }
            Tracks::Chunks(track) => {
                let (first, last) = track.span()?;
                let of_last = track.items.last()?;
                let steps = of_last.steps.len().saturating_sub(1) as f64 * of_last.step_period;
                Some((first, last.saturating_add((steps * 1e9) as u64)))
            }
        }
    }

    /// Returns the value of index `place` at `time` (ns).
    ///
    /// # Errors
    /// When the latest message that has it is too old.
    pub fn at(&self, place: usize, time: u64, max_age_s: f64) -> Result<f64, Stale> {
        let missing = Stale { age_s: None };
        match &self.tracks {
            Tracks::Values(tracks) => {
                let track = tracks.get(place).ok_or(missing)?;
                let latest = held(&track.stamps, time, max_age_s)?;
                track.items.get(latest).copied().ok_or(missing)
            }
            Tracks::Chunks(track) => {
                let values = step(&track.items, &track.stamps, time, max_age_s)?;
                values.get(place).copied().ok_or(missing)
            }
        }
    }

    /// Returns whether messages hold only some of the values each.
    pub fn comes_by_turns(&self) -> bool {
        match &self.tracks {
            Tracks::Values(tracks) => tracks.windows(2).any(|pair| match pair {
                [one, other] => one.stamps != other.stamps,
                _ => false,
            }),
            Tracks::Chunks(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::mcap::messages::{JointState, RecordedHeader};

    const KIND: &str = "sensor_msgs/msg/JointState";

    fn joints(stamp: u64, named: &[(&str, f64)]) -> Vec<u8> {
        JointState {
            header: RecordedHeader {
                stamp,
                frame_id: String::new(),
            },
            names: named.iter().map(|(name, _)| (*name).to_owned()).collect(),
            positions: named.iter().map(|(_, value)| *value).collect(),
        }
        .encode()
    }

    fn signal(messages: &[&[(&str, f64)]]) -> Signal {
        let mut reader = SignalReader::default();
        for (stamp, message) in (1..).zip(messages) {
            reader.push(KIND, stamp, &joints(stamp, message)).unwrap();
        }
        let times: Vec<_> = reader.times.iter().map(|times| times.header).collect();
        reader.finish(&times)
    }

    #[test]
    fn each_joint_has_its_latest_value() {
        let arm_and_gripper = signal(&[&[("a", 1.0), ("b", 2.0)], &[("grip", 3.0)], &[("b", 5.0), ("a", 4.0)]]);
        assert_eq!(arm_and_gripper.names, ["a", "b", "grip"]);
        assert!(arm_and_gripper.comes_by_turns());
        let all = arm_and_gripper.places(&[]).unwrap();
        assert_eq!(arm_and_gripper.span(&all), Some((2, 3)));
        let at = |time| {
            all.iter()
                .map(|place| arm_and_gripper.at(*place, time, 1.0))
                .collect::<Vec<_>>()
        };
        assert_eq!(at(3), [Ok(4.0), Ok(5.0), Ok(3.0)]);
        let arm = arm_and_gripper.places(&["b".into(), "a".into()]).unwrap();
        assert_eq!(
            (arm.as_slice(), arm_and_gripper.span(&arm)),
            (&[1, 0][..], Some((1, 3)))
        );
        let error = arm_and_gripper.places(&["c".into()]).unwrap_err().to_string();
        assert!(error.contains("\"c\"") && error.contains("grip"), "{error}");
    }

    #[test]
    fn messages_without_positions_tell_nothing_and_doubles_are_refused() {
        let mut reader = SignalReader::default();
        let mut velocities = JointState::decode(&joints(1, &[("a", 0.0)])).unwrap();
        velocities.positions.clear();
        reader.push(KIND, 1, &velocities.encode()).unwrap();
        assert_eq!((reader.empty, reader.times.len()), (1, 0));
        let error = reader.push(KIND, 2, &joints(2, &[("a", 1.0), ("a", 2.0)])).unwrap_err();
        assert_eq!(error, MessageError::Twice("a".into()));
    }
}
