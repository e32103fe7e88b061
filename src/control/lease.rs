//! Who may command the arm: one holder at a time.

use super::time::Time;

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
    pub seen: Time,
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

/// The lease and its history.
#[derive(Debug, Default)]
pub struct Leases {
    holder: Option<Lease>,
    last_id: u64,
}

impl Leases {
    /// Grants the lease when it is free, or held by somebody with less right. Returns the new id and whom it was taken
    /// from.
    ///
    /// # Errors
    /// When somebody with as much right holds it, or the source has no name.
    pub fn acquire(&mut self, source: &str, priority: Priority, now: Time) -> Result<(u64, Option<Lease>), LeaseError> {
        if source.trim().is_empty() {
            return Err(LeaseError::Nameless);
        }
        if let Some(holder) = self.holder.as_ref().filter(|holder| holder.priority >= priority) {
            return Err(LeaseError::Held {
                holder: holder.source.clone(),
                priority: holder.priority,
            });
        }
        self.last_id += 1;
        let lease = Lease {
            id: self.last_id,
            source: source.to_owned(),
            priority,
            seen: now,
        };
        Ok((self.last_id, self.holder.replace(lease)))
    }

    /// Gives the lease back; false when `id` does not hold it.
    pub fn release(&mut self, id: u64) -> bool {
        let held = self.holds(id);
        if held {
            self.holder = None;
        }
        held
    }

    /// A sign of life of `id`; false when it does not hold the lease.
    pub fn seen(&mut self, id: u64, now: Time) -> bool {
        match self.holder.as_mut().filter(|holder| holder.id == id) {
            Some(holder) => {
                holder.seen = now;
                true
            }
            None => false,
        }
    }

    /// Takes the lease from a holder silent for more than `timeout` [s].
    pub fn expire(&mut self, timeout: f64, now: Time) -> Option<Lease> {
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

    const T: Time = Time(1_000_000_000);

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

    #[test]
    fn an_id_is_never_given_twice_so_an_old_one_opens_nothing() {
        let mut leases = Leases::default();
        let (first, _) = leases.acquire("a", Priority::Policy, T).unwrap();
        assert!(leases.release(first));
        let (second, _) = leases.acquire("a", Priority::Policy, T).unwrap();
        assert_ne!(first, second);
        assert!(!leases.release(first) && !leases.seen(first, T));
        assert!(leases.holds(second));
    }

    #[test]
    fn a_silent_holder_loses_the_lease_and_a_lively_one_keeps_it() {
        let mut leases = Leases::default();
        let (id, _) = leases.acquire("a", Priority::Policy, T).unwrap();
        assert!(leases.seen(id, T.offset_secs(0.8)));
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
