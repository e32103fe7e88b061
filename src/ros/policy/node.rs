//! The node: what lifecycle transitions do, and what runs beside them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rclrs::{IntoPrimitiveOptions as _, Node, Publisher, RclrsError, Subscription, Timer};
use ros_env::std_msgs::msg::String as StringMessage;
use ros_env::thinkvla::msg::ActionChunk as ChunkMessage;

use super::SOURCE;
use super::actor::Actor;
use super::arm::ArmWatch;
use super::eyes::Eyes;
use super::figures::Figures;
use super::live::{ArmFacts, compare};
use super::planner::{Planner, Workplace};
use super::pulse::Pulse;
use super::report;
use super::settings::Settings;
use crate::ros::heartbeat::Heartbeat;
use crate::ros::lease::{LeaseClient, Priority};
use crate::ros::lifecycle::{Lifecycle, Managed, State, Transition};
use crate::ros::parameters::ParameterError;
use crate::ros::runtime::{Runtime, Shutdown};
use crate::ros::time::Clock;
use crate::ros::{diagnostics, qos, topics};

/// Loads the checkpoint the settings name.
pub type Loader = Box<dyn Fn(&Settings) -> Result<Box<dyn Actor>, String> + Send>;

/// Time the arm node has to show a lease it granted.
const LEASE_SHOWN: Duration = Duration::from_secs(1);

/// Images after which a camera's rate can be told.
const IMAGES_FOR_RATE: u64 = 10;

/// Why the node does not start.
#[derive(Debug, thiserror::Error)]
pub enum PolicyNodeError {
    /// A parameter that cannot work.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    /// ROS refused.
    #[error("ROS 2 refused: {0}")]
    Ros(#[from] RclrsError),
}

/// The running node.
pub struct PolicyNode {
    refused: Arc<AtomicBool>,
    _lifecycle: Arc<Lifecycle>,
    _instruction: Subscription<StringMessage>,
    _timers: [Timer; 2],
}

impl PolicyNode {
    /// Starts the node; `loader` makes the actor when it is configured.
    ///
    /// # Errors
    /// When a parameter cannot work, or ROS refuses.
    pub fn start(runtime: &Runtime, loader: Loader) -> Result<Self, PolicyNodeError> {
        let node = runtime.node();
        let settings = Arc::new(Settings::declare(node)?);
        let arm = Arc::new(ArmWatch::subscribe(node)?);
        let pulse = Arc::new(Pulse::new(Arc::clone(&settings), Arc::clone(&arm)));
        let instruction = Arc::new(Mutex::new(settings.instruction.clone()));
        let mind = Mind {
            node: Arc::clone(node),
            tokio: runtime.tokio().clone(),
            shutdown: runtime.shutdown().clone(),
            heartbeat: Heartbeat::start(node, SOURCE, beat(&pulse))?,
            lease: LeaseClient::new(node, SOURCE, Priority::Policy)?,
            publisher: node.create_publisher(topics::CHUNK.name.qos(qos::chunk()))?,
            loader,
            shared: Arc::default(),
            instruction: Arc::clone(&instruction),
            settings: Arc::clone(&settings),
            arm: Arc::clone(&arm),
            pulse: Arc::clone(&pulse),
            loaded: None,
            planner: None,
        };
        let shared = Arc::clone(&mind.shared);
        let lifecycle = Arc::new(Lifecycle::offer(node, runtime.tokio(), mind)?);
        let task = Arc::clone(&instruction);
        let topic = topics::INSTRUCTION.name.qos(qos::latched());
        let listening = node.create_subscription(topic, move |message: StringMessage| {
            let text = message.data.trim();
            tracing::info!("instruction: {text}");
            text.clone_into(&mut lock(&task));
        })?;
        let state = Arc::clone(&lifecycle);
        let (heard, seen) = (Arc::clone(&arm), Arc::clone(&shared));
        let reports = diagnostics::publish(node, "rm75", move || {
            let ailment = pulse.ailment();
            let mut statuses = vec![report::policy(
                state.state().label(),
                &seen.figures,
                ailment.as_ref(),
                &lock(&instruction),
            )];
            let cameras = lock(&seen.cameras);
            statuses.extend(
                cameras
                    .iter()
                    .map(|(slot, hz)| report::camera(slot, *hz, ailment.as_ref())),
            );
            statuses.push(report::arm(heard.latest()));
            statuses
        })?;
        let changer = lifecycle.changer();
        let leave = {
            let state = Arc::clone(&lifecycle);
            let changer = lifecycle.changer();
            move || {
                if state.state() == State::Active {
                    changer(Transition::ActiveShutdown);
                }
            }
        };
        runtime.shutdown().before(leave);
        let watching = watch_lease(runtime, shared, arm, Arc::new(changer))?;
        let refused = Arc::new(AtomicBool::new(false));
        if settings.autostart {
            autostart(runtime, Arc::clone(&lifecycle), Arc::clone(&refused));
        }
        Ok(Self {
            refused,
            _lifecycle: lifecycle,
            _instruction: listening,
            _timers: [reports, watching],
        })
    }

    /// Set when autostart could not configure the node: it ends as if it had not started.
    pub fn refused(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.refused)
    }
}

/// What the heartbeat thread asks before every beat; says once why it stands still.
fn beat(pulse: &Arc<Pulse>) -> impl Fn() -> bool + Send + use<> {
    let pulse = Arc::clone(pulse);
    let ill = AtomicBool::new(false);
    move || {
        let ailment = pulse.ailment();
        if let (Some(ailment), false) = (&ailment, ill.swap(ailment.is_some(), Ordering::Relaxed)) {
            tracing::error!("the heartbeat stands still, the arm brakes: {ailment}");
        }
        ailment.is_none()
    }
}

/// Configures and activates in the background.
fn autostart(runtime: &Runtime, lifecycle: Arc<Lifecycle>, refused: Arc<AtomicBool>) {
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

/// Deactivates the node when the arm node has given its lease to somebody else.
fn watch_lease(
    runtime: &Runtime,
    shared: Arc<Shared>,
    arm: Arc<ArmWatch>,
    change: Arc<impl Fn(Transition) -> bool + Send + Sync + 'static>,
) -> Result<Timer, RclrsError> {
    let tokio = runtime.tokio().clone();
    runtime
        .node()
        .create_timer_repeating(Duration::from_millis(100), move || {
            let lease = shared.lease.load(Ordering::Acquire);
            let Some((status, age)) = arm.latest() else { return };
            let granted = lock(&shared.granted).is_some_and(|at| at.elapsed() > LEASE_SHOWN);
            if lease == 0 || !granted || age > LEASE_SHOWN || status.lease == lease {
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

/// What the node's timers see of the mind.
#[derive(Default)]
struct Shared {
    figures: Arc<Mutex<Figures>>,
    /// Cameras with the rate the contract expects.
    cameras: Mutex<Vec<(Arc<crate::ros::images::Slot>, f64)>>,
    /// Lease held, 0 for none.
    lease: AtomicU64,
    granted: Mutex<Option<Instant>>,
}

/// What transitions change.
struct Mind {
    node: Node,
    tokio: tokio::runtime::Handle,
    shutdown: Shutdown,
    heartbeat: Heartbeat,
    lease: LeaseClient,
    publisher: Publisher<ChunkMessage>,
    loader: Loader,
    shared: Arc<Shared>,
    instruction: Arc<Mutex<String>>,
    settings: Arc<Settings>,
    arm: Arc<ArmWatch>,
    pulse: Arc<Pulse>,
    loaded: Option<Loaded>,
    planner: Option<Planner>,
}

/// What configuring brings.
struct Loaded {
    _eyes: Eyes,
    facts: ArmFacts,
    workplace: Arc<Workplace>,
}

impl Managed for Mind {
    fn configure(&mut self) -> Result<(), String> {
        let facts = ArmFacts::load(&self.settings.robot)?;
        let mut actor = (self.loader)(&self.settings)?;
        let contract = actor.contract().clone();
        let steps = contract.model.as_ref().map_or(0, |model| model.chunk_len);
        let replan = self.settings.replan_steps.get();
        if usize::try_from(replan).is_ok_and(|replan| replan > steps) {
            return Err(format!(
                "parameter replan_steps: expected at most the checkpoint's {steps} steps a chunk, found {replan}"
            ));
        }
        actor.warm_up()?;
        let eyes = Eyes::open(&self.node, &contract.robot.cameras, &self.settings)
            .map_err(|e| format!("cannot listen to the cameras: {e}"))?;
        let expected = contract.robot.cameras.iter().map(|camera| camera.rate_hz);
        *lock(&self.shared.cameras) = eyes.slots().into_iter().zip(expected).collect();
        let workplace = Workplace {
            checkpoint_hash: actor.checkpoint_hash().to_owned(),
            contract,
            actor: Arc::new(Mutex::new(actor)),
            slots: eyes.slots(),
            arrival: eyes.arrival(),
            instruction: Arc::clone(&self.instruction),
            pulse: Arc::clone(&self.pulse),
            figures: Arc::clone(&self.shared.figures),
            settings: Arc::clone(&self.settings),
            publisher: Arc::clone(&self.publisher),
            clock: Clock::of(&self.node),
        };
        self.loaded = Some(Loaded {
            _eyes: eyes,
            facts,
            workplace: Arc::new(workplace),
        });
        Ok(())
    }

    fn activate(&mut self) -> Result<(), String> {
        let loaded = self.loaded.as_ref().ok_or("not configured")?;
        self.wait_for_the_robot(&loaded.workplace)?;
        let work = Arc::clone(&loaded.workplace);
        let tolerance = self.settings.rate_tolerance;
        compare(&work.contract.robot, &loaded.facts, &work.slots, tolerance)?;
        let lease = self.tokio.block_on(self.lease.acquire()).map_err(|e| e.to_string())?;
        *lock(&self.shared.granted) = Some(Instant::now());
        self.shared.lease.store(lease, Ordering::Release);
        self.pulse.watch(work.slots.clone());
        self.heartbeat.set_lease(Some(lease));
        self.planner = Some(Planner::start(work, lease));
        Ok(())
    }

    fn deactivate(&mut self) {
        self.heartbeat.set_lease(None);
        let planner = self.planner.take();
        if let Some(planner) = &planner {
            planner.stop();
        }
        let lease = self.shared.lease.swap(0, Ordering::AcqRel);
        if lease != 0
            && let Err(error) = self.tokio.block_on(self.lease.release(lease))
        {
            tracing::warn!("the lease was not given back, it will lapse: {error}");
        }
        if let Some(planner) = planner {
            planner.join(Duration::from_secs_f64(self.settings.inference_limit.get()));
        }
    }

    fn clean_up(&mut self) {
        self.pulse.watch(Vec::new());
        lock(&self.shared.cameras).clear();
        self.loaded = None;
    }
}

impl Mind {
    /// Waits until every camera's rate can be told and the arm node has been heard of.
    fn wait_for_the_robot(&self, work: &Workplace) -> Result<(), String> {
        let deadline = Instant::now() + self.settings.activation_timeout;
        loop {
            let camera = work
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
                let waited = self.settings.activation_timeout.as_secs_f64();
                return Err(format!("waited {waited} s in vain for {missing}"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
