//! Physics thread, which keeps the simulation in step with the clock.

use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use rclrs::{IntoPrimitiveOptions as _, Node, Publisher, RclrsError};
use ros_env::rosgraph_msgs::msg::Clock as ClockMessage;
use ros_env::std_msgs::msg::{Header, String as Text};
use ros_env::thinkvla::msg::EpisodeStatus;

use super::SimNodeError;
use super::cameras::Cameras;
use super::commands::SimCommand;
use super::driver_topics::StateTopics;
use super::expert::ExpertHandle;
use super::parameters::{LiveFaults, SimSettings};
use crate::ros::node::runtime::Shutdown;
use crate::ros::node::time::{NodeClock, to_message};
use crate::ros::node::{qos, topics};
use crate::sim::config::SimConfig;
use crate::sim::driver::{Faults, SimDriver};
use crate::sim::episode_world::EpisodeWorld;
use crate::sim::error::SimError;
use crate::sim::tasks::EpisodeId;
use crate::sim::world::STEP_S;

/// Simulated time between two reads of the fault parameters, and between two episode statuses (s).
const FAULTS_S: f64 = 0.01;
const STATUS_S: f64 = 0.1;
/// Simulated time between two messages on `/clock` (s).
const CLOCK_S: f64 = 0.004;
/// Delay beyond which the thread skips the lost time instead of making up for it (s).
const MAX_BACKLOG_S: f64 = 0.1;

/// Connections of the physics thread.
pub struct Connections {
    /// Commands from other threads.
    pub inbox: Receiver<SimCommand>,
    /// Faults to simulate.
    pub faults: LiveFaults,
    /// Camera thread, if images are wanted.
    pub cameras: Option<Cameras>,
    /// The scripted expert.
    pub expert: ExpertHandle,
}

/// The simulation of the current episode.
pub struct PhysicsThread {
    config: SimConfig,
    settings: SimSettings,
    episode_world: EpisodeWorld,
    driver: SimDriver,
    error: u16,
    states: StateTopics,
    status: Publisher<EpisodeStatus>,
    instruction: Publisher<Text>,
    time: Option<Publisher<ClockMessage>>,
    clock: NodeClock,
}

/// Periodic timer in simulated time (s).
struct Timer {
    period: f64,
    left: f64,
}

impl Timer {
    fn every(period: f64) -> Self {
        Self { period, left: 0.0 }
    }

    /// Returns whether the timer is due; to be called in every physics step.
    fn due(&mut self) -> bool {
        self.left -= STEP_S;
        let due = self.left <= STEP_S / 2.0;
        if due {
            self.left += self.period;
        }
        due
    }
}

impl PhysicsThread {
    /// Creates the simulation of the first episode.
    ///
    /// # Errors
    /// When MuJoCo refuses the scene, or ROS a publisher.
    pub fn new(
        config: SimConfig,
        settings: &SimSettings,
        states: StateTopics,
        node: &Node,
    ) -> Result<Self, SimNodeError> {
        let episode_world = EpisodeWorld::new(&config, settings.first, settings.scene)?;
        Ok(Self {
            driver: SimDriver::new(&config.driver, episode_world.world.joints()),
            episode_world,
            error: 0,
            states,
            status: node.create_publisher(topics::EPISODE_STATUS.name.qos(qos::latched()))?,
            instruction: node.create_publisher(topics::INSTRUCTION.name.qos(qos::latched()))?,
            time: settings
                .publish_clock
                .then(|| node.create_publisher("/clock".qos(qos::clock())))
                .transpose()?,
            clock: NodeClock::of(node),
            settings: *settings,
            config,
        })
    }

    /// Starts the thread; it ends when the node shuts down.
    pub fn start(mut self, connections: Connections, shutdown: &Shutdown) {
        let ending = shutdown.clone();
        shutdown.run_beside(move || self.run(&connections, &ending));
    }

    fn run(&mut self, connections: &Connections, shutdown: &Shutdown) -> Result<(), RclrsError> {
        let (mut faults, mut status) = (Timer::every(FAULTS_S), Timer::every(STATUS_S));
        let mut clock = Timer::every(CLOCK_S);
        let mut pictures = Timer::every(1.0 / self.settings.camera_rate_hz.max(0.01));
        let step = Duration::from_secs_f64(STEP_S / self.settings.real_time_factor);
        let mut next = Instant::now();
        while !shutdown.is_requested() {
            while let Ok(command) = connections.inbox.try_recv() {
                self.take(command, connections)?;
            }
            // Published before the state: a node with `use_sim_time` would take the state's later stamp for one of the
            // future.
            if let Some(time) = self.time.as_ref().filter(|_| clock.due()) {
                let clock = to_message(self.clock.now());
                time.publish(ClockMessage { clock })?;
            }
            if faults.due() {
                self.apply_faults(&connections.faults);
            }
            let state = self.episode_world.step(&mut self.driver);
            if let Some(state) = state {
                self.states.publish(&state)?;
            }
            for reply in self.driver.replies() {
                self.states.reply(reply)?;
            }
            if let Some(cameras) = connections.cameras.as_ref()
                && pictures.due()
            {
                cameras.take(self.episode_world.world.snapshot(), self.clock.now());
            }
            if status.due() {
                self.status.publish(self.episode_status(&connections.expert))?;
            }
            next += step;
            let behind = Instant::now().saturating_duration_since(next);
            if behind.as_secs_f64() > MAX_BACKLOG_S {
                next = Instant::now();
            }
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        }
        Ok(())
    }

    fn take(&mut self, command: SimCommand, connections: &Connections) -> Result<(), RclrsError> {
        match command {
            SimCommand::Motion(motion) => {
                let before = self.driver.undefined_reads();
                self.driver.motion(motion);
                if before == 0 && self.driver.undefined_reads() > 0 {
                    tracing::warn!("a joint command left joints undefined; send 7 joints and dof 7");
                }
            }
            SimCommand::Grip(grip) => self.driver.grip(grip),
            SimCommand::Stop => self.driver.stop(),
            SimCommand::Reset(reset) => {
                let answer = self.reset(reset.id, connections.faults.driver());
                if let Ok(instruction) = &answer {
                    tracing::info!(
                        "{} {} seed {}: {instruction}",
                        reset.id.task,
                        reset.id.variation,
                        reset.id.seed
                    );
                    let data = instruction.clone();
                    self.instruction.publish(Text { data })?;
                    connections
                        .expert
                        .begin(reset.expert.then(|| self.episode_world.layout.clone()));
                    self.status.publish(self.episode_status(&connections.expert))?;
                }
                // The client may have gone.
                let _ = reset.answer.send(answer);
            }
        }
        Ok(())
    }

    fn reset(&mut self, id: EpisodeId, faults: Faults) -> Result<String, SimError> {
        let episode_world = EpisodeWorld::new(&self.config, id, self.settings.scene)?;
        self.driver = SimDriver::new(&self.config.driver, episode_world.world.joints());
        self.driver.set_faults(faults);
        self.episode_world = episode_world;
        Ok(self.episode_world.layout.instruction.clone())
    }

    fn apply_faults(&mut self, faults: &LiveFaults) {
        self.driver.set_faults(faults.driver());
        let error = faults.error();
        if error != self.error && error != 0 {
            self.driver.inject_error(error);
        }
        self.error = error;
    }

    fn episode_status(&self, expert: &ExpertHandle) -> EpisodeStatus {
        let progress = expert.progress();
        EpisodeStatus {
            header: Header {
                stamp: to_message(self.clock.now()),
                frame_id: String::new(),
            },
            task: self.episode_world.id.task.name().to_owned(),
            variation: self.episode_world.id.variation,
            seed: self.episode_world.id.seed,
            instruction: self.episode_world.layout.instruction.clone(),
            episode_s: self.episode_world.world.time(),
            expert_active: progress.active,
            expert_done: progress.done,
            success: self.episode_world.judge.success(),
            detail: self.episode_world.judge.detail(),
        }
    }
}
