//! History of joint positions, so that a chunk can be anchored at the time of its observation.

use std::collections::VecDeque;

use crate::types::Joints;
use crate::types::time::Time;

/// Joint positions over ROS time; the newest `capacity` entries are kept.
#[derive(Debug, Clone)]
pub struct History {
    entries: VecDeque<(Time, Joints)>,
    capacity: usize,
}

impl History {
    /// Creates an empty history.
    pub fn new(capacity: usize) -> Self {
        Self {
            entries: VecDeque::with_capacity(capacity),
            capacity: capacity.max(2),
        }
    }

    /// Drops all entries and starts with the arm at `joints` (rad).
    pub fn restart(&mut self, time: Time, joints: Joints) {
        self.entries.clear();
        self.entries.push_back((time, joints));
    }

    /// Drops all entries.
    pub fn clear(&mut self) {
        self.entries.clear();
    }

    /// Replaces the newest entries that are all equal (the arm at rest) by the entries of `other` from that time on.
    pub fn replace_rest(&mut self, other: &Self) {
        let Some((_, rest)) = self.last() else {
            return;
        };
        let moving = self.entries.iter().rposition(|(_, joints)| *joints != rest);
        let kept = moving.map_or(0, |index| index + 1);
        let since = self.entries.get(kept).map(|(time, _)| *time);
        self.entries.truncate(kept);
        for (time, joints) in &other.entries {
            if Some(*time) >= since {
                self.push(*time, *joints);
            }
        }
    }

    /// Adds joint positions (rad) at `time`. An entry of the same time replaces the newest one, so that positions are not lost
    /// while the clock stands still. Earlier times are ignored.
    pub fn push(&mut self, time: Time, joints: Joints) {
        match self.entries.back_mut() {
            Some((last, _)) if time < *last => return,
            Some((last, newest)) if time == *last => {
                *newest = joints;
                return;
            }
            _ => {}
        }
        if self.entries.len() == self.capacity {
            self.entries.pop_front();
        }
        self.entries.push_back((time, joints));
    }

    /// Newest entry.
    pub fn last(&self) -> Option<(Time, Joints)> {
        self.entries.back().copied()
    }

    /// Joint positions (rad) at `time`, interpolated; the last ones after the newest entry, `None` before the oldest.
    pub fn at(&self, time: Time) -> Option<Joints> {
        let after = self.entries.partition_point(|(entry, _)| *entry <= time);
        let (before_time, before) = self.entries.get(after.checked_sub(1)?)?;
        let Some((after_time, after)) = self.entries.get(after) else {
            return Some(*before);
        };
        let share = time.seconds_since(*before_time) / after_time.seconds_since(*before_time);
        Some(before.lerp(after, share))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp() -> History {
        let mut history = History::new(5);
        for i in 0..8 {
            history.push(
                Time::from_secs_f64(10.0 + 0.1 * f64::from(i)),
                Joints::repeat(f64::from(i)),
            );
        }
        history
    }

    #[test]
    fn between_entries_joints_are_interpolated_and_afterwards_they_stay() {
        let history = ramp();
        let close = |time: f64, expected: f64| {
            let at = history.at(Time::from_secs_f64(time)).unwrap();
            assert!((at - Joints::repeat(expected)).amax() < 1e-6, "{at}");
        };
        close(10.4, 4.0);
        close(10.425, 4.25);
        close(10.7, 7.0);
        close(99.0, 7.0);
    }

    #[test]
    fn what_is_older_than_the_ring_is_unknown() {
        let history = ramp();
        assert_eq!(history.at(Time::from_secs_f64(10.25)), None);
        assert!(history.at(Time::from_secs_f64(10.3)).is_some());
        assert_eq!(History::new(5).at(Time(0)), None);
    }

    #[test]
    fn a_clock_that_stands_still_hides_nothing() {
        let mut history = ramp();
        history.push(Time::from_secs_f64(10.7), Joints::repeat(7.5));
        assert_eq!(history.last().unwrap().1, Joints::repeat(7.5));
        assert_eq!(history.at(Time::from_secs_f64(10.6)), Some(Joints::repeat(6.0)));
    }

    #[test]
    fn the_rest_at_the_end_can_be_replaced_and_motion_before_it_cannot() {
        let at = |seconds: f64| Time::from_secs_f64(seconds);
        let mut commanded = History::new(20);
        let mut measured = History::new(20);
        for i in 0..10 {
            let time = at(10.0 + 0.1 * f64::from(i));
            commanded.push(time, Joints::repeat(f64::from(i.min(4))));
            measured.push(time, Joints::repeat(f64::from(i.min(4)) + 0.5));
        }
        commanded.replace_rest(&measured);
        assert_eq!(commanded.at(at(10.3)), Some(Joints::repeat(3.0)));
        assert_eq!(commanded.at(at(10.4)), Some(Joints::repeat(4.5)));
        assert_eq!(commanded.last(), measured.last());
        let mut nothing = History::new(5);
        nothing.replace_rest(&measured);
        assert_eq!(nothing.last(), None);
        measured.clear();
        assert_eq!(measured.last(), None);
    }

    #[test]
    fn the_past_is_not_rewritten_and_a_restart_forgets_it() {
        let mut history = ramp();
        history.push(Time::from_secs_f64(10.5), Joints::repeat(99.0));
        assert_eq!(history.last().unwrap().1, Joints::repeat(7.0));
        history.restart(Time::from_secs_f64(20.0), Joints::zeros());
        assert_eq!(history.at(Time::from_secs_f64(10.5)), None);
        assert_eq!(history.at(Time::from_secs_f64(21.0)), Some(Joints::zeros()));
    }
}
