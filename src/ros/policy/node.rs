//! The node: lifecycle, services, subscriptions and timers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rclrs::{IntoPrimitiveOptions as _, Node, RclrsError, Service, Timer};
use ros_env::thinkvla::srv::Ask;

use super::SOURCE;
use super::ask_queue::{self, AskQueue};
use super::checkpoint_swap::{CheckpointSwap, Checkpoints};
use super::geometry::GeometryView;
use super::health::HealthMonitor;
use super::lifecycle::{PolicyLifecycle, Shared};
use super::settings::PolicySettings;
use super::{report, services};
use crate::ros::client::arm_status::ArmMonitor;
use crate::ros::client::heartbeat_publisher::HeartbeatThread;
use crate::ros::client::lease::{LeaseClient, SourcePriority};
use crate::ros::node::diagnostics::{self, PartStatus};
use crate::ros::node::lifecycle::{Lifecycle, LifecycleState, Transition};
use crate::ros::node::lock::lock;
use crate::ros::node::parameters::ParameterError;
use crate::ros::node::runtime::Runtime;
use crate::ros::node::services::Handles;
use crate::ros::node::{qos, topics};
use crate::ros::subscribe::instruction;

/// Time within which the arm node must report a lease that it has granted.
const LEASE_REPORT_TIMEOUT: Duration = Duration::from_secs(1);

/// Error that keeps the node from starting.
#[derive(Debug, thiserror::Error)]
pub enum PolicyNodeError {
    /// Invalid parameter.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    /// Error of ROS.
    #[error("ROS 2 refused: {0}")]
    Ros(#[from] RclrsError),
}

/// The running node.
pub struct PolicyNode {
    refused: Arc<AtomicBool>,
    _lifecycle: Arc<Lifecycle<PolicyLifecycle>>,
    _instruction: instruction::InstructionSubscriptions,
    _ask: Service<Ask>,
    _checkpoint_swap: Handles,
    _timers: [Timer; 2],
}

impl PolicyNode {
    /// Starts the node; `checkpoints` loads and checks checkpoints.
    ///
    /// # Errors
    /// When a parameter is invalid, or ROS reports an error.
    pub fn start(runtime: &Runtime, checkpoints: Checkpoints) -> Result<Self, PolicyNodeError> {
        let node = runtime.node();
        let settings = Arc::new(PolicySettings::declare(runtime)?);
        let arm = Arc::new(ArmMonitor::subscribe(node, Ok)?);
        let health = Arc::new(HealthMonitor::new(Arc::clone(&settings), Arc::clone(&arm)));
        let instruction = Arc::new(Mutex::new(settings.instruction.clone()));
        let ask_queue = Arc::new(AskQueue::default());
        let checkpoint_swap = Arc::new(CheckpointSwap::new(Arc::clone(&settings), checkpoints));
        let callbacks = PolicyLifecycle {
            node: Arc::clone(node),
            tokio: runtime.tokio().clone(),
            shutdown: runtime.shutdown().clone(),
            heartbeat: HeartbeatThread::start(node, SOURCE, beat(&health))?,
            lease: LeaseClient::new(node, SOURCE, SourcePriority::Policy)?,
            publisher: node.create_publisher(topics::CHUNK.name.qos(qos::chunk()))?,
            ask_queue: Arc::clone(&ask_queue),
            pieces: node.create_publisher(topics::ANSWER.name.qos(qos::events()))?,
            geometry: Arc::new(GeometryView::offer(node)?),
            checkpoint_swap: Arc::clone(&checkpoint_swap),
            shared: Arc::default(),
            instruction: Arc::clone(&instruction),
            settings: Arc::clone(&settings),
            arm: Arc::clone(&arm),
            health: Arc::clone(&health),
            loaded: None,
            inference_loop: None,
        };
        let shared = Arc::clone(&callbacks.shared);
        let lifecycle = Arc::new(Lifecycle::offer(node, runtime.tokio(), callbacks)?);
        let listening = subscribe_to_instruction(node, &instruction)?;
        let reported = Reported {
            lifecycle: Arc::clone(&lifecycle),
            shared: Arc::clone(&shared),
            arm: Arc::clone(&arm),
            health,
            instruction,
            checkpoint_swap: Arc::clone(&checkpoint_swap),
        };
        let reports = diagnostics::publish(node, "rm75", move || reported.statuses())?;
        deactivate_before_end(runtime, &lifecycle);
        let watching = watch_lease(runtime, shared, arm, Arc::new(lifecycle.changer()))?;
        let refused = Arc::new(AtomicBool::new(false));
        if settings.autostart {
            autostart(runtime, Arc::clone(&lifecycle), Arc::clone(&refused));
        }
        Ok(Self {
            refused,
            _lifecycle: lifecycle,
            _instruction: listening,
            _ask: ask_queue::serve(node, ask_queue)?,
            _checkpoint_swap: services::offer(node, runtime.tokio(), &checkpoint_swap)?,
            _timers: [reports, watching],
        })
    }

    /// Returns whether autostart failed to configure the node, which then ends as if it had not started.
    pub fn refused(&self) -> bool {
        self.refused.load(Ordering::Acquire)
    }
}

/// Parts of the node that its diagnostics describe.
struct Reported {
    lifecycle: Arc<Lifecycle<PolicyLifecycle>>,
    shared: Arc<Shared>,
    arm: Arc<ArmMonitor>,
    health: Arc<HealthMonitor>,
    instruction: Arc<Mutex<String>>,
    checkpoint_swap: Arc<CheckpointSwap>,
}

impl Reported {
    /// Statuses of the policy, of each camera, and of the arm node.
    fn statuses(&self) -> Vec<PartStatus> {
        let fault = self.health.fault();
        let policy = report::policy(
            self.lifecycle.state().label(),
            &self.shared.metrics,
            fault.as_ref(),
            &lock(&self.instruction),
        );
        let mut statuses = vec![report::checkpoints(policy, &self.checkpoint_swap)];
        statuses.extend(
            lock(&self.shared.cameras)
                .iter()
                .map(|(slot, hz)| report::camera(slot, *hz, fault.as_ref())),
        );
        statuses.push(report::arm(self.arm.latest()));
        statuses
    }
}

/// Takes instructions from their topic.
fn subscribe_to_instruction(
    node: &Node,
    instruction: &Arc<Mutex<String>>,
) -> Result<instruction::InstructionSubscriptions, RclrsError> {
    let task = Arc::clone(instruction);
    instruction::listen(node, move |text| {
        let before = std::mem::replace(&mut *lock(&task), text.to_owned());
        if before != text {
            tracing::info!("instruction: {text}");
        }
    })
}

/// Ends motion before the node ends.
fn deactivate_before_end(runtime: &Runtime, lifecycle: &Arc<Lifecycle<PolicyLifecycle>>) {
    let lifecycle = Arc::clone(lifecycle);
    runtime.shutdown().before(move || {
        if lifecycle.state() == LifecycleState::Active {
            lifecycle.change(Transition::ActiveShutdown);
        }
    });
}

/// Health check for the heartbeat thread; logs the reason once when the heartbeat stops.
fn beat(health: &Arc<HealthMonitor>) -> impl Fn() -> bool + Send + use<> {
    let health = Arc::clone(health);
    let faulty = AtomicBool::new(false);
    move || {
        let fault = health.fault();
        if let (Some(fault), false) = (&fault, faulty.swap(fault.is_some(), Ordering::Relaxed)) {
            tracing::error!("the heartbeat stands still, the arm brakes: {fault}");
        }
        fault.is_none()
    }
}

/// Configures and activates in the background.
fn autostart(runtime: &Runtime, lifecycle: Arc<Lifecycle<PolicyLifecycle>>, refused: Arc<AtomicBool>) {
    let shutdown = runtime.shutdown().clone();
    runtime.tokio().spawn_blocking(move || {
        if lifecycle.change(Transition::Configure) {
            lifecycle.change(Transition::Activate);
        } else {
            refused.store(true, Ordering::Release);
            shutdown.request("the policy cannot be configured");
        }
    });
}

/// Deactivates the node when the arm node has given its lease to another source.
fn watch_lease(
    runtime: &Runtime,
    shared: Arc<Shared>,
    arm: Arc<ArmMonitor>,
    change: Arc<impl Fn(Transition) -> bool + Send + Sync + 'static>,
) -> Result<Timer, RclrsError> {
    let tokio = runtime.tokio().clone();
    runtime
        .node()
        .create_timer_repeating(Duration::from_millis(100), move || {
            let lease = shared.lease.load(Ordering::Acquire);
            let Some((status, age)) = arm.latest() else { return };
            let granted = lock(&shared.granted).is_some_and(|at| at.elapsed() > LEASE_REPORT_TIMEOUT);
            if lease == 0 || !granted || age > LEASE_REPORT_TIMEOUT || status.lease == lease {
                return;
            }
            shared.lease.store(0, Ordering::Release);
            let holder = if status.lease_source.is_empty() {
                "nobody"
            } else {
                &status.lease_source
            };
            tracing::warn!("the lease is held by {holder} now: deactivating; activate again to go on");
            let change = Arc::clone(&change);
            tokio.spawn_blocking(move || change(Transition::Deactivate));
        })
}
