//! Two kinds of time, passed in by the caller: ROS time, which may jump, stand still or run at another rate, and steady
//! time, which does none of these.
//!
//! Observations, expiry times and the history of the arm are in ROS time, because messages are stamped in it. Timeouts and
//! pacing are in steady time: heartbeats, the lease, stops, the gripper, and a plan once it is accepted. Neither type
//! converts into the other.

use std::ops::{Add, Sub};
use std::time::Duration;

/// Point in time on the ROS clock, in nanoseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Time(pub i64);

/// Point in time on a clock that advances at a constant rate, in nanoseconds since an arbitrary point of this run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Steady(pub i64);

/// One instant on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    /// ROS time.
    pub ros: Time,
    /// Steady time.
    pub steady: Steady,
}

/// Implements conversions between seconds and nanoseconds for a clock.
macro_rules! seconds {
    ($clock:ident) => {
        impl $clock {
            /// Returns the time `seconds` after zero.
            pub fn from_secs_f64(seconds: f64) -> Self {
                Self((seconds * 1e9).round() as i64)
            }

            /// Returns the seconds since `earlier`; negative if `earlier` is later.
            pub fn seconds_since(self, earlier: Self) -> f64 {
                self.0.saturating_sub(earlier.0) as f64 * 1e-9
            }

            /// Returns this time moved by `seconds`, which may be negative.
            pub fn offset_secs(self, seconds: f64) -> Self {
                Self(self.0.saturating_add((seconds * 1e9).round() as i64))
            }
        }
    };
}

seconds!(Time);
seconds!(Steady);

impl Add<Duration> for Time {
    type Output = Self;
    fn add(self, span: Duration) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)),
        )
    }
}

impl Sub<Duration> for Time {
    type Output = Self;
    fn sub(self, span: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)),
        )
    }
}
