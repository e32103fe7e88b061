//! Signs of life a command needs.

use crate::control::arm::Basis;
use crate::control::config::Timeouts;
use crate::control::time::Steady;

/// Times at which signs of life were received.
#[derive(Debug, Clone)]
pub struct Freshness {
    timeouts: Timeouts,
    state: Option<Steady>,
    heartbeat: Option<Steady>,
}

/// A sign of life that is missing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stale {
    /// What is missing.
    pub what: &'static str,
    /// Largest age (s).
    pub limit: f64,
    /// Age found (s); infinite when there never was one.
    pub age: f64,
}

impl std::fmt::Display for Stale {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}: expected an age of at most {:.3} s, found {:.3} s",
            self.what, self.limit, self.age
        )
    }
}

impl Freshness {
    /// Nothing received yet.
    pub fn new(timeouts: Timeouts) -> Self {
        Self {
            timeouts,
            state: None,
            heartbeat: None,
        }
    }

    /// A joint state was received.
    pub fn state_received(&mut self, now: Steady) {
        self.state = Some(now);
    }

    /// Whether a joint state was received after `time`.
    pub fn has_state_since(&self, time: Steady) -> bool {
        self.state.is_some_and(|state| state > time)
    }

    /// A heartbeat of the lease holder was received.
    pub fn heartbeat_received(&mut self, now: Steady) {
        self.heartbeat = Some(now);
    }

    /// There is no lease holder any more.
    pub fn forget_heartbeat(&mut self) {
        self.heartbeat = None;
    }

    /// The state is missing.
    pub fn stale_state(&self, now: Steady) -> Option<Stale> {
        stale("joint state of the driver", self.timeouts.state_s, self.state, now)
    }

    /// The heartbeat is missing.
    pub fn stale_heartbeat(&self, now: Steady) -> Option<Stale> {
        stale(
            "heartbeat of the lease holder",
            self.timeouts.heartbeat_s,
            self.heartbeat,
            now,
        )
    }

    /// What a command on this basis is missing.
    pub fn missing(&self, basis: Basis, now: Steady) -> Option<Stale> {
        self.stale_state(now).or_else(|| match basis {
            Basis::NamedMove => self.stale_heartbeat(now),
            Basis::Chunk { observed } => self
                .stale_heartbeat(now)
                .or_else(|| stale("observation of the plan", self.timeouts.plan_s, Some(observed), now)),
        })
    }
}

fn stale(what: &'static str, limit: f64, last: Option<Steady>, now: Steady) -> Option<Stale> {
    let age = last.map_or(f64::INFINITY, |last| now.seconds_since(last));
    (age > limit).then_some(Stale { what, limit, age })
}
