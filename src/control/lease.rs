//! Who may command the arm: one holder at a time.

use rand::Rng as _;

use super::time::Steady;

/// How much right a source has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// A policy or script.
    Policy,
    /// A human with a hand on the arm's controls; pre-empts a policy.
    Operator,
}

/// The right to command the arm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Id to put into chunks and heartbeats, never 0.
    pub id: u64,
    /// Holder.
    pub source: String,
    /// Holder's right.
    pub priority: Priority,
    /// Last sign of life.
    pub seen: Steady,
    /// Number of the last heartbeat, 0 before the first.
    pub sequence: u64,
}

/// A sign of life as it was received.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Heartbeat<'a> {
    /// Lease it is for.
    pub lease: u64,
    /// Who sent it.
    pub source: &'a str,
    /// Its number; a holder counts up.
    pub sequence: u64,
    /// How long ago it was sent (s).
    pub age: f64,
}

/// Heartbeats of a holder in this process.
#[derive(Debug, Clone, Default)]
pub struct Heartbeats {
    lease: u64,
    source: String,
    sequence: u64,
}

impl Heartbeats {
    /// Of a holder that has sent none yet.
    pub fn of(lease: u64, source: &str) -> Self {
        Self {
            lease,
            source: source.to_owned(),
            sequence: 0,
        }
    }

    /// The next one, sent just now.
    pub fn next_heartbeat(&mut self) -> Heartbeat<'_> {
        self.sequence += 1;
        Heartbeat {
            lease: self.lease,
            source: &self.source,
            sequence: self.sequence,
            age: 0.0,
        }
    }
}

/// Why a heartbeat keeps nobody alive.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum HeartbeatError {
    /// It is for a lease that nobody holds.
    #[error("heartbeat of {sender}: expected the lease of {holder}, found another; acquire the lease first")]
    Lease {
        /// Who sent it.
        sender: String,
        /// Holder, or nobody.
        holder: String,
    },
    /// Somebody repeats what the holder has sent.
    #[error(
        "heartbeat under the lease of {holder}: expected it from {holder}, found it from {sender}; end whatever repeats heartbeats"
    )]
    Source {
        /// Holder.
        holder: String,
        /// Who sent it.
        sender: String,
    },
    /// It was there before.
    #[error("heartbeat of {holder}: expected a sequence above {last}, found {found}; end whatever repeats heartbeats")]
    Sequence {
        /// Holder.
        holder: String,
        /// The highest so far.
        last: u64,
        /// Its own.
        found: u64,
    },
    /// It is old, or from a clock of its own.
    #[error(
        "heartbeat of {holder}: expected one sent within {limit} s, found one sent {age:.3} s ago; compare the clocks"
    )]
    Age {
        /// Holder.
        holder: String,
        /// Largest age either way (s).
        limit: f64,
        /// Age found (s).
        age: f64,
    },
}

/// Why a lease was not granted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LeaseError {
    /// Somebody else has it.
    #[error(
        "the lease is held by {holder} ({priority:?}); equals do not pre-empt each other, wait until it is released"
    )]
    Held {
        /// Holder.
        holder: String,
        /// Holder's right.
        priority: Priority,
    },
    /// The source has no name.
    #[error("expected a source name, found an empty one; name the node that sends the chunks")]
    Nameless,
}

/// The lease.
#[derive(Debug, Default)]
pub struct Leases {
    holder: Option<Lease>,
}

/// An id that no other lease has, whichever process granted it: a holder may outlive the arm node.
fn new_id() -> u64 {
    rand::rng().random_range(1..=u64::MAX)
}

impl Leases {
    /// Grants the lease when it is free, or held by somebody with less right. Returns the new id and whom it was taken
    /// from.
    ///
    /// # Errors
    /// When somebody with as much right holds it, or the source has no name.
    pub fn acquire(
        &mut self,
        source: &str,
        priority: Priority,
        now: Steady,
    ) -> Result<(u64, Option<Lease>), LeaseError> {
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
        Ok((lease.id, self.holder.replace(lease)))
    }

    /// Gives the lease back; false when `id` does not hold it.
    pub fn release(&mut self, id: u64) -> bool {
        let held = self.holds(id);
        if held {
            self.holder = None;
        }
        held
    }

    /// A sign of life was received; it counts when the holder itself has just sent it.
    ///
    /// # Errors
    /// Why it does not count.
    pub fn heartbeat(&mut self, beat: &Heartbeat<'_>, limit: f64, now: Steady) -> Result<(), HeartbeatError> {
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
        // An age that is no number is no recent one.
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

    /// Takes the lease from a holder silent for more than `timeout` (s).
    pub fn expire(&mut self, timeout: f64, now: Steady) -> Option<Lease> {
        self.holder.take_if(|holder| now.seconds_since(holder.seen) > timeout)
    }

    /// Whether `id` holds the lease.
    pub fn holds(&self, id: u64) -> bool {
        self.holder.as_ref().is_some_and(|holder| holder.id == id)
    }

    /// Holder.
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
        let (policy, from) = leases.acquire("policy", Priority::Policy, T).unwrap();
        assert!(from.is_none() && policy != 0);
        let error = leases.acquire("other", Priority::Policy, T).unwrap_err();
        assert!(error.to_string().contains("held by policy"), "{error}");
        let (operator, from) = leases.acquire("teleop", Priority::Operator, T).unwrap();
        assert_eq!(from.map(|lease| lease.id), Some(policy));
        assert!(leases.holds(operator) && !leases.holds(policy));
        assert!(leases.acquire("policy", Priority::Policy, T).is_err());
        assert!(leases.acquire("second hand", Priority::Operator, T).is_err());
    }

    /// The next heartbeat of `source`.
    fn beat(lease: u64, source: &str, sequence: u64) -> Heartbeat<'_> {
        Heartbeat {
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
            let (first, _) = leases.acquire("a", Priority::Policy, T).unwrap();
            assert!(first != 0 && leases.release(first));
            let (second, _) = leases.acquire("a", Priority::Policy, T).unwrap();
            assert!(!leases.release(first) && leases.heartbeat(&beat(first, "a", 1), 1.0, T).is_err());
            assert!(leases.holds(second));
            assert!(ids.insert(first) && ids.insert(second));
        }
    }

    #[test]
    fn only_what_the_holder_itself_has_just_sent_keeps_it_alive() {
        let mut leases = Leases::default();
        let (id, _) = leases.acquire("policy", Priority::Policy, T).unwrap();
        let mut heard = |beat: Heartbeat<'_>| leases.heartbeat(&beat, 1.0, T).map_err(|error| error.to_string());
        heard(beat(id, "policy", 7)).unwrap();
        heard(beat(id, "policy", 8)).unwrap();
        for (wrong, needle) in [
            (beat(id, "rosbag", 9), "from rosbag"),
            (beat(id, "policy", 8), "above 8, found 8"),
            (beat(id, "policy", 0), "above 8, found 0"),
            (beat(id ^ 1, "policy", 9), "lease of policy"),
            (
                Heartbeat {
                    age: 1.1,
                    ..beat(id, "policy", 9)
                },
                "1.100 s ago",
            ),
            (
                Heartbeat {
                    age: -1.1,
                    ..beat(id, "policy", 9)
                },
                "compare the clocks",
            ),
            (
                Heartbeat {
                    age: f64::NAN,
                    ..beat(id, "policy", 9)
                },
                "compare the clocks",
            ),
        ] {
            let error = heard(wrong).unwrap_err();
            assert!(error.contains(needle), "{error}");
        }
        heard(beat(id, "policy", 9)).unwrap();
    }

    #[test]
    fn a_silent_holder_loses_the_lease_and_a_lively_one_keeps_it() {
        let mut leases = Leases::default();
        let (id, _) = leases.acquire("a", Priority::Policy, T).unwrap();
        leases.heartbeat(&beat(id, "a", 1), 1.0, T.offset_secs(0.8)).unwrap();
        assert_eq!(leases.expire(1.0, T.offset_secs(1.7)), None);
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
