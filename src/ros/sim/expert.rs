//! Thread of the scripted expert, which drives through lease, heartbeat and chunks like any other source of motion.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rclrs::{IntoPrimitiveOptions as _, Publisher, RclrsError, Subscription};
use ros_env::thinkvla::msg::{ActionChunk as ChunkMessage, ArmStatus};

use super::SimNodeError;
use crate::control::chunk::ActionsError;
use crate::ros::client::heartbeat_publisher::HeartbeatThread;
use crate::ros::client::lease::{LeaseClient, SourcePriority};
use crate::ros::convert::chunk::{ChunkDetails, chunk_to_message};
use crate::ros::convert::pose::pose_from_message;
use crate::ros::node::lock::lock;
use crate::ros::node::runtime::{Runtime, Shutdown};
use crate::ros::node::time::{NodeClock, from_message};
use crate::ros::node::{qos, topics};
use crate::sim::config::SimConfig;
use crate::sim::expert::{Expert, ExpertObservation, SOURCE};
use crate::sim::tasks::TaskLayout;
use crate::types::time::Time;

/// Polling period for a new status.
const POLL_PERIOD: Duration = Duration::from_millis(5);
/// Time to wait before a refused lease is requested again.
const LEASE_RETRY_PERIOD: Duration = Duration::from_millis(500);
/// Time within which the arm node must report a lease that it has granted.
const LEASE_REPORT_TIMEOUT: Duration = Duration::from_millis(500);
/// Time by which a chunk may be early, so that a status just before its time is used (s).
const EARLY_S: f64 = 0.03;

/// Handle of the expert: its task and its progress.
#[derive(Clone, Default)]
pub struct ExpertHandle(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// The newest episode for the thread to take: with a layout if the expert drives it.
    order: Mutex<Option<Option<TaskLayout>>>,
    status: Mutex<Option<ArmStatus>>,
    active: AtomicBool,
    done: AtomicBool,
}

/// Progress of the expert in an episode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpertProgress {
    /// Whether it drives.
    pub active: bool,
    /// Whether it has finished.
    pub done: bool,
}

/// Subscriptions of the expert; messages are received as long as this lives.
pub struct Subscriptions {
    _status: Subscription<ArmStatus>,
}

impl ExpertHandle {
    /// Begins an episode: with a layout the expert drives it, otherwise it releases the arm.
    pub fn begin(&self, layout: Option<TaskLayout>) {
        self.0.active.store(layout.is_some(), Ordering::Release);
        self.0.done.store(false, Ordering::Release);
        *lock(&self.0.order) = Some(layout);
    }

    /// Progress in the newest episode.
    pub fn progress(&self) -> ExpertProgress {
        ExpertProgress {
            active: self.0.active.load(Ordering::Acquire),
            done: self.0.done.load(Ordering::Acquire),
        }
    }
}

/// Starts the thread, without a task.
///
/// # Errors
/// When ROS refuses a subscription, publisher or client.
pub fn start(runtime: &Runtime, config: &SimConfig) -> Result<(ExpertHandle, Subscriptions), SimNodeError> {
    let node = runtime.node();
    let handle = ExpertHandle::default();
    let theirs = handle.clone();
    let status = node.create_subscription(topics::ARM_STATUS.name.qos(qos::display()), move |status: ArmStatus| {
        *lock(&theirs.0.status) = Some(status)
    })?;
    let mut driver = ExpertDriver {
        handle: handle.clone(),
        config: config.clone(),
        leases: LeaseClient::new(node, SOURCE, SourcePriority::Policy)?,
        heartbeat: HeartbeatThread::start(node, SOURCE, || true)?,
        chunks: node.create_publisher(topics::CHUNK.name.qos(qos::chunk()))?,
        clock: NodeClock::of(node),
        tokio: runtime.tokio().clone(),
        task: None,
        lease: None,
        ask_from: Instant::now(),
    };
    let shutdown = runtime.shutdown().clone();
    runtime.shutdown().run_beside(move || driver.run(&shutdown));
    Ok((handle, Subscriptions { _status: status }))
}

/// Error that ends the expert.
#[derive(Debug, thiserror::Error)]
enum ExpertError {
    #[error("the expert's chunk cannot be sent: {0}")]
    Ros(#[from] RclrsError),
    #[error("the expert cannot go on from where the arm is: {0}")]
    Actions(#[from] ActionsError),
}

struct ExpertDriver {
    handle: ExpertHandle,
    config: SimConfig,
    leases: LeaseClient,
    heartbeat: HeartbeatThread,
    chunks: Publisher<ChunkMessage>,
    clock: NodeClock,
    tokio: tokio::runtime::Handle,
    task: Option<Driving>,
    lease: Option<Granted>,
    ask_from: Instant,
}

/// A lease that the arm node has granted.
#[derive(Clone, Copy)]
struct Granted {
    id: u64,
    at: Instant,
}

/// The episode in progress.
struct Driving {
    layout: TaskLayout,
    /// Created when the arm is first ready, because the path begins at its pose.
    expert: Option<Expert>,
    /// Time of the last chunk, and of the next one.
    last_chunk: Time,
    next_chunk: Time,
}

impl ExpertDriver {
    fn run(&mut self, shutdown: &Shutdown) -> Result<(), ExpertError> {
        while !shutdown.is_requested() {
            let order = lock(&self.handle.0.order).take();
            if let Some(layout) = order {
                self.release_lease();
                // A status from before the reset does not contain the arm's new pose.
                lock(&self.handle.0.status).take();
                self.task = layout.map(|layout| Driving {
                    layout,
                    expert: None,
                    last_chunk: Time::default(),
                    next_chunk: Time::default(),
                });
            }
            let status = lock(&self.handle.0.status).take();
            if let Some(status) = status {
                self.take_status(&status)?;
            }
            std::thread::sleep(POLL_PERIOD);
        }
        self.release_lease();
        Ok(())
    }

    fn take_status(&mut self, status: &ArmStatus) -> Result<(), ExpertError> {
        let ready = [ArmStatus::HOLDING, ArmStatus::EXECUTING].contains(&status.mode);
        if self.task.is_none() || !ready {
            return Ok(());
        }
        match self.lease {
            None => self.ask_for_lease(),
            Some(granted) if status.lease == granted.id => return self.drive(status, granted.id),
            // The status may be older than the lease.
            Some(granted) if granted.at.elapsed() > LEASE_REPORT_TIMEOUT => self.lose(&status.lease_source),
            Some(_) => {}
        }
        Ok(())
    }

    /// Handles a lease that has lapsed or was taken. The expert requests it again; the arm node refuses this while
    /// another source holds it.
    fn lose(&mut self, holder: &str) {
        let holder = if holder.is_empty() { "nobody" } else { holder };
        tracing::warn!("the lease of the expert is held by {holder} now; the expert asks for it again");
        self.lease = None;
        self.heartbeat.set_lease(None);
    }

    fn drive(&mut self, status: &ArmStatus, lease: u64) -> Result<(), ExpertError> {
        let Some(driving) = &mut self.task else {
            return Ok(());
        };
        let time = from_message(&status.header.stamp);
        // After a step back of the clock the next chunk would be due much later.
        let went_back = time.seconds_since(driving.last_chunk) < 0.0;
        if !went_back && driving.next_chunk.seconds_since(time) > EARLY_S {
            return Ok(());
        }
        let commanded = match pose_from_message(&status.commanded_pose) {
            Ok(pose) => pose,
            Err(error) => {
                tracing::warn!("commanded_pose of the arm status: {error}");
                return Ok(());
            }
        };
        let expert = match &mut driving.expert {
            Some(expert) => expert,
            none => none.insert(Expert::new(&self.config, &driving.layout, commanded)),
        };
        let observation = ExpertObservation { time, commanded, lease };
        let Some(chunk) = expert.chunk(&observation)? else {
            self.task = None;
            self.handle.0.done.store(true, Ordering::Release);
            self.handle.0.active.store(false, Ordering::Release);
            self.release_lease();
            return Ok(());
        };
        driving.last_chunk = time;
        driving.next_chunk = time.offset_secs(expert.replan_s());
        let details = ChunkDetails::without_network(self.clock.now());
        Ok(self.chunks.publish(chunk_to_message(&chunk, &details))?)
    }

    fn ask_for_lease(&mut self) {
        if Instant::now() < self.ask_from {
            return;
        }
        match self.tokio.block_on(self.leases.acquire()) {
            Ok(id) => {
                let at = Instant::now();
                self.lease = Some(Granted { id, at });
                self.heartbeat.set_lease(Some(id));
            }
            Err(error) => {
                tracing::warn!("the expert waits: {error}");
                self.ask_from = Instant::now() + LEASE_RETRY_PERIOD;
            }
        }
    }

    fn release_lease(&mut self) {
        self.heartbeat.set_lease(None);
        if let Some(granted) = self.lease.take()
            && let Err(error) = self.tokio.block_on(self.leases.release(granted.id))
        {
            // An arm node that has ended has no lease to release.
            tracing::debug!("the lease was not given back: {error}");
        }
    }
}
