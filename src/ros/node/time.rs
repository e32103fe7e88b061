//! Conversion between ROS time and [`Time`], and the clocks of a node.

use ros_env::builtin_interfaces::msg::Time as TimeMessage;

use std::sync::LazyLock;
use std::time::Instant;

use crate::types::time::{Now, Steady, Time};

const NANOSECONDS: i64 = 1_000_000_000;

/// Converts a message to a time.
pub fn from_message(message: &TimeMessage) -> Time {
    Time(i64::from(message.sec) * NANOSECONDS + i64::from(message.nanosec))
}

/// Converts a time to a message; times outside its range (years 1901 to 2038) become the nearest end.
pub fn to_message(time: Time) -> TimeMessage {
    let seconds = time.0.div_euclid(NANOSECONDS);
    match i32::try_from(seconds) {
        Ok(sec) => TimeMessage {
            sec,
            nanosec: u32::try_from(time.0.rem_euclid(NANOSECONDS)).unwrap_or(0),
        },
        Err(_) if seconds < 0 => TimeMessage {
            sec: i32::MIN,
            nanosec: 0,
        },
        Err(_) => TimeMessage {
            sec: i32::MAX,
            nanosec: 999_999_999,
        },
    }
}

/// Zero of the monotonic clock, common to the whole process.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The clock of a node: system time, or `/clock` when `use_sim_time` is set.
#[derive(Clone, Debug)]
pub struct NodeClock(rclrs::Clock);

impl NodeClock {
    /// The node's clock.
    pub fn of(node: &rclrs::Node) -> Self {
        Self(node.get_clock())
    }

    /// Current time.
    pub fn now(&self) -> Time {
        Time(self.0.now().nsec)
    }

    /// Current time on this clock and on the monotonic one.
    pub fn both(&self) -> Now {
        Now {
            ros: self.now(),
            steady: Steady(i64::try_from(START.elapsed().as_nanos()).unwrap_or(i64::MAX)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_survive_a_round_trip_to_the_nanosecond() {
        for nanoseconds in [0, 1, 999_999_999, 1_000_000_000, 1_790_000_000_123_456_789, -1] {
            assert_eq!(from_message(&to_message(Time(nanoseconds))), Time(nanoseconds));
        }
    }

    #[test]
    fn times_beyond_the_message_stay_at_its_ends() {
        assert_eq!(to_message(Time(i64::MAX)).sec, i32::MAX);
        assert_eq!(to_message(Time(i64::MIN)).sec, i32::MIN);
    }
}
