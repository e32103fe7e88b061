//! The arm node as the policy sees it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rclrs::{IntoPrimitiveOptions as _, Node, RclrsError, Subscription};
use ros_env::thinkvla::msg::ArmStatus;

use crate::ros::{qos, topics};

/// The newest status of the arm node, and how far the arm has moved.
pub struct ArmWatch {
    seen: Arc<Mutex<Seen>>,
    _subscription: Subscription<ArmStatus>,
}

#[derive(Default)]
struct Seen {
    latest: Option<(ArmStatus, Instant)>,
    travel: f64,
}

impl ArmWatch {
    /// Listens to the arm node.
    ///
    /// # Errors
    /// When the subscription cannot be made.
    pub fn subscribe(node: &Node) -> Result<Self, RclrsError> {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let theirs = Arc::clone(&seen);
        let topic = topics::ARM_STATUS.name.qos(qos::latched());
        let subscription = node.create_subscription(topic, move |status: ArmStatus| {
            let mut seen = lock(&theirs);
            if let Some((before, _)) = &seen.latest {
                let moved: f64 = before
                    .measured_joints
                    .iter()
                    .zip(&status.measured_joints)
                    .map(|(a, b)| (a - b).abs())
                    .sum();
                if moved.is_finite() {
                    seen.travel += moved;
                }
            }
            seen.latest = Some((status, Instant::now()));
        })?;
        Ok(Self {
            seen,
            _subscription: subscription,
        })
    }

    /// The newest status and its age.
    pub fn latest(&self) -> Option<(ArmStatus, Duration)> {
        let seen = lock(&self.seen);
        seen.latest.as_ref().map(|(status, at)| (status.clone(), at.elapsed()))
    }

    /// How far the arm has moved since start, summed over its joints [rad].
    pub fn travel(&self) -> f64 {
        lock(&self.seen).travel
    }
}

fn lock(mutex: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
