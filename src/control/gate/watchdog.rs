//! Watchdog of the inputs that a command needs.

use crate::control::arm::CommandSource;
use crate::control::config::Timeouts;
use crate::types::time::Steady;

/// Times at which inputs were last received.
#[derive(Debug, Clone)]
pub struct Watchdog {
    timeouts: Timeouts,
    state: Option<Steady>,
    heartbeat: Option<Steady>,
}

/// Input that is missing or too old.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stale {
    /// Name of the input.
    pub what: &'static str,
    /// Largest age (s).
    pub limit: f64,
    /// Age found (s); infinite if it was never received.
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

impl Watchdog {
    /// Creates a watchdog that has received nothing yet.
    pub fn new(timeouts: Timeouts) -> Self {
        Self {
            timeouts,
            state: None,
            heartbeat: None,
        }
    }

    /// Records that a joint state was received.
    pub fn state_received(&mut self, now: Steady) {
        self.state = Some(now);
    }

    /// Whether a joint state was received after `time`.
    pub fn has_state_since(&self, time: Steady) -> bool {
        self.state.is_some_and(|state| state > time)
    }

    /// Records that a heartbeat of the lease holder was received.
    pub fn heartbeat_received(&mut self, now: Steady) {
        self.heartbeat = Some(now);
    }

    /// Drops the last heartbeat, when there is no lease holder any more.
    pub fn forget_heartbeat(&mut self) {
        self.heartbeat = None;
    }

    /// Returns the joint state if it is stale.
    pub fn stale_state(&self, now: Steady) -> Option<Stale> {
        stale("joint state of the driver", self.timeouts.state_s, self.state, now)
    }

    /// Returns the heartbeat if it is stale.
    pub fn stale_heartbeat(&self, now: Steady) -> Option<Stale> {
        stale(
            "heartbeat of the lease holder",
            self.timeouts.heartbeat_s,
            self.heartbeat,
            now,
        )
    }

    /// First stale input of those that a command with this basis needs.
    pub fn missing(&self, source: CommandSource, now: Steady) -> Option<Stale> {
        self.stale_state(now).or_else(|| match source {
            CommandSource::NamedMove => self.stale_heartbeat(now),
            CommandSource::Chunk { observed } => self
                .stale_heartbeat(now)
                .or_else(|| stale("observation of the plan", self.timeouts.plan_s, Some(observed), now)),
        })
    }
}

fn stale(what: &'static str, limit: f64, last: Option<Steady>, now: Steady) -> Option<Stale> {
    let age = last.map_or(f64::INFINITY, |last| now.seconds_since(last));
    (age > limit).then_some(Stale { what, limit, age })
}
