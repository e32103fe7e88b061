//! Where the arm was, so that a chunk can be anchored at the time of its observation.

use std::collections::VecDeque;

use crate::control::time::Time;
use crate::control::types::Joints;

/// Joints over time, the newest `capacity` entries.
#[derive(Debug, Clone)]
pub struct History {
    entries: VecDeque<(Time, Joints)>,
    capacity: usize,
}

impl History {
    /// An empty history.
    pub fn new(capacity: usize) -> Self {
        Self {
            entries: VecDeque::with_capacity(capacity),
            capacity: capacity.max(2),
        }
    }

    /// Forgets everything and starts with the arm at `joints` [rad].
    pub fn restart(&mut self, time: Time, joints: Joints) {
        self.entries.clear();
        self.entries.push_back((time, joints));
    }

    /// Adds where the arm is at `time`; entries that are not newer than the last one are ignored.
    pub fn push(&mut self, time: Time, joints: Joints) {
        if self.entries.back().is_some_and(|(last, _)| time <= *last) {
            return;
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

    /// Joints [rad] at `time`, interpolated; the last ones afterwards, `None` before the first.
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
    fn the_past_is_not_rewritten_and_a_restart_forgets_it() {
        let mut history = ramp();
        history.push(Time::from_secs_f64(10.5), Joints::repeat(99.0));
        assert_eq!(history.last().unwrap().1, Joints::repeat(7.0));
        history.restart(Time::from_secs_f64(20.0), Joints::zeros());
        assert_eq!(history.at(Time::from_secs_f64(10.5)), None);
        assert_eq!(history.at(Time::from_secs_f64(21.0)), Some(Joints::zeros()));
    }
}
