//! Runs whole episodes in one process: pilot, supervisor, simulated driver and physics on a virtual clock.

use std::collections::BTreeMap;

use super::config::SimConfig;
use super::driver::{Driver, State};
use super::error::SimError;
use super::expert::{ExpertPilot, STEP_PERIOD_S};
use super::pilot::{Decision, Pilot};
use super::rig::Rig;
use super::scene::SceneOptions;
use super::tasks::EpisodeId;
use super::world::STEP_S;
use crate::control::chunk::ActionChunk;
use crate::control::config::ArmConfig;
use crate::control::event::{Check, EventKind};
use crate::control::lease::{Heartbeats, Priority};
use crate::control::realman::{DriverApi, Graph};
use crate::control::supervisor::{ErrorChannel, Status, Supervisor};
use crate::control::time::{Now, Steady, Time};

/// Interval of heartbeats (s).
const HEARTBEAT_S: f64 = 0.02;

/// Environment of an episode.
#[derive(Debug, Clone, Copy)]
pub struct Stage<'a> {
    /// The table-top.
    pub sim: &'a SimConfig,
    /// The arm.
    pub arm: &'a ArmConfig,
    /// Identifies the episode.
    pub id: EpisodeId,
    /// Rendering options.
    pub scene: SceneOptions,
}

/// Result of an episode.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Identifies the episode.
    pub id: EpisodeId,
    /// The judge's verdict.
    pub success: bool,
    /// Conditions of success that held at the end.
    pub detail: String,
    /// Number of steps of 100 ms the pilot needed.
    pub steps: usize,
    /// Simulated time to success or to the limit (s).
    pub seconds: f64,
    /// Number of chunks the supervisor accepted.
    pub chunks: u64,
    /// Number of commands sent to the driver.
    pub commands: u64,
    /// Number of commands the gate changed.
    pub clamps: u64,
    /// Number of chunks, commands and requests refused.
    pub refusals: u64,
    /// Number of chunks that ran out before the next one came.
    pub underruns: u64,
    /// Number of events of each check.
    pub tally: BTreeMap<(EventKind, Check), u64>,
    /// Messages of the supervisor.
    pub events: Vec<String>,
}

/// A moment of an episode, after a physics step.
#[derive(Clone, Copy)]
pub struct Moment<'a> {
    /// Scene of the episode.
    pub rig: &'a Rig,
    /// Whether the pilot still has something to do.
    pub following: bool,
    /// Whether a command was computed in this step.
    pub ticked: bool,
    /// Whether the arm accepted a chunk in this step; the next command is its first.
    pub chunk_began: bool,
    supervisor: &'a Supervisor<Driver>,
}

impl Moment<'_> {
    /// Returns the supervisor's status: commands to the arm and its reports.
    pub fn status(&self) -> Status {
        self.supervisor.status(now(self.rig))
    }

    /// Returns the virtual time.
    pub fn time(&self) -> Time {
        time(self.rig)
    }

    /// Returns the time between two commands (s).
    pub fn command_period_s(&self) -> f64 {
        self.supervisor.config().period()
    }
}

/// Runs an episode of the expert through the supervisor; calls `look` after every physics step.
///
/// # Errors
/// When the scene cannot be built, the supervisor refuses the expert, or `look` fails.
pub fn run<E: From<SimError>>(
    config: &SimConfig,
    arm: &ArmConfig,
    id: EpisodeId,
    look: impl FnMut(Moment<'_>) -> Result<(), E>,
) -> Result<Outcome, E> {
    let mut expert = ExpertPilot::new(config, 0.0);
    let stage = Stage {
        sim: config,
        arm,
        id,
        scene: SceneOptions::default(),
    };
    let mut outcome = fly(&stage, &mut expert, look)?;
    // The expert notices only when a chunk is due that it is done.
    outcome.steps = outcome.steps.min((expert.duration_s() / STEP_PERIOD_S).ceil() as usize);
    Ok(outcome)
}

/// Runs an episode of a pilot through the supervisor, until success or the pilot's limit; calls `look` after every
/// physics step.
///
/// # Errors
/// When the scene cannot be built, the supervisor refuses the pilot, or pilot or `look` fail.
pub fn fly<E: From<SimError>>(
    stage: &Stage<'_>,
    pilot: &mut impl Pilot<E>,
    mut look: impl FnMut(Moment<'_>) -> Result<(), E>,
) -> Result<Outcome, E> {
    let mut rig = Rig::new(stage.sim, stage.id, stage.scene)?;
    let mut episode = Episode::begin(stage, pilot.source(), &mut rig)?;
    pilot.begin(&episode.moment(&rig))?;
    let limit = pilot.limit_s();
    while !rig.judge.success() && rig.world.time() < limit {
        episode.step(&mut rig, pilot)?;
        look(episode.moment(&rig))?;
    }
    Ok(episode.outcome(&rig))
}

/// The control side of an episode.
struct Episode {
    supervisor: Supervisor<Driver>,
    lease: u64,
    heartbeats: Heartbeats,
    period: f64,
    next_tick: f64,
    next_beat: f64,
    ticked: bool,
    chunk_began: bool,
    /// The pilot's chunk that has not reached the arm yet.
    thought: Option<Thought>,
    /// Time at which the pilot finished (s).
    done: Option<f64>,
}

/// A chunk on its way to the arm.
struct Thought {
    chunk: ActionChunk,
    /// Time of arrival (s).
    ready: f64,
}

impl Episode {
    fn begin(stage: &Stage<'_>, source: &str, rig: &mut Rig) -> Result<Self, SimError> {
        let arm = ArmConfig {
            dry_run: false,
            ..stage.arm.clone()
        };
        let driver = Driver::new(&stage.sim.driver, rig.world.joints());
        let period = arm.period();
        let mut supervisor = Supervisor::new(arm, driver, now(rig));
        supervisor.on_graph(Graph::of_driver(DriverApi::V2), now(rig));
        // The supervisor knows the arm's state from the first state message on.
        loop {
            let state = rig.step(supervisor.driver_mut());
            if let Some(state) = state {
                receive(&mut supervisor, &state, now(rig));
                break;
            }
        }
        let now = now(rig);
        supervisor.arm(now).map_err(|e| SimError::Begin(e.to_string()))?;
        let lease = supervisor.acquire_lease(source, Priority::Policy, now);
        let lease = lease.map_err(|e| SimError::Begin(e.to_string()))?;
        let start = rig.world.time();
        Ok(Self {
            supervisor,
            lease,
            heartbeats: Heartbeats::of(lease, source),
            period,
            next_tick: start,
            next_beat: start,
            ticked: false,
            chunk_began: false,
            thought: None,
            done: None,
        })
    }

    fn moment<'a>(&'a self, rig: &'a Rig) -> Moment<'a> {
        Moment {
            rig,
            following: self.done.is_none(),
            ticked: self.ticked,
            chunk_began: self.chunk_began,
            supervisor: &self.supervisor,
        }
    }

    fn step<E>(&mut self, rig: &mut Rig, pilot: &mut impl Pilot<E>) -> Result<(), E> {
        if let Some(state) = rig.step(self.supervisor.driver_mut()) {
            receive(&mut self.supervisor, &state, now(rig));
        }
        let (elapsed, now) = (rig.world.time(), now(rig));
        if due(elapsed, &mut self.next_beat, HEARTBEAT_S) && self.done.is_none() {
            self.supervisor.on_heartbeat(&self.heartbeats.next_heartbeat(), now);
        }
        self.ticked = due(elapsed, &mut self.next_tick, self.period);
        self.chunk_began = false;
        if self.ticked {
            self.supervisor.tick(now);
        }
        if self.done.is_none() && self.thought.is_none() {
            match pilot.decide(&self.moment(rig))? {
                Decision::Wait => {}
                Decision::Send { chunk, latency_s } => {
                    let ready = elapsed + latency_s;
                    self.thought = Some(Thought { chunk, ready });
                }
                Decision::Finish => {
                    self.done = Some(elapsed);
                    drop(self.supervisor.release_lease(self.lease, now));
                }
            }
        }
        if let Some(thought) = self.thought.take_if(|thought| elapsed >= thought.ready - STEP_S / 2.0) {
            // A refusal appears among the events; the pilot plans again from the arm's actual state.
            self.chunk_began = self.supervisor.on_chunk(thought.chunk, now).is_ok();
        }
        Ok(())
    }

    fn outcome(mut self, rig: &Rig) -> Outcome {
        let status = self.supervisor.status(now(rig));
        let events = self.supervisor.drain_events(now(rig));
        let seconds = rig.world.time();
        Outcome {
            id: rig.id,
            success: rig.judge.success(),
            detail: rig.judge.detail(),
            steps: (self.done.unwrap_or(seconds) / STEP_PERIOD_S).ceil() as usize,
            seconds,
            chunks: status.chunks,
            commands: status.commands,
            clamps: status.clamps,
            refusals: status.refusals,
            underruns: status.underruns,
            tally: self.supervisor.event_tally().clone(),
            events: events.iter().map(|e| format!("{}: {}", e.check, e.message)).collect(),
        }
    }
}

fn receive(supervisor: &mut Supervisor<Driver>, state: &State, now: Now) {
    supervisor.on_state(state.joints, now.ros, now);
    supervisor.on_driver_errors(ErrorChannel::All, &[u32::from(state.error)], now);
}

/// Returns the virtual time with an offset, because the epoch itself means "never" in messages.
fn time(rig: &Rig) -> Time {
    Time::from_secs_f64(1000.0 + rig.world.time())
}

/// Returns the virtual time on both clocks.
fn now(rig: &Rig) -> Now {
    Now {
        ros: time(rig),
        steady: Steady::from_secs_f64(rig.world.time()),
    }
}

/// Reports whether an event with this period is due, within half a physics step, and schedules the next one.
pub(super) fn due(elapsed: f64, next: &mut f64, period: f64) -> bool {
    if elapsed < *next - STEP_S / 2.0 {
        return false;
    }
    *next += period;
    true
}
