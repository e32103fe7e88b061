//! Runs whole episodes in one process: pilot, supervisor, simulated driver and physics on a virtual clock.

use std::collections::BTreeMap;

use super::config::SimConfig;
use super::driver::{DriverState, SimDriver};
use super::episode_world::EpisodeWorld;
use super::error::SimError;
use super::expert::{ExpertPilot, STEP_PERIOD_S};
use super::pilot::{Decision, Pilot};
use super::scene::SceneOptions;
use super::tasks::EpisodeId;
use super::world::STEP_S;
use crate::control::chunk::ActionChunk;
use crate::control::config::ArmConfig;
use crate::control::event::{Check, EventKind};
use crate::control::lease::{Heartbeats, Priority};
use crate::realman::{DriverApi, Graph};
use crate::supervisor::{ErrorChannel, Supervisor, SupervisorStatus};
use crate::types::time::{Now, Steady, Time};

/// Interval of heartbeats (s).
const HEARTBEAT_S: f64 = 0.02;
/// Time for which the arm of a new world has been at rest (s); the supervisor wants to see 50 ms of it.
const RESTED_S: f64 = 0.1;

/// Environment of an episode.
#[derive(Debug, Clone, Copy)]
pub struct EpisodeSetup<'a> {
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
pub struct EpisodeOutcome {
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
pub struct EpisodeMoment<'a> {
    /// Scene of the episode.
    pub episode_world: &'a EpisodeWorld,
    /// Whether the pilot still has something to do.
    pub following: bool,
    /// Whether a command was computed in this step.
    pub ticked: bool,
    /// Whether the arm accepted a chunk in this step; the next command is its first.
    pub chunk_began: bool,
    supervisor: &'a Supervisor<SimDriver>,
}

impl EpisodeMoment<'_> {
    /// Returns the supervisor's status: commands to the arm and its reports.
    pub fn status(&self) -> SupervisorStatus {
        self.supervisor.status(now(self.episode_world))
    }

    /// Returns the virtual time.
    pub fn time(&self) -> Time {
        time(self.episode_world)
    }

    /// Returns the time between two commands (s).
    pub fn command_period_s(&self) -> f64 {
        self.supervisor.config().period()
    }
}

/// Runs an episode of the expert through the supervisor; calls `on_step` after every physics step.
///
/// # Errors
/// When the scene cannot be built, the supervisor refuses the expert, or `on_step` fails.
pub fn run<E: From<SimError>>(
    config: &SimConfig,
    arm: &ArmConfig,
    id: EpisodeId,
    on_step: impl FnMut(EpisodeMoment<'_>) -> Result<(), E>,
) -> Result<EpisodeOutcome, E> {
    let mut expert = ExpertPilot::new(config, 0.0);
    let setup = EpisodeSetup {
        sim: config,
        arm,
        id,
        scene: SceneOptions::default(),
    };
    let mut outcome = run_episode(&setup, &mut expert, on_step)?;
    // The expert notices only when a chunk is due that it is done.
    outcome.steps = outcome.steps.min((expert.duration_s() / STEP_PERIOD_S).ceil() as usize);
    Ok(outcome)
}

/// Runs an episode of a pilot through the supervisor, until success or the pilot's limit; calls `on_step` after every
/// physics step.
///
/// # Errors
/// When the scene cannot be built, the supervisor refuses the pilot, or pilot or `on_step` fail.
pub fn run_episode<E: From<SimError>>(
    setup: &EpisodeSetup<'_>,
    pilot: &mut impl Pilot<E>,
    mut on_step: impl FnMut(EpisodeMoment<'_>) -> Result<(), E>,
) -> Result<EpisodeOutcome, E> {
    let mut episode_world = EpisodeWorld::new(setup.sim, setup.id, setup.scene)?;
    let mut episode = Episode::begin(setup, pilot.source(), &mut episode_world)?;
    pilot.begin(&episode.moment(&episode_world))?;
    let limit = pilot.limit_s();
    while !episode_world.judge.success() && episode_world.world.time() < limit {
        episode.step(&mut episode_world, pilot)?;
        on_step(episode.moment(&episode_world))?;
    }
    Ok(episode.outcome(&episode_world))
}

/// The control side of an episode.
struct Episode {
    supervisor: Supervisor<SimDriver>,
    lease: u64,
    heartbeats: Heartbeats,
    period: f64,
    next_tick: f64,
    next_beat: f64,
    ticked: bool,
    chunk_began: bool,
    /// The pilot's chunk that has not reached the arm yet.
    decided: Option<DecidedChunk>,
    /// Time at which the pilot finished (s).
    done: Option<f64>,
}

/// A chunk on its way to the arm.
struct DecidedChunk {
    chunk: ActionChunk,
    /// Time of arrival (s).
    ready: f64,
}

impl Episode {
    fn begin(setup: &EpisodeSetup<'_>, source: &str, episode_world: &mut EpisodeWorld) -> Result<Self, SimError> {
        let arm = ArmConfig {
            dry_run: false,
            ..setup.arm.clone()
        };
        let driver = SimDriver::new(&setup.sim.driver, episode_world.world.joints());
        let period = arm.period();
        let mut supervisor = Supervisor::new(arm, driver, now(episode_world));
        supervisor.on_graph(Graph::of_driver(DriverApi::V2), now(episode_world));
        // The supervisor knows the arm's state from the first state message on.
        let state = loop {
            if let Some(state) = episode_world.step(supervisor.driver_mut()) {
                break state;
            }
        };
        let now = now(episode_world);
        // The arm of a new world has rested: its first state held before as well, for as long as rest has to be seen.
        for earlier_s in [RESTED_S, 0.0] {
            let then = Now {
                ros: now.ros.offset_secs(-earlier_s),
                steady: now.steady.offset_secs(-earlier_s),
            };
            receive(&mut supervisor, &state, then);
        }
        supervisor.arm(now).map_err(|e| SimError::Begin(e.to_string()))?;
        let lease = supervisor.acquire_lease(source, Priority::Policy, now);
        let lease = lease.map_err(|e| SimError::Begin(e.to_string()))?;
        let start = episode_world.world.time();
        Ok(Self {
            supervisor,
            lease,
            heartbeats: Heartbeats::of(lease, source),
            period,
            next_tick: start,
            next_beat: start,
            ticked: false,
            chunk_began: false,
            decided: None,
            done: None,
        })
    }

    fn moment<'a>(&'a self, episode_world: &'a EpisodeWorld) -> EpisodeMoment<'a> {
        EpisodeMoment {
            episode_world,
            following: self.done.is_none(),
            ticked: self.ticked,
            chunk_began: self.chunk_began,
            supervisor: &self.supervisor,
        }
    }

    fn step<E>(&mut self, episode_world: &mut EpisodeWorld, pilot: &mut impl Pilot<E>) -> Result<(), E> {
        if let Some(state) = episode_world.step(self.supervisor.driver_mut()) {
            receive(&mut self.supervisor, &state, now(episode_world));
        }
        let (elapsed, now) = (episode_world.world.time(), now(episode_world));
        if due(elapsed, &mut self.next_beat, HEARTBEAT_S) && self.done.is_none() {
            self.supervisor.on_heartbeat(&self.heartbeats.next_heartbeat(), now);
        }
        self.ticked = due(elapsed, &mut self.next_tick, self.period);
        self.chunk_began = false;
        if self.ticked {
            self.supervisor.tick(now);
        }
        if self.done.is_none() && self.decided.is_none() {
            match pilot.decide(&self.moment(episode_world))? {
                Decision::Wait => {}
                Decision::Send { chunk, latency_s } => {
                    let ready = elapsed + latency_s;
                    self.decided = Some(DecidedChunk { chunk, ready });
                }
                Decision::Finish => {
                    self.done = Some(elapsed);
                    drop(self.supervisor.release_lease(self.lease, now));
                }
            }
        }
        if let Some(decided) = self.decided.take_if(|decided| elapsed >= decided.ready - STEP_S / 2.0) {
            // A refusal appears among the events; the pilot plans again from the arm's actual state.
            self.chunk_began = self.supervisor.on_chunk(decided.chunk, now).is_ok();
        }
        Ok(())
    }

    fn outcome(mut self, episode_world: &EpisodeWorld) -> EpisodeOutcome {
        let status = self.supervisor.status(now(episode_world));
        let events = self.supervisor.drain_events(now(episode_world));
        let seconds = episode_world.world.time();
        EpisodeOutcome {
            id: episode_world.id,
            success: episode_world.judge.success(),
            detail: episode_world.judge.detail(),
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

fn receive(supervisor: &mut Supervisor<SimDriver>, state: &DriverState, now: Now) {
    supervisor.on_state(state.joints, now.ros, now);
    supervisor.on_driver_errors(ErrorChannel::All, &[u32::from(state.error)], now);
}

/// Returns the virtual time with an offset, because the epoch itself means "never" in messages.
fn time(episode_world: &EpisodeWorld) -> Time {
    Time::from_secs_f64(1000.0 + episode_world.world.time())
}

/// Returns the virtual time on both clocks.
fn now(episode_world: &EpisodeWorld) -> Now {
    Now {
        ros: time(episode_world),
        steady: Steady::from_secs_f64(episode_world.world.time()),
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
