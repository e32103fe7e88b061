//! Rules for pairing values by stamp, and the errors when they do not match.

use crate::types::time::Time;

/// Largest lead of a stamp over the local clock (s); beyond it the clocks of two machines differ.
const MAX_AHEAD_S: f64 = 0.1;

/// One stream of an observation.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamRule {
    /// Name used in error messages, e.g. the camera's.
    pub name: String,
    /// Largest age of a value, from its stamp to the time of pairing (s).
    pub max_age_s: f64,
}

/// Rule for pairing values.
#[derive(Debug, Clone, PartialEq)]
pub struct PairRule {
    /// Streams, in the order of the paired values.
    pub streams: Vec<StreamRule>,
    /// Largest distance between the oldest and the newest stamp (s); at least one period of free-running cameras.
    pub slop_s: f64,
}

/// Reasons why no pair can be formed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum NoPair {
    /// A stream has delivered no value since the last pair, or ever.
    #[error("{stream}: expected a new value, found none since the last observation")]
    Missing {
        /// Name of the stream.
        stream: String,
    },
    /// A stream's newest value is too old.
    #[error(
        "{stream}: expected a value of at most {max_age_s:.3} s, found one of {age_s:.3} s; check that it is alive"
    )]
    TooOld {
        /// Name of the stream.
        stream: String,
        /// Age found (s).
        age_s: f64,
        /// Age permitted (s).
        max_age_s: f64,
    },
    /// The newest stamp of a stream is ahead of the clock.
    #[error(
        "{stream}: expected a stamp that is not in the future, found one {ahead_s:.3} s ahead; synchronise the clocks"
    )]
    Ahead {
        /// Name of the stream.
        stream: String,
        /// Distance found (s).
        ahead_s: f64,
    },
    /// The stamps lie too far apart.
    #[error("expected stamps within {slop_s:.3} s of each other, found {spread_s:.3} s; {stream} lags")]
    Apart {
        /// The stream with the oldest stamp.
        stream: String,
        /// Distance found (s).
        spread_s: f64,
        /// Distance permitted (s).
        slop_s: f64,
    },
    /// The stream index is out of range.
    #[error("expected a stream index below {streams}, found {index}")]
    NoSuchStream {
        /// Index given.
        index: usize,
        /// Number of streams.
        streams: usize,
    },
}

impl StreamRule {
    pub(super) fn check(&self, stamp: Time, now: Time) -> Result<(), NoPair> {
        let age_s = now.seconds_since(stamp);
        let stream = || self.name.clone();
        if age_s > self.max_age_s {
            return Err(NoPair::TooOld {
                stream: stream(),
                age_s,
                max_age_s: self.max_age_s,
            });
        }
        if age_s < -MAX_AHEAD_S {
            return Err(NoPair::Ahead {
                stream: stream(),
                ahead_s: -age_s,
            });
        }
        Ok(())
    }
}
