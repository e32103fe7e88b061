//! Two kinds of time, passed in by the caller: ROS time, which may jump, stand still or run at another rate, and steady
//! time, which does none of that.
//!
//! What was seen, when it expires and where the arm then was is told in ROS time, because whoever observes stamps in it.
//! Whatever waits for something or paces something is measured in steady time: signs of life, the lease, stops, the
//! gripper, a plan once it is taken. Neither type converts into the other.

use std::ops::{Add, Sub};
use std::time::Duration;

/// A point in time in nanoseconds since the Unix epoch, on the ROS clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Time(pub i64);

/// A point in time in nanoseconds since some moment of this run, on a clock that goes forward at one rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Steady(pub i64);

/// One moment on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    /// ROS time.
    pub ros: Time,
    /// Steady time.
    pub steady: Steady,
}

/// Seconds in and out of nanoseconds, the same for every clock.
macro_rules! seconds {
    ($clock:ident) => {
        impl $clock {
            /// The time `seconds` after zero.
            pub fn from_secs_f64(seconds: f64) -> Self {
                Self((seconds * 1e9).round() as i64)
            }

            /// Seconds since `earlier`; negative when `earlier` is later.
            pub fn seconds_since(self, earlier: Self) -> f64 {
                self.0.saturating_sub(earlier.0) as f64 * 1e-9
            }

            /// This time moved by `seconds`, which may be negative.
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
