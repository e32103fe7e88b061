//! Control loop of teleoperation: reads input device and arm status at 100 Hz, and sends chunks and commands.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rclrs::{Publisher, RclrsError};
use ros_env::thinkvla::msg::ActionChunk as ChunkMessage;

use super::arm::{ArmWatch, Seen};
use super::link::Link;
use super::orders::{Orders, Told};
use super::{Steady, lock};
use crate::operator::hand::{Device, Hand};
use crate::operator::mapping::Command;
use crate::operator::session::{Session, Step};
use crate::ros::convert_chunk::{ChunkDetails, chunk_to_message};
use crate::ros::runtime::Shutdown;
use crate::ros::time::Clock;

/// Period of the loop.
const LOOK: Duration = Duration::from_millis(10);
/// Time after which a loop that has not run counts as hung, upon which the heartbeat stops (s).
const HUNG_S: f64 = 0.1;

/// State of the control loop.
pub struct Helm {
    /// The input device.
    pub device: Box<dyn Device>,
    /// The session, which turns input into chunks.
    pub session: Session,
    /// Status of the arm node.
    pub arm: ArmWatch,
    /// Client of the lease.
    pub link: Link,
    /// Commands to other nodes.
    pub orders: Orders,
    /// Publisher of chunks.
    pub chunks: Publisher<ChunkMessage>,
    /// Whether the lease is kept when the deadman is released.
    pub keeps_lease: bool,
    /// The node's clock, for stamps.
    pub clock: Clock,
    /// The monotonic clock, for the ages of input and status.
    pub steady: Steady,
    /// Measurements for diagnostics.
    pub figures: Arc<Mutex<Figures>>,
    /// Time of the loop's last run.
    pub pulse: Pulse,
    /// Messages to the operator.
    pub told: Told,
    /// Name of a requested move that waits for the lease.
    pub waiting_move: Option<String>,
}

/// Time of the loop's last run; the heartbeat thread checks it before every beat.
#[derive(Clone)]
pub struct Pulse {
    last: Arc<AtomicI64>,
    steady: Steady,
}

impl Pulse {
    /// Creates it for a loop that has not run yet.
    pub fn new(steady: Steady) -> Self {
        Self {
            last: Arc::new(AtomicI64::new(i64::MIN)),
            steady,
        }
    }

    /// Returns whether the loop ran recently enough.
    pub fn is_alive(&self) -> bool {
        let last = crate::control::time::Time(self.last.load(Ordering::Acquire));
        self.steady.now().seconds_since(last) <= HUNG_S
    }

    fn beat(&self) {
        self.last.store(self.steady.now().0, Ordering::Release);
    }
}

/// Status of the control loop.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Figures {
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

impl Helm {
    /// Runs the loop until the node shuts down, then cancels a move and releases the lease.
    ///
    /// # Errors
    /// When a chunk cannot be published.
    pub fn run(mut self, shutdown: &Shutdown, tokio: &tokio::runtime::Handle) -> Result<(), RclrsError> {
        let mut outcome = Ok(());
        while outcome.is_ok() && !shutdown.is_requested() {
            self.pulse.beat();
            outcome = self.look();
            std::thread::sleep(LOOK);
        }
        self.orders.cancel_move();
        self.link.close(tokio);
        outcome
    }

    fn look(&mut self) -> Result<(), RclrsError> {
        let now = self.steady.now();
        let hand = self.device.hand(now);
        for command in self.device.commands() {
            self.obey(&command);
        }
        let seen = self.arm.latest();
        if let Some(seen) = &seen {
            self.compare(seen, &hand);
        }
        if let Some(why) = self.link.refusal() {
            self.session.end();
            self.waiting_move = None;
            self.told.warn(format!("{why}; let go and press again"));
        }
        let (engaged, lease) = (self.session.is_engaged(), self.link.lease());
        if let Some((name, lease)) = self.waiting_move.take_if(|_| lease.is_some()).zip(lease) {
            self.orders.move_to(&name, lease);
        }
        let arm = seen.as_ref().map(|seen| &seen.arm);
        match self.session.look(&hand, arm, lease, now) {
            Ok(Step::Rest) => {}
            Ok(Step::Acquire) => self.link.acquire(),
            Ok(Step::Send(chunk)) => {
                let details = ChunkDetails {
                    stamp: self.clock.now(),
                    ..ChunkDetails::default()
                };
                self.chunks.publish(chunk_to_message(&chunk, &details))?;
                lock(&self.figures).chunks += 1;
            }
            Ok(Step::LetGo(why)) => {
                self.link.release(self.keeps_lease);
                self.told.say(format!("{why}: the arm brakes and holds"));
            }
            Ok(Step::Refuse(why)) => self.told.warn(format!("not engaged: {why}")),
            Err(error) => {
                self.session.end();
                self.link.release(self.keeps_lease);
                self.told.warn(format!("arm_status: {error}"));
            }
        }
        if self.session.is_engaged() && !engaged {
            self.told
                .say(format!("engaged at speed scale {}", self.session.scale()));
        }
        let moving = self.waiting_move.is_some() || self.orders.is_moving();
        let idle = !self.session.is_engaged() && !self.session.is_waiting() && !moving;
        if idle && !self.keeps_lease && self.link.lease().is_some() {
            self.link.release(false);
        }
        self.show(&hand, seen.as_ref());
        Ok(())
    }

    /// Handles the parts of the arm's status that do not concern the session.
    fn compare(&mut self, seen: &Seen, hand: &Hand) {
        if let Some(lost) = self.link.compare(seen) {
            self.told.warn(lost);
        }
        // An operator who takes over, or whose input fails, must not be overridden by a named move.
        if hand.held || hand.fault.is_some() {
            self.waiting_move = None;
            if seen.moving {
                self.orders.cancel_move();
            }
        }
    }

    fn obey(&mut self, command: &Command) {
        if self.session.command(command) {
            if matches!(command, Command::Faster | Command::Slower) {
                self.told.say(format!("speed scale {}", self.session.scale()));
            }
            return;
        }
        if self.orders.obey(command) {
            return;
        }
        match command {
            Command::MoveTo(name) => {
                self.waiting_move = Some(name.clone());
                self.link.acquire();
            }
            Command::LetGo => {
                self.orders.cancel_move();
                self.drop_arm(self.keeps_lease);
                self.told.say("let go: the arm brakes and holds");
            }
            Command::HandBack => {
                self.drop_arm(false);
                self.told.say("the lease is free");
            }
            Command::ResumePolicy => {
                self.drop_arm(false);
                self.orders.resume_policy(self.link.settled());
            }
            _ => {}
        }
    }

    /// Ends motion, whatever the input device reports.
    fn drop_arm(&mut self, keep: bool) {
        let engaged = self.session.is_engaged();
        self.session.end();
        self.waiting_move = None;
        if engaged || !keep {
            self.link.release(keep);
        }
    }

    fn show(&self, hand: &Hand, seen: Option<&Seen>) {
        let now = self.steady.now();
        let mut figures = lock(&self.figures);
        *figures = Figures {
            state: match (self.session.is_engaged(), self.session.is_waiting()) {
                (true, _) => "engaged",
                (_, true) => "waiting",
                _ => "idle",
            },
            scale: self.session.scale(),
            opening: self.session.opening(),
            lease: self.link.lease(),
            fault: hand.fault.clone(),
            silence_s: self.device.last_seen().map(|seen| now.seconds_since(seen)),
            has_arm: seen.is_some_and(|seen| now.seconds_since(seen.arm.received) < 1.0),
            chunks: figures.chunks,
        };
    }
}
