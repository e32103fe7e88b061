//! Control loop of teleoperation: reads input device and arm status at 100 Hz, and sends chunks and commands.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rclrs::{Publisher, RclrsError};
use ros_env::thinkvla::msg::ActionChunk as ChunkMessage;

use super::arm::ArmReport;
use super::commands::{Announcer, CommandClients};
use super::lease::OperatorLease;
use super::{Steady, lock};
use crate::ros::client::arm_status::ArmMonitor;
use crate::ros::convert::chunk::{ChunkDetails, chunk_to_message};
use crate::ros::node::runtime::Shutdown;
use crate::ros::node::time::NodeClock;
use crate::teleop::input_device::{InputDevice, InputReading};
use crate::teleop::mapping::Command;
use crate::teleop::session::{SOURCE, SessionStep, TeleopSession};

/// Period of the loop.
const POLL_PERIOD: Duration = Duration::from_millis(10);
/// Time after which a loop that has not run counts as hung, upon which the heartbeat stops (s).
const HUNG_S: f64 = 0.1;
/// Age of a status up to which the arm node counts as running (s).
const HEARD_S: f64 = 0.5;

/// State of the control loop.
pub struct ControlLoop {
    /// The input device.
    pub device: Box<dyn InputDevice>,
    /// The session, which turns input into chunks.
    pub session: TeleopSession,
    /// Status of the arm node.
    pub arm: ArmMonitor<ArmReport>,
    /// Client of the lease.
    pub operator_lease: OperatorLease,
    /// Commands to other nodes.
    pub clients: CommandClients,
    /// Publisher of chunks.
    pub chunks: Publisher<ChunkMessage>,
    /// Whether the lease is kept when the deadman is released.
    pub keeps_lease: bool,
    /// The node's clock, for stamps.
    pub clock: NodeClock,
    /// The monotonic clock, for the ages of input and status.
    pub steady: Steady,
    /// Measurements for diagnostics.
    pub status: Arc<Mutex<ControlStatus>>,
    /// Time of the loop's last run.
    pub liveness: LoopLiveness,
    /// Messages to the operator.
    pub announcer: Announcer,
    /// Name of a requested move that waits for the lease.
    pub waiting_move: Option<String>,
    /// Whether a lease that the operator keeps has lapsed.
    pub lapsed: bool,
}

/// Time of the loop's last run; the heartbeat thread checks it before every beat.
#[derive(Clone)]
pub struct LoopLiveness {
    last: Arc<AtomicI64>,
    steady: Steady,
}

impl LoopLiveness {
    /// Creates it for a loop that has not run yet.
    pub fn new(steady: Steady) -> Self {
        Self {
            last: Arc::new(AtomicI64::new(i64::MIN)),
            steady,
        }
    }

    /// Returns whether the loop ran recently enough.
    pub fn is_alive(&self) -> bool {
        let last = crate::types::time::Time(self.last.load(Ordering::Acquire));
        self.steady.now().seconds_since(last) <= HUNG_S
    }

    fn beat(&self) {
        self.last.store(self.steady.now().0, Ordering::Release);
    }
}

/// Status of the control loop.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ControlStatus {
    /// idle, waiting or engaged.
    pub state: &'static str,
    /// Factor of the speeds.
    pub scale: f64,
    /// Requested gripper opening, 0 closed to 1 open.
    pub opening: f64,
    /// Id of the lease held.
    pub lease: Option<u64>,
    /// The reason why the input cannot be followed, if there is one.
    pub fault: Option<String>,
    /// Time since the last input (s).
    pub silence_s: Option<f64>,
    /// Whether a status of the arm node arrived recently.
    pub has_arm: bool,
    /// Number of chunks sent.
    pub chunks: u64,
}

impl ControlLoop {
    /// Runs the loop until the node shuts down, then cancels a move and releases the lease.
    ///
    /// # Errors
    /// When a chunk cannot be published.
    pub fn run(mut self, shutdown: &Shutdown, tokio: &tokio::runtime::Handle) -> Result<(), RclrsError> {
        let mut outcome = Ok(());
        while outcome.is_ok() && !shutdown.is_requested() {
            self.liveness.beat();
            outcome = self.tick();
            std::thread::sleep(POLL_PERIOD);
        }
        self.clients.cancel_move();
        self.operator_lease.close(tokio);
        outcome
    }

    fn tick(&mut self) -> Result<(), RclrsError> {
        let now = self.steady.now();
        let reading = self.device.read(now);
        for command in self.device.commands() {
            self.execute(&command);
        }
        let seen = self.arm.latest().map(|(seen, _)| seen);
        if let Some(seen) = &seen {
            self.compare(seen, &reading);
        }
        if let Some(why) = self.operator_lease.refusal() {
            self.session.end();
            self.waiting_move = None;
            self.announcer.warn(format!("{why}; let go and press again"));
        }
        let (engaged, lease) = (self.session.is_engaged(), self.operator_lease.lease());
        if let Some((name, lease)) = self.waiting_move.take_if(|_| lease.is_some()).zip(lease) {
            self.clients.move_to(&name, lease);
        }
        let arm = seen.as_ref().map(|seen| &seen.arm);
        match self.session.update(&reading, arm, lease, now) {
            Ok(SessionStep::Rest) => {}
            Ok(SessionStep::Acquire) => self.operator_lease.acquire(),
            Ok(SessionStep::Send(chunk)) => {
                let details = ChunkDetails::without_network(self.clock.now());
                self.chunks.publish(chunk_to_message(&chunk, &details))?;
                lock(&self.status).chunks += 1;
            }
            Ok(SessionStep::LetGo(why)) => {
                self.operator_lease.release(self.keeps_lease);
                self.announcer.announce(format!("{why}: the arm brakes and holds"));
            }
            Ok(SessionStep::Refuse(why)) => self.announcer.warn(format!("not engaged: {why}")),
            Err(error) => {
                self.session.end();
                self.operator_lease.release(self.keeps_lease);
                self.announcer.warn(format!("arm_status: {error}"));
            }
        }
        if self.session.is_engaged() && !engaged {
            self.announcer
                .announce(format!("engaged at speed scale {}", self.session.scale()));
        }
        let moving = self.waiting_move.is_some() || self.clients.is_moving();
        let idle = !self.session.is_engaged() && !self.session.is_waiting() && !moving;
        if idle && !self.keeps_lease && self.operator_lease.lease().is_some() {
            self.operator_lease.release(false);
        }
        self.show(&reading, seen.as_ref());
        Ok(())
    }

    /// Handles the parts of the arm's status that do not concern the session.
    fn compare(&mut self, seen: &ArmReport, reading: &InputReading) {
        if let Some(lost) = self.operator_lease.compare(seen) {
            self.announcer.warn(lost);
            self.clients.forget_move();
            self.lapsed = self.keeps_lease;
        }
        // A lease that lapsed, in a stall of this node or with the arm node, is still the person's until handed back or
        // taken: it is asked for until it is granted. A grant whose answer was lost lapses under this node's own name.
        let is_taken = !seen.holder.is_empty() && seen.holder != SOURCE;
        self.lapsed &= !is_taken && self.operator_lease.lease().is_none();
        let silence = self.steady.now().seconds_since(seen.arm.received);
        if self.lapsed && seen.holder.is_empty() && silence < HEARD_S {
            self.operator_lease.acquire();
        }
        // An operator who takes over, or whose input fails, must not be overridden by a named move.
        if reading.held || reading.fault.is_some() {
            self.waiting_move = None;
            if seen.moving {
                self.clients.cancel_move();
            }
        }
    }

    fn execute(&mut self, command: &Command) {
        if self.session.command(command) {
            if matches!(command, Command::Faster | Command::Slower) {
                self.announcer.announce(format!("speed scale {}", self.session.scale()));
            }
            return;
        }
        if self.clients.execute(command) {
            return;
        }
        match command {
            Command::MoveTo(name) => {
                self.waiting_move = Some(name.clone());
                self.operator_lease.acquire();
            }
            Command::LetGo => {
                self.clients.cancel_move();
                self.drop_arm(self.keeps_lease);
                self.announcer.announce("let go: the arm brakes and holds");
            }
            Command::HandBack => {
                self.drop_arm(false);
                self.announcer.announce("the lease is free");
            }
            Command::ResumePolicy => {
                self.drop_arm(false);
                self.clients.resume_policy(self.operator_lease.settled());
            }
            _ => {}
        }
    }

    /// Ends motion, whatever the input device reports.
    fn drop_arm(&mut self, keep: bool) {
        let engaged = self.session.is_engaged();
        self.session.end();
        self.waiting_move = None;
        self.lapsed &= keep;
        if engaged || !keep {
            self.operator_lease.release(keep);
        }
    }

    fn show(&self, reading: &InputReading, seen: Option<&ArmReport>) {
        let now = self.steady.now();
        let mut status = lock(&self.status);
        *status = ControlStatus {
            state: match (self.session.is_engaged(), self.session.is_waiting()) {
                (true, _) => "engaged",
                (_, true) => "waiting",
                _ => "idle",
            },
            scale: self.session.scale(),
            opening: self.session.opening(),
            lease: self.operator_lease.lease(),
            fault: reading.fault.clone(),
            silence_s: self.device.last_seen().map(|seen| now.seconds_since(seen)),
            has_arm: seen.is_some_and(|seen| now.seconds_since(seen.arm.received) < 1.0),
            chunks: status.chunks,
        };
    }
}
