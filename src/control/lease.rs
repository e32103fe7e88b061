//! Lease: the right to command the arm, held by one source at a time.

use rand::Rng as _;

use crate::types::time::Steady;

/// Priority of a source; a higher one pre-empts a lower one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// A policy or script.
    Policy,
    /// A human operator; pre-empts a policy.
    Operator,
}

/// Lease: the right to command the arm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Id to put into chunks and heartbeats, never 0.
    pub id: u64,
    /// Name of the holder.
    pub source: String,
    /// Priority of the holder.
    pub priority: Priority,
    /// Time of the last heartbeat, or of the grant before the first.
    pub seen: Steady,
    /// Number of the last heartbeat, 0 before the first.
    pub sequence: u64,
}

/// Heartbeat as received.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReceivedHeartbeat<'a> {
    /// Id of the lease it is for.
    pub lease: u64,
    /// Name of the sender.
    pub source: &'a str,
    /// Sequence number; a holder counts up.
    pub sequence: u64,
    /// Time since it was sent (s).
    pub age: f64,
}

/// Generator of heartbeats for a holder in this process.
#[derive(Debug, Clone, Default)]
pub struct Heartbeats {
    lease: u64,
    source: String,
    sequence: u64,
}

impl Heartbeats {
    /// Creates the generator of a holder that has sent none yet.
    pub fn of(lease: u64, source: &str) -> Self {
        Self {
            lease,
            source: source.to_owned(),
            sequence: 0,
        }
    }

    /// Returns the next heartbeat, with age 0.
    pub fn next_heartbeat(&mut self) -> ReceivedHeartbeat<'_> {
        self.sequence += 1;
        ReceivedHeartbeat {
            lease: self.lease,
            source: &self.source,
            sequence: self.sequence,
            age: 0.0,
        }
    }
}

/// Reasons why a heartbeat does not keep a lease alive.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum HeartbeatError {
    /// Its lease id is not that of the present holder.
    #[error("heartbeat of {sender}: expected the lease of {holder}, found another; acquire the lease first")]
    Lease {
        /// Name of the sender.
        sender: String,
        /// Name of the holder, or `nobody`.
        holder: String,
    },
    /// It carries the holder's lease id but comes from another source.
    #[error(
        "heartbeat under the lease of {holder}: expected it from {holder}, found it from {sender}; end whatever repeats heartbeats"
    )]
    Source {
        /// Name of the holder.
        holder: String,
        /// Name of the sender.
        sender: String,
    },
    /// Its sequence number is not above the last one.
    #[error("heartbeat of {holder}: expected a sequence above {last}, found {found}; end whatever repeats heartbeats")]
    Sequence {
        /// Name of the holder.
        holder: String,
        /// Highest sequence number so far.
        last: u64,
        /// Sequence number of the heartbeat.
        found: u64,
    },
    /// It is too old, or the sender's clock differs.
    #[error(
        "heartbeat of {holder}: expected one sent within {limit} s, found one sent {age:.3} s ago; compare the clocks"
    )]
    Age {
        /// Name of the holder.
        holder: String,
        /// Largest age, positive or negative (s).
        limit: f64,
        /// Age found (s).
        age: f64,
    },
}

/// Reasons why a lease is not granted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LeaseError {
    /// Another source of the same or higher priority holds it.
    #[error(
        "the lease is held by {holder} ({priority:?}); equals do not pre-empt each other, wait until it is released"
    )]
    Held {
        /// Name of the holder.
        holder: String,
        /// Priority of the holder.
        priority: Priority,
    },
    /// The source has no name.
    #[error("expected a source name, found an empty one; name the node that sends the chunks")]
    Nameless,
}

/// Lease that was granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseGrant {
    /// Id of the new lease.
    pub id: u64,
    /// Lease that was pre-empted, if any.
    pub preempted: Option<Lease>,
}

/// Manager of the lease.
#[derive(Debug, Default)]
pub struct Leases {
    holder: Option<Lease>,
}

/// Returns a random id that no other lease has, not even of another process: a holder may outlive the arm node.
fn new_id() -> u64 {
    rand::rng().random_range(1..=u64::MAX)
}

impl Leases {
    /// Grants the lease if it is free or held with a lower priority.
    ///
    /// # Errors
    /// When a source of the same or higher priority holds it, or the source has no name.
    pub fn acquire(&mut self, source: &str, priority: Priority, now: Steady) -> Result<LeaseGrant, LeaseError> {
        if source.trim().is_empty() {
            return Err(LeaseError::Nameless);
        }
        if let Some(holder) = self.holder.as_ref().filter(|holder| holder.priority >= priority) {
            return Err(LeaseError::Held {
                holder: holder.source.clone(),
                priority: holder.priority,
            });
        }
        let lease = Lease {
            id: new_id(),
            source: source.to_owned(),
            priority,
            seen: now,
            sequence: 0,
        };
        Ok(LeaseGrant {
            id: lease.id,
            preempted: self.holder.replace(lease),
        })
    }

    /// Releases the lease; returns false if `id` does not hold it.
    pub fn release(&mut self, id: u64) -> bool {
        let held = self.holds(id);
        if held {
            self.holder = None;
        }
        held
    }

    /// Processes a heartbeat; it counts if the holder itself sent it within the last `limit` (s).
    ///
    /// # Errors
    /// When the heartbeat does not count, with the reason.
    pub fn heartbeat(&mut self, beat: &ReceivedHeartbeat<'_>, limit: f64, now: Steady) -> Result<(), HeartbeatError> {
        let Some(holder) = self.holder.as_mut().filter(|holder| holder.id == beat.lease) else {
            let holder = self.holder.as_ref().map_or("nobody", |holder| &holder.source);
            return Err(HeartbeatError::Lease {
                sender: beat.source.to_owned(),
                holder: holder.to_owned(),
            });
        };
        let name = || holder.source.clone();
        if beat.source != holder.source {
            let (holder, sender) = (name(), beat.source.to_owned());
            return Err(HeartbeatError::Source { holder, sender });
        }
        if beat.sequence <= holder.sequence {
            return Err(HeartbeatError::Sequence {
                holder: name(),
                last: holder.sequence,
                found: beat.sequence,
            });
        }
        // A NaN age counts as too old.
        let recent = beat.age.abs() <= limit;
        if !recent {
            return Err(HeartbeatError::Age {
                holder: name(),
                limit,
                age: beat.age,
            });
        }
        holder.seen = now;
        holder.sequence = beat.sequence;
        Ok(())
    }

    /// Removes and returns the lease if its holder has been silent for more than `timeout` (s).
    pub fn expire(&mut self, timeout: f64, now: Steady) -> Option<Lease> {
        self.holder.take_if(|holder| now.seconds_since(holder.seen) > timeout)
    }

    /// Whether `id` holds the lease.
    pub fn holds(&self, id: u64) -> bool {
        self.holder.as_ref().is_some_and(|holder| holder.id == id)
    }

    /// Lease of the present holder; `None` if the lease is free.
    pub fn holder(&self) -> Option<&Lease> {
        self.holder.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: Steady = Steady(1_000_000_000);

    #[test]
    fn an_operator_pre_empts_a_policy_and_equals_do_not() {
        let mut leases = Leases::default();
        let first = leases.acquire("policy", Priority::Policy, T).unwrap();
        assert!(first.preempted.is_none() && first.id != 0);
        let error = leases.acquire("other", Priority::Policy, T).unwrap_err();
        assert!(error.to_string().contains("held by policy"), "{error}");
        let second = leases.acquire("teleop", Priority::Operator, T).unwrap();
        assert_eq!(second.preempted.map(|lease| lease.id), Some(first.id));
        assert!(leases.holds(second.id) && !leases.holds(first.id));
        assert!(leases.acquire("policy", Priority::Policy, T).is_err());
        assert!(leases.acquire("second hand", Priority::Operator, T).is_err());
    }

    /// Heartbeat of `source` with age 1 ms.
    fn beat(lease: u64, source: &str, sequence: u64) -> ReceivedHeartbeat<'_> {
        ReceivedHeartbeat {
            lease,
            source,
            sequence,
            age: 0.001,
        }
    }

    #[test]
    fn an_id_is_never_given_twice_not_even_by_another_arm_node() {
        let mut ids = std::collections::BTreeSet::new();
        for _ in 0..1000 {
            let mut leases = Leases::default();
            let first = leases.acquire("a", Priority::Policy, T).unwrap().id;
            assert!(first != 0 && leases.release(first));
            let second = leases.acquire("a", Priority::Policy, T).unwrap().id;
            assert!(!leases.release(first) && leases.heartbeat(&beat(first, "a", 1), 1.0, T).is_err());
            assert!(leases.holds(second));
            assert!(ids.insert(first) && ids.insert(second));
        }
    }

    #[test]
    fn only_what_the_holder_itself_has_just_sent_keeps_it_alive() {
        let mut leases = Leases::default();
        let id = leases.acquire("policy", Priority::Policy, T).unwrap().id;
        let mut heard =
            |beat: ReceivedHeartbeat<'_>| leases.heartbeat(&beat, 1.0, T).map_err(|error| error.to_string());
        heard(beat(id, "policy", 7)).unwrap();
        heard(beat(id, "policy", 8)).unwrap();
        for (wrong, needle) in [
            (beat(id, "rosbag", 9), "from rosbag"),
            (beat(id, "policy", 8), "above 8, found 8"),
            (beat(id, "policy", 0), "above 8, found 0"),
            (beat(id ^ 1, "policy", 9), "lease of policy"),
            (
                ReceivedHeartbeat {
                    age: 1.1,
                    ..beat(id, "policy", 9)
                },
                "1.100 s ago",
            ),
            (
                ReceivedHeartbeat {
                    age: -1.1,
                    ..beat(id, "policy", 9)
                },
                "compare the clocks",
            ),
            (
                ReceivedHeartbeat {
                    age: f64::NAN,
                    ..beat(id, "policy", 9)
                },
                "compare the clocks",
            ),
        ] {
            let error = heard(wrong).unwrap_err();
            assert!(error.contains(needle), "{error}");
        }
        for (sequence, age) in [(9, 1.0), (10, -1.0)] {
            let at_the_limit = ReceivedHeartbeat {
                age,
                ..beat(id, "policy", sequence)
            };
            heard(at_the_limit).unwrap();
        }
    }

    #[test]
    fn a_holder_in_this_process_counts_its_heartbeats() {
        let mut heartbeats = Heartbeats::of(3, "policy");
        for sequence in 1..=3 {
            let expected = ReceivedHeartbeat {
                age: 0.0,
                ..beat(3, "policy", sequence)
            };
            assert_eq!(heartbeats.next_heartbeat(), expected);
        }
    }

    #[test]
    fn a_silent_holder_loses_the_lease_and_a_lively_one_keeps_it() {
        let mut leases = Leases::default();
        let id = leases.acquire("a", Priority::Policy, T).unwrap().id;
        leases.heartbeat(&beat(id, "a", 1), 1.0, T.offset_secs(0.8)).unwrap();
        assert_eq!(leases.expire(1.0, T.offset_secs(1.8)), None);
        assert_eq!(
            leases.expire(1.0, T.offset_secs(1.9)).map(|lease| lease.source),
            Some("a".into())
        );
        assert!(leases.holder().is_none());
    }

    #[test]
    fn a_nameless_source_gets_nothing() {
        assert_eq!(
            Leases::default().acquire(" ", Priority::Operator, T),
            Err(LeaseError::Nameless)
        );
    }
}
