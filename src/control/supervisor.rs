//! Decides, tick by tick, what the arm does: follow a chunk, move by name, brake, hold, or nothing at all.
//!
//! The supervisor owns everything between a chunk and the driver. It is told what was received, and when, and ticks at
//! the command rate; it never waits and never reads a clock.

mod inputs;
mod requests;
mod status;

pub use requests::MoveProgress;
pub use status::{Mode, PlannedPath, Status};

use std::collections::BTreeMap;

use super::arm::{Arm, ArmError, Basis, JointCommand};
use super::config::ArmConfig;
use super::event::{Check, Event, EventKind};
use super::executor::{Executor, PlannedJoints};
use super::gate::{Attempt, Braking, Gate};
use super::kinematics::InverseError;
use super::lease::Leases;
use super::liveness::StateLiveness;
use super::named_move::NamedMove;
use super::realman::{Driver, DriverCommand, Realman};
use super::time::Time;
use super::types::Joints;
use status::RateMeter;

/// A commanded arm that has not come to its target this long after the end of a plan is held where it is [s].
const SETTLE_S: f64 = 1.0;
/// Commands closer than this to the target count as unchanged [rad].
const UNCHANGED_RAD: f64 = 1e-9;

/// Why something asked for is not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{check}: {message}")]
pub struct Refusal {
    /// Check that spoke.
    pub check: Check,
    /// Expected, found, what to do.
    pub message: String,
}

/// Where error codes come from; each channel reports all its codes every time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ErrorChannel {
    /// `udp_rm_err`, generation v2.
    All,
    /// `udp_sys_err`, generation v1.
    System,
    /// `udp_arm_err`, generation v1.
    Arm,
    /// `udp_joint_error_code`, one code a joint.
    Joints,
}

/// What follows when a braking arm has come to rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AfterRest {
    Hold,
    Disarm,
    Fault,
}

/// The driver, or nothing in its place while commands are only shown.
#[derive(Debug)]
enum Output<D> {
    Live(D),
    DryRun(D),
}

impl<D: Driver> Driver for Output<D> {
    fn send(&mut self, command: &DriverCommand) -> Result<(), String> {
        match self {
            Self::Live(driver) => driver.send(command),
            Self::DryRun(_) => Ok(()),
        }
    }
}

/// What the supervisor counts beside the gate.
#[derive(Debug, Clone, Copy, Default)]
struct Counters {
    chunks: u64,
    refusals: u64,
    underruns: u64,
}

/// Everything between chunks and the driver.
#[derive(Debug)]
pub struct Supervisor<D: Driver> {
    config: ArmConfig,
    gate: Gate<Realman<Output<D>>>,
    executor: Executor,
    leases: Leases,
    liveness: StateLiveness,
    mode: Mode,
    reason: String,
    after_rest: AfterRest,
    measured: Option<Joints>,
    named_move: Option<NamedMove>,
    move_result: Option<Result<(), String>>,
    /// Lease and id of the last chunk.
    last_plan: Option<(u64, u64)>,
    errors: BTreeMap<ErrorChannel, Vec<u32>>,
    latched_errors: Vec<u32>,
    clamped: bool,
    last_tick: Time,
    counters: Counters,
    rate: RateMeter,
}

impl<D: Driver> Supervisor<D> {
    /// A disarmed supervisor in front of `driver`.
    pub fn new(config: ArmConfig, driver: D, now: Time) -> Self {
        let output = if config.dry_run {
            Output::DryRun(driver)
        } else {
            Output::Live(driver)
        };
        let realman = Realman::new(output, &config);
        Self {
            gate: Gate::new(realman, &config, Joints::zeros()),
            executor: Executor::new(&config),
            leases: Leases::default(),
            liveness: StateLiveness::new(config.timeouts.frozen_s),
            mode: Mode::Disarmed,
            reason: "not armed yet".into(),
            after_rest: AfterRest::Hold,
            measured: None,
            named_move: None,
            move_result: None,
            last_plan: None,
            errors: BTreeMap::new(),
            latched_errors: Vec::new(),
            clamped: false,
            last_tick: now,
            counters: Counters::default(),
            rate: RateMeter::default(),
            config,
        }
    }

    /// The arm's parameters.
    pub fn config(&self) -> &ArmConfig {
        &self.config
    }

    /// The driver.
    pub fn driver(&self) -> &D {
        match self.gate.arm().driver() {
            Output::Live(driver) | Output::DryRun(driver) => driver,
        }
    }

    /// The driver, to be told things that are no commands.
    pub fn driver_mut(&mut self) -> &mut D {
        match self.gate.arm_mut().driver_mut() {
            Output::Live(driver) | Output::DryRun(driver) => driver,
        }
    }

    /// What happened since the last call.
    pub fn drain_events(&mut self) -> Vec<Event> {
        self.gate.events.drain()
    }

    /// Does what is due; to be called at the command rate.
    pub fn tick(&mut self, now: Time) {
        if now < self.last_tick {
            self.clock_went_back(now);
        }
        self.last_tick = now;
        if let Err(error) = self.gate.arm_mut().tick(now) {
            self.gate.events.push(now, EventKind::Fault, Check::Driver, || {
                format!("a stop was not sent: {error}")
            });
        }
        if let Some(lost) = self.leases.expire(self.config.timeouts.lease_s, now) {
            self.gate.fresh.forget_heartbeat();
            self.gate.events.push(now, EventKind::Held, Check::Lease, || {
                format!("{} was silent and lost the lease; acquire it again", lost.source)
            });
        }
        self.watch_state(now);
        match self.mode {
            Mode::Executing => self.follow_plan(now),
            Mode::Moving => self.follow_move(now),
            Mode::Braking => self.keep_braking(now),
            Mode::Disarmed | Mode::Holding | Mode::Stopped | Mode::Fault => {}
        }
        if self.mode.is_armed() {
            self.executor.remember_command(now, self.gate.motion().position);
        }
    }

    /// A clock that goes back would make everything look fresh: nothing received before counts any more.
    fn clock_went_back(&mut self, now: Time) {
        let seconds = self.last_tick.seconds_since(now);
        self.gate.events.push(now, EventKind::Held, Check::Clock, || {
            format!("expected time to go forward, found it {seconds:.3} s back; everything has to be received anew")
        });
        self.gate.fresh.forget_heartbeat();
        self.gate.fresh.state_received(now);
        self.executor.restart(now, self.gate.motion().position);
        self.liveness.rest();
        if self.mode.is_moving() {
            self.begin_braking(AfterRest::Hold, "the clock went back".into(), now);
        }
    }

    /// Brakes and latches a fault when the joint state is lost, frozen, or far from the commands.
    fn watch_state(&mut self, now: Time) {
        let failing = self.mode == Mode::Braking && self.after_rest == AfterRest::Fault;
        if !self.mode.is_armed() || failing {
            return;
        }
        let stale = self
            .gate
            .fresh
            .stale_state(now)
            .map(|stale| (Check::Fresh, stale.to_string()));
        let Some((check, reason)) = stale.or_else(|| self.unfollowed(now)) else {
            return;
        };
        let told = reason.clone();
        self.gate.events.push(now, EventKind::Fault, check, || {
            format!("{told}; braking, then a fault is latched")
        });
        self.begin_braking(AfterRest::Fault, reason, now);
    }

    fn unfollowed(&self, now: Time) -> Option<(Check, String)> {
        if self.config.dry_run || !self.mode.is_moving() {
            return None;
        }
        if let Some(still) = self.liveness.frozen(now) {
            let message = format!(
                "expected the joint state to follow commanded motion, found it identical to the last bit for {still:.2} s; \
                 the driver repeats old values, check its UDP address and cable"
            );
            return Some((Check::State, message));
        }
        let (limit, found) = (self.config.tracking.error_rad, self.tracking_error()?);
        (found > limit).then(|| {
            let message = format!("expected the arm within {limit:.3} rad of its commands, found {found:.3} rad");
            (Check::Tracking, message)
        })
    }

    /// Largest distance between commanded and measured joints [rad].
    fn tracking_error(&self) -> Option<f64> {
        self.measured
            .map(|measured| (measured - self.gate.motion().position).amax())
    }

    fn follow_plan(&mut self, now: Time) {
        let Some(observed) = self.executor.plan().map(|plan| plan.observed) else {
            self.begin_braking(AfterRest::Hold, "no plan".into(), now);
            return;
        };
        let Some(positions) = self.send_along_plan(Basis::Chunk { observed }, now) else {
            return;
        };
        if let Some(opening) = self.executor.gripper()
            && let Err(ArmError::Transport(message)) = self.gate.grip(opening, now)
        {
            self.latch(Mode::Fault, Check::Driver, message, now);
            return;
        }
        self.end_plan(&positions, now);
    }

    /// Sends the furthest point along the plan that fits every limit; where none does, the one nearest to the present
    /// motion, for the gate to change. Returns the joints asked for, unless the arm now brakes or has faulted.
    fn send_along_plan(&mut self, basis: Basis, now: Time) -> Option<Joints> {
        let mut first = None;
        let mut nearest: Option<(f64, PlannedJoints)> = None;
        let motion = *self.gate.motion();
        let continued = motion.position + motion.velocity * self.config.period();
        for time in self.executor.candidates(now) {
            let planned = match self.executor.joints_at(time)? {
                Ok(planned) => planned,
                Err(error) => {
                    self.cannot_reach(&error, now);
                    return None;
                }
            };
            let command = JointCommand {
                positions: planned.positions,
                basis,
            };
            match self.gate.attempt(&command, now) {
                Ok(Attempt::Sent) => {
                    match &first {
                        Some(violation) => self.gate.slowed(violation, now),
                        None if time < now => self.gate.count_clamp(),
                        None => {}
                    }
                    self.clamped = time != now;
                    self.executor.advance(&planned);
                    self.sent(now);
                    return Some(planned.positions);
                }
                Ok(Attempt::Beyond(violation)) => {
                    first.get_or_insert(violation);
                    let distance = (planned.positions - continued).amax();
                    if nearest.is_none_or(|(least, _)| distance < least) {
                        nearest = Some((distance, planned));
                    }
                }
                Err(error) => {
                    self.not_sent(error, now);
                    return None;
                }
            }
        }
        let (_, planned) = nearest?;
        self.executor.advance(&planned);
        let command = JointCommand {
            positions: planned.positions,
            basis,
        };
        self.send(command, now).then_some(planned.positions)
    }

    fn cannot_reach(&mut self, error: &InverseError, now: Time) {
        let message = format!("the next pose cannot be taken up, {error}");
        self.refuse(Check::Reach, message.clone(), now);
        self.begin_braking(AfterRest::Hold, message, now);
        self.keep_braking(now);
    }

    fn end_plan(&mut self, positions: &Joints, now: Time) {
        let motion = self.gate.motion();
        let arrived = motion.is_at_rest() && (motion.position - positions).amax() < UNCHANGED_RAD;
        let end = self.executor.plan().map_or(now, |plan| plan.end());
        if !(self.executor.is_over() && arrived) && now.seconds_since(end) < SETTLE_S {
            return;
        }
        self.executor.drop_plan();
        self.counters.underruns += 1;
        self.gate.events.push(now, EventKind::Held, Check::Underrun, || {
            "expected the next chunk before the last one ended, found none; holding".into()
        });
        self.begin_braking(AfterRest::Hold, "the chunk ran out".into(), now);
        self.keep_braking(now);
    }

    fn follow_move(&mut self, now: Time) {
        let Some(named_move) = &self.named_move else {
            self.begin_braking(AfterRest::Hold, "no move".into(), now);
            return;
        };
        let positions = named_move.at(now);
        let over = named_move.is_over(now);
        if !self.send(
            JointCommand {
                positions,
                basis: Basis::NamedMove,
            },
            now,
        ) || !over
        {
            return;
        }
        let motion = self.gate.motion();
        if motion.is_at_rest() && (motion.position - positions).amax() < UNCHANGED_RAD {
            let reason = self
                .named_move
                .take()
                .map_or_else(String::new, |done| format!("at {}", done.name));
            self.move_result = Some(Ok(()));
            self.rest(Mode::Holding, reason);
        }
    }

    /// Sends through the gate; false when the arm now brakes or has faulted.
    fn send(&mut self, command: JointCommand, now: Time) -> bool {
        match self.gate.command(&command, now) {
            Ok(()) => {
                self.clamped = (self.gate.motion().position - command.positions).amax() > UNCHANGED_RAD;
                self.sent(now);
                true
            }
            Err(error) => {
                self.not_sent(error, now);
                false
            }
        }
    }

    /// A refused command was replaced by braking; anything else means that nothing can be sent at all.
    fn not_sent(&mut self, error: ArmError, now: Time) {
        match error {
            ArmError::Refused { message, .. } => {
                self.begin_braking(AfterRest::Hold, message, now);
                self.sent(now);
            }
            error => self.latch(Mode::Fault, Check::Driver, error.to_string(), now),
        }
    }

    fn sent(&mut self, now: Time) {
        self.rate.count(now);
        self.liveness.command_sent(self.gate.motion().position, now);
    }

    fn begin_braking(&mut self, after: AfterRest, reason: String, now: Time) {
        self.executor.drop_plan();
        if self.named_move.take().is_some() {
            self.move_result = Some(Err(reason.clone()));
        }
        self.clamped = true;
        self.after_rest = after;
        self.reason = reason;
        self.mode = Mode::Braking;
        if self.gate.motion().is_at_rest() {
            self.come_to_rest(now);
        }
    }

    fn keep_braking(&mut self, now: Time) {
        if self.mode != Mode::Braking {
            return;
        }
        // What braking needs is an arm that listens; its basis is not looked at.
        match self.gate.brake(Basis::NamedMove, now) {
            Ok(Braking::Moving) => self.sent(now),
            Ok(Braking::AtRest) => self.come_to_rest(now),
            Err(error) => self.latch(Mode::Fault, Check::Driver, error.to_string(), now),
        }
    }

    fn come_to_rest(&mut self, now: Time) {
        let reason = std::mem::take(&mut self.reason);
        match self.after_rest {
            AfterRest::Hold => self.rest(Mode::Holding, reason),
            AfterRest::Disarm => self.rest(Mode::Disarmed, reason),
            AfterRest::Fault => {
                self.gate.events.push(now, EventKind::Fault, Check::Mode, || {
                    format!("{reason}; latched, reset the fault and arm again")
                });
                self.rest(Mode::Fault, reason);
            }
        }
    }

    fn rest(&mut self, mode: Mode, reason: String) {
        self.mode = mode;
        self.reason = reason;
        self.liveness.rest();
    }

    /// Ends all commands at once, sends the stop, and stays so until it is reset.
    fn latch(&mut self, mode: Mode, check: Check, reason: String, now: Time) {
        self.executor.drop_plan();
        if self.named_move.take().is_some() {
            self.move_result = Some(Err(reason.clone()));
        }
        let position = self.measured.unwrap_or(self.gate.motion().position);
        self.gate.rest_at(position);
        let kind = if mode == Mode::Stopped {
            EventKind::Stopped
        } else {
            EventKind::Fault
        };
        let told = reason.clone();
        self.gate.events.push(now, kind, check, || {
            format!("{told}; latched, reset the fault and arm again")
        });
        self.rest(mode, reason);
        if let Err(error) = self.gate.arm_mut().stop(now) {
            self.gate.events.push(now, EventKind::Fault, Check::Driver, || {
                format!("a stop was not sent: {error}")
            });
        }
    }

    fn refuse(&mut self, check: Check, message: String, now: Time) -> Refusal {
        self.counters.refusals += 1;
        let told = message.clone();
        self.gate.events.push(now, EventKind::Refused, check, || told);
        Refusal { check, message }
    }
}
