//! The node: its action, its status topics and the worker thread.

use std::sync::Arc;
use std::time::Duration;

use rclrs::{IntoPrimitiveOptions as _, RclrsError};
use ros_env::thinkvla::msg::FineTuneStatus;

use super::job_queue::{self, JobQueue};
use super::policy_latency::PolicyLatency;
use super::settings::{FinetuneSettings, FinetuneSettingsError};
use super::{action, report};
use crate::ros::node::runtime::Runtime;
use crate::ros::node::services::Handles;
use crate::ros::node::time::NodeClock;
use crate::ros::node::{diagnostics, qos, topics};
use crate::writer_lock::{LockError, WriterLock};

/// Error that keeps the node from starting.
#[derive(Debug, thiserror::Error)]
pub enum FineTuneNodeError {
    /// Invalid parameter.
    #[error(transparent)]
    Settings(#[from] FinetuneSettingsError),
    /// Another node uses the same directory of runs.
    #[error("parameter runs: {0}")]
    Locked(#[from] LockError),
    /// Error of ROS.
    #[error("ROS 2 refused: {0}")]
    Ros(#[from] RclrsError),
}

/// The running node.
pub struct FineTuneNode {
    _kept: Handles,
}

impl FineTuneNode {
    /// Starts the action server, and continues a goal that an earlier node did not finish.
    ///
    /// # Errors
    /// When a parameter is invalid, another node uses the directory of runs, or ROS reports an error.
    pub fn start(runtime: &Runtime) -> Result<Self, FineTuneNodeError> {
        let node = runtime.node();
        let settings = FinetuneSettings::declare(runtime)?;
        let lock = WriterLock::acquire(&settings.runs)?;
        let latency = Arc::new(PolicyLatency::open(node, &settings.policy)?);
        let jobs = Arc::new(JobQueue::new(settings, runtime.shutdown().clone()));
        let mut kept: Handles = vec![Box::new(lock)];
        kept.push(Box::new(action::offer(node, runtime.tokio(), &jobs, &latency)?));
        let (reported, heard) = (Arc::clone(&jobs), Arc::clone(&latency));
        kept.push(Box::new(diagnostics::publish(node, "training", move || {
            vec![report::training(&reported.status(), heard.p95_ms())]
        })?));
        let publisher = node.create_publisher::<FineTuneStatus>(topics::FINETUNE_STATUS.name.qos(qos::latched()))?;
        let (reported, clock) = (Arc::clone(&jobs), NodeClock::of(node));
        kept.push(Box::new(node.create_timer_repeating(
            Duration::from_secs(1),
            move || {
                let status = report::status(&reported.status(), latency.p95_ms(), clock.now());
                if let Err(error) = publisher.publish(status) {
                    tracing::warn!("status not sent: {error}");
                }
            },
        )?));
        job_queue::start(&jobs, runtime.shutdown());
        Ok(Self { _kept: kept })
    }
}
