//! Lifecycle callbacks of the policy node.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rclrs::{Node, Publisher};
use ros_env::thinkvla::msg::{ActionChunk as ChunkMessage, AnswerPiece};

use super::active_checkpoint::ActiveCheckpoint;
use super::ask_queue::AskQueue;
use super::cameras::CameraSet;
use super::checkpoint_swap::CheckpointSwap;
use super::contract_check::{ArmFacts, compare};
use super::error::PolicyError;
use super::geometry::GeometryView;
use super::health::HealthMonitor;
use super::inference_loop::{InferenceContext, InferenceLoop};
use super::metrics::PolicyMetrics;
use super::settings::PolicySettings;
use crate::ros::client::arm_status::ArmMonitor;
use crate::ros::client::heartbeat_publisher::HeartbeatThread;
use crate::ros::client::lease::LeaseClient;
use crate::ros::node::lifecycle::Managed;
use crate::ros::node::lock::lock;
use crate::ros::node::runtime::Shutdown;
use crate::ros::node::time::NodeClock;
use crate::ros::subscribe::images::Slot;

/// Number of images needed to measure a camera's rate.
const IMAGES_FOR_RATE: u64 = 10;

/// State shared with the node's timers.
#[derive(Default)]
pub struct Shared {
    /// Metrics.
    pub metrics: Arc<Mutex<PolicyMetrics>>,
    /// Cameras, each with the rate that the contract expects (Hz).
    pub cameras: Mutex<Vec<(Arc<Slot>, f64)>>,
    /// Id of the lease held, 0 for none.
    pub lease: AtomicU64,
    /// Time at which the lease was granted.
    pub granted: Mutex<Option<Instant>>,
}

/// Node state that transitions change.
pub struct PolicyLifecycle {
    /// The node, for subscriptions.
    pub node: Node,
    /// Runtime on which service calls are awaited.
    pub tokio: tokio::runtime::Handle,
    /// Shutdown request, which ends waiting early.
    pub shutdown: Shutdown,
    /// Heartbeat of the lease.
    pub heartbeat: HeartbeatThread,
    /// Client of the lease.
    pub lease: LeaseClient,
    /// Publisher of chunks.
    pub publisher: Publisher<ChunkMessage>,
    /// Queue of questions.
    pub ask_queue: Arc<AskQueue>,
    /// Publisher of answers.
    pub pieces: Publisher<AnswerPiece>,
    /// Publisher of geometry latents.
    pub geometry: Arc<GeometryView>,
    /// Loading and replacement of checkpoints.
    pub checkpoint_swap: Arc<CheckpointSwap>,
    /// State shared with timers.
    pub shared: Arc<Shared>,
    /// Instruction.
    pub instruction: Arc<Mutex<String>>,
    /// Parameters.
    pub settings: Arc<PolicySettings>,
    /// Status of the arm node.
    pub arm: Arc<ArmMonitor>,
    /// Health monitor.
    pub health: Arc<HealthMonitor>,
    /// Present while the node is configured.
    pub loaded: Option<Loaded>,
    /// Inference loop, present while the node is active.
    pub inference_loop: Option<InferenceLoop>,
}

/// Result of configuring.
pub struct Loaded {
    _cameras: CameraSet,
    facts: ArmFacts,
    context: Arc<InferenceContext>,
}

impl Managed for PolicyLifecycle {
    type Error = PolicyError;

    fn configure(&mut self) -> Result<(), PolicyError> {
        let facts = ArmFacts::load(&self.settings.robot)?;
        let checkpoint = self.checkpoint_swap.first()?;
        let cameras = CameraSet::open(&self.node, &checkpoint.contract.robot.cameras, &self.settings)
            .map_err(PolicyError::Cameras)?;
        let expected = checkpoint.contract.robot.cameras.iter().map(|camera| camera.rate_hz);
        *lock(&self.shared.cameras) = cameras.slots().into_iter().zip(expected).collect();
        let context = Arc::new(InferenceContext {
            active: ActiveCheckpoint::new(checkpoint),
            slots: cameras.slots(),
            arrival: cameras.arrival(),
            instruction: Arc::clone(&self.instruction),
            health: Arc::clone(&self.health),
            metrics: Arc::clone(&self.shared.metrics),
            settings: Arc::clone(&self.settings),
            publisher: Arc::clone(&self.publisher),
            geometry: Arc::clone(&self.geometry),
            arm: Arc::clone(&self.arm),
            clock: NodeClock::of(&self.node),
            ask_queue: Arc::clone(&self.ask_queue),
            pieces: Arc::clone(&self.pieces),
        });
        self.checkpoint_swap.begin(Arc::clone(&context), facts.clone());
        self.loaded = Some(Loaded {
            _cameras: cameras,
            facts,
            context,
        });
        Ok(())
    }

    fn activate(&mut self) -> Result<(), PolicyError> {
        let loaded = self.loaded.as_ref().ok_or(PolicyError::NotLoaded)?;
        self.wait_for_the_robot(&loaded.context)?;
        let context = Arc::clone(&loaded.context);
        let tolerance = self.settings.rate_tolerance;
        let facts = loaded.facts.with_status(&self.arm);
        compare(&context.active.get().contract.robot, &facts, &context.slots, tolerance)?;
        let lease = self.tokio.block_on(self.lease.acquire())?;
        *lock(&self.shared.granted) = Some(Instant::now());
        self.shared.lease.store(lease, Ordering::Release);
        self.health.watch(context.slots.clone());
        self.heartbeat.set_lease(Some(lease));
        self.inference_loop = Some(InferenceLoop::start(context, lease));
        Ok(())
    }

    fn deactivate(&mut self) {
        self.heartbeat.set_lease(None);
        let inference_loop = self.inference_loop.take();
        if let Some(inference_loop) = &inference_loop {
            inference_loop.stop();
        }
        let lease = self.shared.lease.swap(0, Ordering::AcqRel);
        if lease != 0
            && let Err(error) = self.tokio.block_on(self.lease.release(lease))
        {
            tracing::warn!("the lease was not given back, it will lapse: {error}");
        }
        if let Some(inference_loop) = inference_loop {
            inference_loop.join(Duration::from_secs_f64(self.settings.inference_limit.get()));
        }
    }

    fn clean_up(&mut self) {
        self.health.watch(Vec::new());
        lock(&self.shared.cameras).clear();
        self.checkpoint_swap.end();
        self.loaded = None;
    }
}

impl PolicyLifecycle {
    /// Waits until every camera's rate can be measured and a status of the arm node has arrived.
    fn wait_for_the_robot(&self, context: &InferenceContext) -> Result<(), PolicyError> {
        let deadline = Instant::now() + self.settings.activation_timeout;
        loop {
            let camera = context
                .slots
                .iter()
                .find(|slot| slot.health().received() < IMAGES_FOR_RATE);
            let missing = match camera {
                Some(slot) => {
                    let rejected = slot.rejected();
                    let why = if rejected.count > 0 {
                        rejected.reason
                    } else {
                        "none came".to_owned()
                    };
                    format!("usable images of camera {} ({why})", slot.camera())
                }
                None if self.arm.latest().is_none() => "arm_status of arm_node".to_owned(),
                None => return Ok(()),
            };
            if Instant::now() > deadline || self.shutdown.is_requested() {
                let seconds = self.settings.activation_timeout.as_secs_f64();
                return Err(PolicyError::Missing { seconds, missing });
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
