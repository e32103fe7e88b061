//! Latency of the policy, read from `/diagnostics`.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rclrs::{IntoPrimitiveOptions as _, Node, RclrsError, Subscription};
use ros_env::diagnostic_msgs::msg::{DiagnosticArray, DiagnosticStatus};

use crate::ros::node::{qos, topics};

/// Age after which a reported latency is ignored; the policy reports once a second.
const STALE: Duration = Duration::from_secs(5);

/// Subscription to the policy's diagnostics.
pub struct PolicyLatency {
    heard: Arc<Mutex<Option<(f64, Instant)>>>,
    _subscription: Subscription<DiagnosticArray>,
}

impl PolicyLatency {
    /// Subscribes to the diagnostic status of this name.
    ///
    /// # Errors
    /// When the subscription cannot be created.
    pub fn open(node: &Node, status: &str) -> Result<Self, RclrsError> {
        let heard = Arc::new(Mutex::new(None));
        let (theirs, status) = (Arc::clone(&heard), status.to_owned());
        let topic = topics::DIAGNOSTICS.name.qos(qos::display());
        let subscription = node.create_subscription(topic, move |array: DiagnosticArray| {
            let found = array.status.iter().find(|one| one.name == status);
            if let Some(ms) = found.and_then(p95_ms) {
                *theirs.lock().unwrap_or_else(PoisonError::into_inner) = Some((ms, Instant::now()));
            }
        })?;
        Ok(Self {
            heard,
            _subscription: subscription,
        })
    }

    /// 95 % quantile of the policy's latency (ms); NaN when no policy reports it.
    pub fn p95_ms(&self) -> f64 {
        let heard = *self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard
            .filter(|(_, at)| at.elapsed() < STALE)
            .map_or(f64::NAN, |(ms, _)| ms)
    }
}

/// Latency in a status; `None` when the policy is not active.
fn p95_ms(status: &DiagnosticStatus) -> Option<f64> {
    let value = |key: &str| status.values.iter().find(|one| one.key == key).map(|one| &one.value);
    value("state").filter(|state| *state == "active")?;
    value("latency_p95_ms")?.parse().ok()
}
