//! Whole episodes in one process: expert, supervisor, driver stand-in and physics on a virtual clock.

use super::config::SimConfig;
use super::driver::{Driver, State};
use super::error::SimError;
use super::expert::{Expert, Observation, SOURCE, STEP_PERIOD_S};
use super::rig::Rig;
use super::scene::SceneOptions;
use super::tasks::EpisodeId;
use super::world::STEP_S;
use crate::control::config::ArmConfig;
use crate::control::lease::Priority;
use crate::control::realman::{DriverApi, Graph};
use crate::control::supervisor::{ErrorChannel, Status, Supervisor};
use crate::control::time::Time;

/// Time between two heartbeats [s].
const HEARTBEAT_S: f64 = 0.02;
/// How long an episode may take beyond the expert's plan [s].
const PATIENCE_S: f64 = 4.0;

/// How an episode went.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Which episode.
    pub id: EpisodeId,
    /// The judge's verdict.
    pub success: bool,
    /// Which conditions of success held at the end.
    pub detail: String,
    /// Steps of 100 ms the expert needed.
    pub steps: usize,
    /// Simulated time to success, or to giving up [s].
    pub seconds: f64,
    /// Chunks the supervisor accepted.
    pub chunks: u64,
    /// Commands that left for the driver.
    pub commands: u64,
    /// Commands the gate changed.
    pub clamps: u64,
    /// Chunks, commands and requests refused.
    pub refusals: u64,
    /// What the supervisor had to say.
    pub events: Vec<String>,
}

/// A moment of an episode, after a physics step.
pub struct Moment<'a> {
    /// The table-top.
    pub rig: &'a Rig,
    /// Whether the expert still has something to do.
    pub following: bool,
    supervisor: &'a mut Supervisor<Driver>,
}

impl Moment<'_> {
    /// What the arm is told and what it reports.
    pub fn status(&mut self) -> Status {
        self.supervisor.status(time(self.rig))
    }
}

/// Runs the expert on an episode through the supervisor; `look` sees every moment.
///
/// # Errors
/// When the scene cannot be had, the supervisor does not let the expert begin, or `look` fails.
pub fn run<E: From<SimError>>(
    config: &SimConfig,
    arm: &ArmConfig,
    id: EpisodeId,
    mut look: impl FnMut(Moment<'_>) -> Result<(), E>,
) -> Result<Outcome, E> {
    let mut rig = Rig::new(config, id, SceneOptions { shadows: false })?;
    let mut episode = Episode::begin(config, arm, &mut rig)?;
    let limit = episode.expert.duration() + PATIENCE_S;
    while !rig.judge.success() && rig.world.time() < limit {
        episode.step(&mut rig)?;
        look(Moment {
            rig: &rig,
            following: episode.done.is_none(),
            supervisor: &mut episode.supervisor,
        })?;
    }
    Ok(episode.outcome(&rig))
}

/// The control side of an episode.
struct Episode {
    supervisor: Supervisor<Driver>,
    expert: Expert,
    lease: u64,
    period: f64,
    next_tick: f64,
    next_beat: f64,
    next_chunk: f64,
    /// When the expert had nothing more to do [s].
    done: Option<f64>,
}

impl Episode {
    fn begin(config: &SimConfig, arm: &ArmConfig, rig: &mut Rig) -> Result<Self, SimError> {
        let arm = ArmConfig {
            dry_run: false,
            ..arm.clone()
        };
        let driver = Driver::new(&config.driver, rig.world.joints());
        let period = arm.period();
        let mut supervisor = Supervisor::new(arm, driver, time(rig));
        supervisor.on_graph(Graph::of_driver(DriverApi::V2), time(rig));
        // The first state message makes the arm known.
        loop {
            let state = rig.step(supervisor.driver_mut());
            if let Some(state) = state {
                receive(&mut supervisor, &state, time(rig));
                break;
            }
        }
        let now = time(rig);
        supervisor.arm(now).map_err(|e| SimError::Begin(e.to_string()))?;
        let lease = supervisor.acquire_lease(SOURCE, Priority::Policy, now);
        let lease = lease.map_err(|e| SimError::Begin(e.to_string()))?;
        let expert = Expert::new(config, &rig.layout, supervisor.status(now).commanded_pose);
        let start = rig.world.time();
        Ok(Self {
            supervisor,
            expert,
            lease,
            period,
            next_tick: start,
            next_beat: start,
            next_chunk: start + period,
            done: None,
        })
    }

    fn step(&mut self, rig: &mut Rig) -> Result<(), SimError> {
        if let Some(state) = rig.step(self.supervisor.driver_mut()) {
            receive(&mut self.supervisor, &state, time(rig));
        }
        let (elapsed, now) = (rig.world.time(), time(rig));
        if due(elapsed, &mut self.next_beat, HEARTBEAT_S) && self.done.is_none() {
            self.supervisor.on_heartbeat(self.lease, now);
        }
        if due(elapsed, &mut self.next_tick, self.period) {
            self.supervisor.tick(now);
        }
        if self.done.is_none() && due(elapsed, &mut self.next_chunk, self.expert.replan_s()) {
            let observation = Observation {
                time: now,
                commanded: self.supervisor.status(now).commanded_pose,
                lease: self.lease,
            };
            let chunk = self
                .expert
                .chunk(&observation)
                .map_err(|e| SimError::Begin(e.to_string()))?;
            match chunk {
                // A refusal is among the events; the expert sees where the arm is and tries again.
                Some(chunk) => drop(self.supervisor.on_chunk(chunk, now)),
                None => {
                    self.done = Some(elapsed);
                    drop(self.supervisor.release_lease(self.lease, now));
                }
            }
        }
        Ok(())
    }

    fn outcome(mut self, rig: &Rig) -> Outcome {
        let status = self.supervisor.status(time(rig));
        let events = self.supervisor.drain_events();
        let seconds = rig.world.time();
        Outcome {
            id: rig.id,
            success: rig.judge.success(),
            detail: rig.judge.detail(),
            steps: (self.done.unwrap_or(seconds).min(self.expert.duration()) / STEP_PERIOD_S).ceil() as usize,
            seconds,
            chunks: status.chunks,
            commands: status.commands,
            clamps: status.clamps,
            refusals: status.refusals,
            events: events.iter().map(|e| format!("{}: {}", e.check, e.message)).collect(),
        }
    }
}

fn receive(supervisor: &mut Supervisor<Driver>, state: &State, now: Time) {
    supervisor.on_state(state.joints, now);
    supervisor.on_driver_errors(ErrorChannel::All, &[u32::from(state.error)], now);
}

/// Virtual time; the epoch itself stands for "never" in messages.
fn time(rig: &Rig) -> Time {
    Time::from_secs_f64(1000.0 + rig.world.time())
}

/// Whether something that comes every `period` is due, within half a physics step.
fn due(elapsed: f64, next: &mut f64, period: f64) -> bool {
    if elapsed < *next - STEP_S / 2.0 {
        return false;
    }
    *next += period;
    true
}
