//! Status of the arm node, as received by the policy.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rclrs::{IntoPrimitiveOptions as _, Node, RclrsError, Subscription};
use ros_env::thinkvla::msg::ArmStatus;

use crate::ros::node::lock::lock;
use crate::ros::node::{qos, topics};
use crate::types::JOINTS;

/// Joint movement, summed over the joints, up to which the arm counts as at rest (rad).
const TREMBLE_RAD: f64 = 0.01;

/// Newest status of the arm node, and the distance that the joints have moved.
pub struct ArmMonitor {
    observed: Arc<Mutex<ArmObservation>>,
    _subscription: Subscription<ArmStatus>,
}

#[derive(Default)]
struct ArmObservation {
    latest: Option<(ArmStatus, Instant)>,
    /// Joints at the last addition to the travel; `None` until the first status with a state, because zeros stand for none.
    counted: Option<[f64; JOINTS]>,
    travel: f64,
}

impl ArmObservation {
    /// Adds up movement in steps larger than sensor noise and servo jitter at rest.
    fn move_to(&mut self, joints: &[f64; JOINTS]) {
        if joints.iter().all(|q| *q == 0.0) {
            return;
        }
        let from = self.counted.get_or_insert(*joints);
        let moved: f64 = from.iter().zip(joints).map(|(a, b)| (a - b).abs()).sum();
        if moved.is_finite() && moved > TREMBLE_RAD {
            self.travel += moved;
            *from = *joints;
        }
    }
}

impl ArmMonitor {
    /// Subscribes to the arm's status.
    ///
    /// # Errors
    /// When the subscription cannot be created.
    pub fn subscribe(node: &Node) -> Result<Self, RclrsError> {
        let observed = Arc::new(Mutex::new(ArmObservation::default()));
        let theirs = Arc::clone(&observed);
        let topic = topics::ARM_STATUS.name.qos(qos::latched());
        let subscription = node.create_subscription(topic, move |status: ArmStatus| {
            let mut observed = lock(&theirs);
            observed.move_to(&status.measured_joints);
            observed.latest = Some((status, Instant::now()));
        })?;
        Ok(Self {
            observed,
            _subscription: subscription,
        })
    }

    /// The newest status and the time since its arrival.
    pub fn latest(&self) -> Option<(ArmStatus, Duration)> {
        let observed = lock(&self.observed);
        observed
            .latest
            .as_ref()
            .map(|(status, at)| (status.clone(), at.elapsed()))
    }

    /// Joint movement since start, summed over the joints (rad).
    pub fn travel(&self) -> f64 {
        lock(&self.observed).travel
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_real_motion_is_travel() {
        let mut observed = ArmObservation::default();
        let joints = [0.0, 0.5, 0.0, 1.0, 0.0, 1.5, 0.0];
        observed.move_to(&[0.0; JOINTS]);
        observed.move_to(&joints);
        for i in 0..1000 {
            observed.move_to(&joints.map(|q| q + 0.001 * f64::from(i % 2)));
        }
        assert_eq!(observed.travel, 0.0, "the first state and trembling are no travel");
        for i in 0..100 {
            observed.move_to(&joints.map(|q| q + 0.001 * f64::from(i)));
        }
        assert!(observed.travel > 0.6 && observed.travel < 0.7, "{}", observed.travel);
    }
}
