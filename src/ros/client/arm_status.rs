//! Status of the arm node, as received by the nodes that command the arm.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rclrs::{IntoPrimitiveOptions as _, Node, RclrsError, Subscription};
use ros_env::thinkvla::msg::ArmStatus;

use crate::ros::convert::pose::PoseError;
use crate::ros::node::lock::lock;
use crate::ros::node::{qos, topics};
use crate::types::JOINTS;

/// Joint movement, summed over the joints, up to which the arm counts as at rest (rad).
const REST_TOLERANCE_RAD: f64 = 0.01;

/// Newest status of the arm node, converted to `T`, and the distance that the joints have moved.
pub struct ArmMonitor<T = ArmStatus> {
    observed: Arc<Mutex<ArmObservation<T>>>,
    _subscription: Subscription<ArmStatus>,
}

struct ArmObservation<T> {
    latest: Option<(T, Instant)>,
    travel: Travel,
}

#[derive(Default)]
struct Travel {
    /// Joints at the last addition; `None` until the first status with a state, because zeros stand for none.
    counted: Option<[f64; JOINTS]>,
    sum: f64,
}

impl Travel {
    /// Adds up movement in steps larger than sensor noise and servo jitter at rest.
    fn move_to(&mut self, joints: &[f64; JOINTS]) {
        if joints.iter().all(|q| *q == 0.0) {
            return;
        }
        let from = self.counted.get_or_insert(*joints);
        let moved: f64 = from.iter().zip(joints).map(|(a, b)| (a - b).abs()).sum();
        if moved.is_finite() && moved > REST_TOLERANCE_RAD {
            self.sum += moved;
            *from = *joints;
        }
    }
}

impl<T: Clone + Send + 'static> ArmMonitor<T> {
    /// Subscribes to the arm's status. A status that `convert` refuses is logged and otherwise ignored.
    ///
    /// # Errors
    /// When the subscription cannot be created.
    pub fn subscribe(
        node: &Node,
        convert: impl Fn(ArmStatus) -> Result<T, PoseError> + Send + Sync + 'static,
    ) -> Result<Self, RclrsError> {
        let observed = Arc::new(Mutex::new(ArmObservation {
            latest: None,
            travel: Travel::default(),
        }));
        let theirs = Arc::clone(&observed);
        let topic = topics::ARM_STATUS.name.qos(qos::latched());
        let subscription = node.create_subscription(topic, move |status: ArmStatus| {
            let joints = status.measured_joints;
            match convert(status) {
                Ok(status) => {
                    let mut observed = lock(&theirs);
                    observed.travel.move_to(&joints);
                    observed.latest = Some((status, Instant::now()));
                }
                Err(error) => tracing::warn!("arm_status: {error}"),
            }
        })?;
        Ok(Self {
            observed,
            _subscription: subscription,
        })
    }

    /// The newest status and the time since its arrival.
    pub fn latest(&self) -> Option<(T, Duration)> {
        let observed = lock(&self.observed);
        observed
            .latest
            .as_ref()
            .map(|(status, at)| (status.clone(), at.elapsed()))
    }

    /// Joint movement since start, summed over the joints (rad).
    pub fn travel(&self) -> f64 {
        lock(&self.observed).travel.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_real_motion_is_travel() {
        let mut travel = Travel::default();
        let joints = [0.0, 0.5, 0.0, 1.0, 0.0, 1.5, 0.0];
        travel.move_to(&[0.0; JOINTS]);
        travel.move_to(&joints);
        for i in 0..1000 {
            travel.move_to(&joints.map(|q| q + 0.001 * f64::from(i % 2)));
        }
        assert_eq!(travel.sum, 0.0, "the first state and trembling are no travel");
        for i in 0..100 {
            travel.move_to(&joints.map(|q| q + 0.001 * f64::from(i)));
        }
        assert!(travel.sum > 0.6 && travel.sum < 0.7, "{}", travel.sum);
    }
}
