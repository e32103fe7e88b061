//! Supervisor: decides at every tick whether the arm follows a chunk, makes a named move, brakes, holds, or is disarmed.
//!
//! The supervisor owns everything between chunks and the driver. It receives inputs with their times and ticks at the
//! command rate; it never waits and never reads a clock. At most one joint frame is sent per tick.

mod chunk_acceptance;
mod clock;
mod ending;
mod following;
mod inputs;
mod requests;
mod rest_detection;
mod starting;
mod status;

pub use requests::MoveProgress;
pub use status::{ArmMode, PlannedPath, SupervisorStatus};

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::control::arm::ArmError;
use crate::control::config::ArmConfig;
use crate::control::event::{Check, Event, EventKind};
use crate::control::executor::Executor;
use crate::control::gate::Gate;
use crate::control::lease::Leases;
use crate::control::liveness::StateLiveness;
use crate::control::named_move::NamedMove;
use crate::realman::graph::{ALL_ERRORS, ARM_ERRORS, JOINT_ERRORS, SYSTEM_ERRORS};
use crate::realman::{Driver, DriverCommand, Realman};
use crate::types::Joints;
use crate::types::time::{Now, Steady, Time};
use clock::ClockWatch;
use rest_detection::RestWatch;
use status::RateMeter;

/// Refusal of a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{check}: {message}")]
pub struct Refusal {
    /// Check that refused it.
    pub check: Check,
    /// Expected and found value, with advice.
    pub message: String,
}

impl Refusal {
    fn new(check: Check, message: impl Into<String>) -> Self {
        Self {
            check,
            message: message.into(),
        }
    }
}

/// Error of a stop; commands have ended all the same.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StopError {
    /// The first stop message was not sent.
    #[error("a stop was not sent: {0}")]
    NotSent(ArmError),
    /// Nobody subscribes to the stop.
    #[error("expected a subscriber of move_stop_cmd, found none; use the arm's own emergency stop")]
    Unmatched,
}

/// Source of error codes; each message of a channel reports all its present codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ErrorChannel {
    /// `udp_rm_err`, generation v2.
    All,
    /// `udp_sys_err`, generation v1.
    System,
    /// `udp_arm_err`, generation v1.
    Arm,
    /// `udp_joint_error_code`, one code per joint.
    Joints,
}

impl ErrorChannel {
    /// Topic of its messages, before remapping.
    fn topic(self) -> &'static str {
        match self {
            Self::All => ALL_ERRORS,
            Self::System => SYSTEM_ERRORS,
            Self::Arm => ARM_ERRORS,
            Self::Joints => JOINT_ERRORS,
        }
    }
}

/// Mode after braking to rest, in increasing order of severity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum AfterRest {
    Hold,
    Disarm,
    Fault,
}

/// Output to the driver; in a dry run nothing is sent.
#[derive(Debug)]
enum Output<D> {
    Live(D),
    DryRun(D),
}

impl<D: Driver> Driver for Output<D> {
    fn send(&mut self, command: &DriverCommand) -> Result<(), ArmError> {
        match self {
            Self::Live(driver) => driver.send(command),
            Self::DryRun(_) => Ok(()),
        }
    }
}

/// Token for sending one joint frame. Each tick creates one and sending consumes it: two frames in a period would command
/// twice the speed.
#[derive(Debug)]
struct Frame(());

/// Counters of the supervisor beside those of the gate.
#[derive(Debug, Clone, Copy, Default)]
struct Counters {
    chunks: u64,
    moves: u64,
    refusals: u64,
    underruns: u64,
}

/// Supervisor of an arm.
#[derive(Debug)]
pub struct Supervisor<D: Driver> {
    config: ArmConfig,
    gate: Gate<Realman<Output<D>>>,
    executor: Executor,
    leases: Leases,
    liveness: StateLiveness,
    mode: ArmMode,
    reason: String,
    after_rest: AfterRest,
    measured: Option<Joints>,
    /// Stamp of the last joint state.
    state_stamp: Time,
    named_move: Option<NamedMove>,
    /// Outcome of the last named move; `None` while one runs and before the first.
    move_result: Option<MoveProgress>,
    /// Lease and id of the last chunk.
    last_plan: Option<(u64, u64)>,
    errors: BTreeMap<ErrorChannel, Vec<u32>>,
    latched_errors: Vec<u32>,
    clamped: bool,
    /// Whether a motion starts and no command of it has been sent yet.
    starting: bool,
    /// Time since which that motion has been waiting for the arm to come to rest.
    waiting_since: Option<Steady>,
    resting: RestWatch,
    clock: ClockWatch,
    last_tick: Steady,
    counters: Counters,
    rate: RateMeter,
}

impl<D: Driver> Supervisor<D> {
    /// Creates a disarmed supervisor in front of `driver`.
    pub fn new(config: ArmConfig, driver: D, now: Now) -> Self {
        let output = if config.dry_run {
            Output::DryRun(driver)
        } else {
            Output::Live(driver)
        };
        let kinematics = config.arm.kinematics();
        let realman = Realman::new(output, &config, Arc::clone(&kinematics));
        Self {
            executor: Executor::new(&config, &*kinematics),
            gate: Gate::new(realman, &config, kinematics, Joints::zeros()),
            leases: Leases::default(),
            liveness: StateLiveness::new(config.timeouts.frozen_s),
            mode: ArmMode::Disarmed,
            reason: "not armed yet".into(),
            after_rest: AfterRest::Hold,
            measured: None,
            state_stamp: Time::default(),
            named_move: None,
            move_result: None,
            last_plan: None,
            errors: BTreeMap::new(),
            latched_errors: Vec::new(),
            clamped: false,
            starting: false,
            waiting_since: None,
            resting: RestWatch::default(),
            clock: ClockWatch::new(now),
            last_tick: now.steady,
            counters: Counters::default(),
            rate: RateMeter::default(),
            config,
        }
    }

    /// Parameters of the arm.
    pub fn config(&self) -> &ArmConfig {
        &self.config
    }

    /// Present mode.
    pub fn mode(&self) -> ArmMode {
        self.mode
    }

    /// Driver behind the supervisor.
    pub fn driver(&self) -> &D {
        match self.gate.arm().driver() {
            Output::Live(driver) | Output::DryRun(driver) => driver,
        }
    }

    /// Mutable access to the driver, for anything but commands.
    pub fn driver_mut(&mut self) -> &mut D {
        match self.gate.arm_mut().driver_mut() {
            Output::Live(driver) | Output::DryRun(driver) => driver,
        }
    }

    /// Removes and returns the events since the last call.
    pub fn drain_events(&mut self, now: Now) -> Vec<Event> {
        self.gate.events.drain(now)
    }

    /// Number of events of each kind and check since the start.
    pub fn event_tally(&self) -> &BTreeMap<(EventKind, Check), u64> {
        self.gate.events.tally()
    }

    /// Runs one control step; to be called at the command rate.
    pub fn tick(&mut self, now: Now) {
        let gap = now.steady.seconds_since(self.last_tick);
        self.last_tick = now.steady;
        self.watch_clock(now);
        self.watch_period(gap, now);
        if let Err(error) = self.gate.arm_mut().tick(now.steady) {
            self.stop_not_sent(error, now);
        }
        if let Some(lost) = self.leases.expire(self.config.timeouts.lease_s, now.steady) {
            self.gate.watchdog.forget_heartbeat();
            self.gate.events.push(now.steady, EventKind::Held, Check::Lease, || {
                format!("{} was silent and lost the lease; acquire it again", lost.source)
            });
        }
        self.watch_state(now);
        let frame = Frame(());
        match self.mode {
            ArmMode::Executing => self.follow_plan(frame, now),
            ArmMode::Moving => self.follow_move(frame, now),
            ArmMode::Braking => self.keep_braking(frame, now),
            ArmMode::Disarmed | ArmMode::Holding | ArmMode::Stopped | ArmMode::Fault => {}
        }
        if self.mode.is_armed() {
            self.executor.remember_command(now, self.gate.motion().position);
        }
    }

    /// Counts a refusal and raises its event; returns it for the sender of the request.
    fn refuse(&mut self, refusal: Refusal, now: Now) -> Refusal {
        self.counters.refusals += 1;
        self.gate
            .events
            .push(now.steady, EventKind::Refused, refusal.check, || {
                refusal.message.clone()
            });
        refusal
    }
}
