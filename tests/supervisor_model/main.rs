//! Model-based test of the supervisor: random sequences of all inputs, against a model of what it must never do.
//!
//! `PROPTEST_CASES=1000000 cargo test --release --test supervisor_model` runs a million sequences.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // helpers of tests may panic

#[path = "../support/arm_rig.rs"]
mod arm_rig;
mod inputs;

use std::cell::Cell;
use std::f64::consts::{FRAC_PI_2, FRAC_PI_3, FRAC_PI_6};

use arm_rig::{PERIOD, Rig, config, steps};
use inputs::input;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use thinkvla::contract::{ActionSpace, Composition, Reference};
use thinkvla::control::event::{Check, EventKind};
use thinkvla::control::lease::Priority;
use thinkvla::realman::graph::{COMMAND_TOPICS, Publishers};
use thinkvla::realman::{DriverApi, Graph};
use thinkvla::supervisor::{ArmMode, ErrorChannel};
use thinkvla::types::Joints;
use thinkvla::types::time::Steady;

/// Time within which an arm that a motion starts from has not moved (s).
const STILL_S: f64 = 0.045;
/// Age of the last sign of life of a source at which its motion has ended (s): that of a heartbeat, 80 ms, its period and a tick.
const SILENCE_S: f64 = 0.11;
/// Ticks for which a motion may wait for the arm to come to rest: a second, and its ends.
const WAITS: u32 = 105;
/// Positions at which the arm starts (rad): `ready`, and the same pose of the tool with joint 5 close to its limit.
const STARTS: [[f64; 7]; 2] = [
    [0.0, FRAC_PI_6, 0.0, FRAC_PI_3, 0.0, FRAC_PI_2, 0.0],
    [0.0, FRAC_PI_6, 0.0, FRAC_PI_3, 3.0, -FRAC_PI_2, 3.1],
];
/// Rounding of a position to 32 bits in the messages (rad).
const ROUNDING_RAD: f64 = 1e-6;

/// An input of the supervisor, or an event around it.
#[derive(Debug, Clone, Copy)]
enum ModelInput {
    Ticks(u8),
    Chunk(Asked),
    Move(bool),
    CancelMove,
    Arm,
    Disarm,
    Stop,
    Reset,
    Acquire(Priority),
    Release,
    Heartbeat(bool),
    DropStates(bool),
    Frozen(bool),
    Error(u32),
    Publishers(usize),
    Jump(f64),
    Rate(f64),
    Stall(f64),
    Push(f64),
    Lag(f64),
    /// All faults end, and the policy gets the lease.
    Recover,
}

/// A chunk to be sent.
#[derive(Debug, Clone, Copy)]
struct Asked {
    space: ActionSpace,
    composition: Composition,
    reference: Reference,
    step: [f64; 3],
    count: u8,
    period: f64,
    late: f64,
    foreign: bool,
}

/// Mode that motion must end in, the weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Ending {
    None,
    Disarmed,
    Stopped,
    Fault,
}

impl Ending {
    fn permits(self, mode: ArmMode) -> bool {
        match self {
            Self::None => mode.is_armed(),
            Self::Disarmed => matches!(mode, ArmMode::Braking | ArmMode::Disarmed),
            Self::Stopped => mode == ArmMode::Stopped,
            Self::Fault => matches!(mode, ArmMode::Braking | ArmMode::Fault),
        }
    }
}

/// Number of times that the model saw each case.
#[derive(Debug, Default)]
struct Tally {
    frames: Cell<u64>,
    starts: Cell<u64>,
    faults: Cell<u64>,
    stalls: Cell<u64>,
}

fn add(cell: &Cell<u64>) {
    cell.set(cell.get() + 1);
}

struct Model<'a> {
    rig: Rig,
    ending: Ending,
    mode: ArmMode,
    /// Number of frames at the last check.
    frames: usize,
    /// Number of fault events, including repetitions.
    faults: u64,
    /// Whether no frame has left since the arm came to rest.
    resting: bool,
    /// Joint states of the last 50 ms, with their times (rad).
    states: Vec<(Steady, Joints)>,
    /// Velocity of the last frame (rad/s); unknown for the first one, which starts from the resting position.
    velocity: Option<Joints>,
    /// Time of the last sign of life of the lease holder.
    alive: Steady,
    /// Number of ticks in a row in which a motion sent nothing.
    unsent: u32,
    tally: &'a Tally,
}

impl<'a> Model<'a> {
    fn new(start: usize, tally: &'a Tally) -> Self {
        let mut rig = Rig::new(config());
        rig.place(Joints::from(STARTS[start]));
        rig.run(0.02);
        Self {
            rig,
            ending: Ending::Disarmed,
            mode: ArmMode::Disarmed,
            frames: 0,
            faults: 0,
            resting: true,
            states: Vec::new(),
            velocity: None,
            alive: Steady::default(),
            unsent: 0,
            tally,
        }
    }

    fn tick(&mut self) -> Result<(), TestCaseError> {
        let status = self.rig.status();
        let (before, last) = (status.mode, status.commanded_joints);
        let beats = self.rig.heartbeat && status.lease == self.rig.lease;
        // The rig itself asserts that at most one frame leaves in a tick.
        self.rig.tick();
        let now = self.rig.now.steady;
        if beats {
            self.alive = now;
        }
        let (silence, mode) = (now.seconds_since(self.alive), self.rig.mode());
        let is_over = !matches!(mode, ArmMode::Executing | ArmMode::Moving);
        prop_assert!(is_over || silence <= SILENCE_S, "{mode} after {silence} s of silence");
        if !self.rig.drop_states {
            self.states.push((now, self.rig.reported));
        }
        self.states.retain(|(at, _)| now.seconds_since(*at) <= STILL_S);
        let frame = self.rig.sent().get(self.frames).map(|(_, joints)| *joints);
        self.frames = self.rig.sent().len();
        self.unsent = if is_over || frame.is_some() { 0 } else { self.unsent + 1 };
        prop_assert!(self.unsent <= WAITS, "{mode} without a command");
        let Some(frame) = frame else {
            return self.check();
        };
        add(&self.tally.frames);
        prop_assert!(before.is_moving(), "a command left while {before}");
        let limits = config().limits;
        let beyond = (limits.lowest() - frame).sup(&(frame - limits.highest())).max();
        prop_assert!(beyond <= ROUNDING_RAD, "a command {beyond} rad beyond the joint limits");
        if self.resting {
            add(&self.tally.starts);
            let away = (frame - self.rig.reported).amax();
            prop_assert!(away <= 1e-3, "the first command is {away} rad from the arm");
            let moved = self
                .states
                .iter()
                .map(|(_, joints)| (joints - self.rig.reported).amax());
            let moved = moved.fold(0.0, f64::max);
            let off = (self.rig.reported - last).amax();
            prop_assert!(
                moved <= 2.01e-3 || off <= 1e-3,
                "a motion began {off} rad off, while the arm moved by {moved} rad"
            );
            (self.resting, self.velocity) = (false, None);
        } else {
            let velocity = (frame - last) / PERIOD;
            let share = velocity.abs().component_div(&limits.velocity()).max();
            prop_assert!(share <= 1.02, "{share} of the velocity limit");
            if let Some(before) = self.velocity.replace(velocity) {
                let change = (velocity - before) / PERIOD;
                let share = change.abs().component_div(&limits.acceleration()).max();
                // Positions are rounded to 32 bits in the messages.
                prop_assert!(share <= 1.02, "{share} of the acceleration limit");
            }
        }
        self.check()
    }

    /// Checks the events, and compares mode and frames with what the model permits.
    fn check(&mut self) -> Result<(), TestCaseError> {
        let events = self.rig.supervisor.event_tally();
        prop_assert!(!events.contains_key(&(EventKind::Fault, Check::Verify)));
        let faults = events.iter().filter(|((kind, _), _)| *kind == EventKind::Fault);
        let faults = faults.map(|(_, count)| *count).sum();
        if faults > self.faults {
            self.ending = self.ending.max(Ending::Fault);
            add(&self.tally.faults);
        }
        self.faults = faults;
        if self.rig.has(EventKind::Held, Check::Period) {
            add(&self.tally.stalls);
        }
        self.rig.events.clear();
        prop_assert_eq!(self.rig.sent().len(), self.frames, "a command left outside of a tick");
        self.mode = self.rig.mode();
        prop_assert!(
            self.ending.permits(self.mode),
            "{} where {:?} was called for",
            self.mode,
            self.ending
        );
        self.resting |= !self.mode.is_moving();
        prop_assert_eq!(self.rig.status().nonfinite, 0);
        Ok(())
    }

    fn chunk(&mut self, asked: Asked) -> Result<(), TestCaseError> {
        let [x, y, turn] = asked.step;
        let step = match asked.space {
            ActionSpace::Ee7 => vec![x, y, 0.0, 0.0, 0.0, turn, 1.0],
            ActionSpace::Joint8 => vec![x, y, 0.0, turn, 0.0, 0.0, x, 0.0],
        };
        let mut chunk = self.rig.chunk(asked.space, step.repeat(usize::from(asked.count)));
        chunk.composition = asked.composition;
        chunk.reference = asked.reference;
        chunk.step_period = asked.period;
        chunk.observed = chunk.observed.offset_secs(-asked.late);
        chunk.lease = chunk.lease.wrapping_add(u64::from(asked.foreign));
        let outcome = self.rig.supervisor.on_chunk(chunk, self.rig.now);
        prop_assert!(!asked.foreign || outcome.is_err(), "a chunk of another lease was taken");
        Ok(())
    }

    fn apply(&mut self, input: ModelInput) -> Result<(), TestCaseError> {
        let now = self.rig.now;
        let supervisor = &mut self.rig.supervisor;
        match input {
            ModelInput::Ticks(count) => {
                for _ in 0..count {
                    self.tick()?;
                }
            }
            ModelInput::Chunk(asked) => self.chunk(asked)?,
            ModelInput::Move(home) => {
                drop(supervisor.move_named(if home { "home" } else { "ready" }, 0.7, self.rig.lease, now))
            }
            ModelInput::CancelMove => supervisor.cancel_move(now),
            ModelInput::Arm => {
                let armed = supervisor.arm(now).is_ok();
                if armed && self.mode == ArmMode::Disarmed {
                    prop_assert_eq!(self.ending, Ending::Disarmed);
                    self.ending = Ending::None;
                }
            }
            ModelInput::Disarm => {
                supervisor.disarm(now);
                self.ending = self.ending.max(Ending::Disarmed);
            }
            ModelInput::Stop => {
                // Without a driver the stop is not delivered, but the mode changes all the same.
                let _ = supervisor.stop("button", now);
                self.ending = self.ending.max(Ending::Stopped);
            }
            ModelInput::Reset => {
                if supervisor.reset_fault(now).is_ok() {
                    prop_assert!(matches!(self.mode, ArmMode::Stopped | ArmMode::Fault));
                    self.ending = Ending::Disarmed;
                }
            }
            ModelInput::Acquire(priority) => {
                let source = if priority == Priority::Policy {
                    "policy"
                } else {
                    "teleop"
                };
                if let Ok(lease) = supervisor.acquire_lease(source, priority, now) {
                    self.rig.lease = lease;
                    self.rig.source = source.to_owned();
                    self.alive = now.steady;
                }
            }
            ModelInput::Release => drop(supervisor.release_lease(self.rig.lease, now)),
            ModelInput::Heartbeat(on) => self.rig.heartbeat = on,
            ModelInput::DropStates(on) => self.rig.drop_states = on,
            ModelInput::Frozen(on) => self.rig.frozen = on,
            ModelInput::Error(code) => supervisor.on_driver_errors(ErrorChannel::All, &[code], now),
            ModelInput::Publishers(command_publishers) => {
                let mut graph = Graph {
                    command_subscribers: command_publishers.min(1),
                    ..Graph::of_driver(DriverApi::V2)
                };
                graph.commanding.push(Publishers {
                    topic: COMMAND_TOPICS[0].to_owned(),
                    nodes: vec!["/another".to_owned(); command_publishers.saturating_sub(1)],
                });
                supervisor.on_graph(graph, now);
            }
            ModelInput::Jump(seconds) => self.rig.jump(seconds),
            ModelInput::Rate(rate) => self.rig.rate = rate,
            ModelInput::Stall(seconds) => {
                self.rig.pass(seconds - PERIOD);
                // After more than three periods the arm has come to rest by itself.
                self.resting |= seconds > 3.0 * PERIOD + 1e-9;
                self.tick()?;
            }
            ModelInput::Lag(lag) => self.rig.lag = lag,
            ModelInput::Push(rad) => self.rig.joints += Joints::repeat(rad),
            ModelInput::Recover => {
                for input in [
                    ModelInput::Heartbeat(true),
                    ModelInput::DropStates(false),
                    ModelInput::Frozen(false),
                    ModelInput::Lag(0.0),
                    ModelInput::Rate(1.0),
                    ModelInput::Error(0),
                    ModelInput::Publishers(1),
                    ModelInput::Acquire(Priority::Policy),
                    ModelInput::Ticks(8),
                    ModelInput::Reset,
                    ModelInput::Arm,
                ] {
                    self.apply(input)?;
                }
            }
        }
        self.check()
    }
}

#[test]
fn no_sequence_of_happenings_moves_an_arm_that_must_not_move() {
    let tally = Tally::default();
    let mut runner = TestRunner::new(Config {
        failure_persistence: None,
        ..Config::default()
    });
    let sequences = (0..STARTS.len(), prop::collection::vec(input(), 1..60));
    let outcome = runner.run(&sequences, |(start, happenings)| {
        let mut model = Model::new(start, &tally);
        // Recovers first, so that sequences are more likely to reach a moving arm.
        model.apply(ModelInput::Recover)?;
        for input in happenings {
            model.apply(input)?;
        }
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    let sequences = u64::from(Config::default().cases);
    for (what, seen) in [
        ("frames", &tally.frames),
        ("starts out of rest", &tally.starts),
        ("faults", &tally.faults),
        ("stalls", &tally.stalls),
    ] {
        assert!(
            seen.get() * 20 > sequences,
            "{sequences} sequences hardly show {what}: {tally:?}"
        );
    }
}

#[test]
fn the_model_knows_a_still_chunk_that_is_followed() {
    for start in 0..STARTS.len() {
        let tally = Tally::default();
        let mut model = Model::new(start, &tally);
        model.apply(ModelInput::Recover).unwrap();
        let chunk = model.rig.chunk(ActionSpace::Ee7, steps(5, [0.0; 7]));
        model.rig.supervisor.on_chunk(chunk, model.rig.now).unwrap();
        model.apply(ModelInput::Ticks(20)).unwrap();
        assert_eq!((tally.frames.get(), tally.starts.get()), (20, 1));
    }
}
