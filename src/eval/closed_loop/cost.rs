//! Machine time of trials.

use std::fmt;
use std::ops::{Add, AddAssign};
use std::time::Duration;

use serde::Serialize;

/// Wall time of the threads that ran trials, summed over all of them.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Cost {
    /// Number of trials.
    pub trials: u64,
    /// Time from the beginning to the end of the trials (s).
    pub total_s: f64,
    /// Rendering for the policy (s).
    pub pictures_s: f64,
    /// Preprocessing of pictures and inference (s).
    pub network_s: f64,
    /// Rendering and encoding of videos and last pictures (s).
    pub film_s: f64,
    /// Simulated time (s).
    pub simulated_s: f64,
}

impl Cost {
    pub(super) fn network(pictures: Duration, network: Duration) -> Self {
        Self {
            pictures_s: pictures.as_secs_f64(),
            network_s: network.as_secs_f64(),
            ..Self::default()
        }
    }
}

impl Add for Cost {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            trials: self.trials + other.trials,
            total_s: self.total_s + other.total_s,
            pictures_s: self.pictures_s + other.pictures_s,
            network_s: self.network_s + other.network_s,
            film_s: self.film_s + other.film_s,
            simulated_s: self.simulated_s + other.simulated_s,
        }
    }
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            trials,
            total_s,
            pictures_s,
            network_s,
            film_s,
            simulated_s,
        } = *self;
        let each = |seconds: f64| seconds / (trials.max(1) as f64);
        write!(
            f,
            "{trials} trials made, {:.2} s of one thread each for {:.1} simulated: pictures {:.2} s, network {:.2} s, \
             film {:.2} s, physics and control {:.2} s",
            each(total_s),
            each(simulated_s),
            each(pictures_s),
            each(network_s),
            each(film_s),
            each(total_s - pictures_s - network_s - film_s)
        )
    }
}
