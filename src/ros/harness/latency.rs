//! Latency measurements over ROS: images, chunks, commands, stops.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rclrs::IntoPrimitiveOptions as _;
use ros_env::lifecycle_msgs::msg::Transition;
use ros_env::rm_ros_interfaces::msg::Jointpos;
use ros_env::std_msgs::msg::Empty;
use ros_env::thinkvla::msg::ArmStatus;
use rustix::process::Signal;

use crate::eval::machine::Machine;
use crate::realman::graph::{JOINT_COMMANDS, STOP_COMMANDS};
use crate::ros::node::qos;
use crate::ros::node::time::NodeClock;
use crate::stats::percentile;
use crate::types::time::Time;

use super::chunk_source::ChunkSource;
use super::episode::{self, EpisodeStart};
use super::error::HarnessError;
use super::frames;
use super::session::{self, Finished, HarnessSession, START, Simulated};

/// Longest wait for an effect; the effects timed here take a fraction of a second or do not happen at all.
const EFFECT: Duration = Duration::from_secs(10);
/// Travel of a joint from one status to the next below which the arm rests (rad).
const STILL_RAD: f64 = 2e-4;
/// Rate of the replayed cameras (Hz).
const REPLAY_HZ: f64 = 30.0;

/// Measurement to run.
#[derive(Debug, Clone)]
pub struct LatencyMeasurement {
    /// Directory of recorded frames and logs.
    pub out: PathBuf,
    /// Checkpoint of the policy.
    pub checkpoint: PathBuf,
    /// Number of chunks, commands and images to time.
    pub samples: usize,
    /// Number of times that nodes are interrupted and killed; each is restarted after it.
    pub ends: usize,
    /// Command rate of the arm node (Hz).
    pub command_rate_hz: f64,
}

/// One row: a quantity and its samples (ms).
#[derive(Debug, Clone)]
pub struct LatencyRow {
    /// Description of the interval that was timed.
    pub what: &'static str,
    /// Durations (ms).
    pub samples_ms: Vec<f64>,
}

/// The table of results.
#[derive(Debug, Clone)]
pub struct LatencyTable {
    /// Rows in the order measured.
    pub rows: Vec<LatencyRow>,
    /// Machine it was measured on.
    pub machine: Machine,
}

/// Arrival times of messages at the observer.
#[derive(Clone, Default)]
struct Moments(Arc<Mutex<Vec<Time>>>);

impl Moments {
    fn add(&self, moment: Time) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(moment);
    }

    fn first_after(&self, moment: Time) -> Option<Time> {
        let moments = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        moments.iter().find(|seen| **seen >= moment).copied()
    }
}

impl LatencyMeasurement {
    /// Runs all measurements; all nodes have ended when this returns.
    ///
    /// # Errors
    /// When a node cannot be started, dies, refuses, or does not answer in time.
    pub fn run(self, progress: impl Fn(&str) + Send + 'static) -> Result<Finished<LatencyTable>, HarnessError> {
        let logs = self.out.join("logs");
        session::run("latency_observer", &logs, move |session| {
            let driver = Driver::listen(session)?;
            let mut table = LatencyTable {
                rows: Vec::new(),
                machine: Machine::current(),
            };
            let mut add = |row: LatencyRow| {
                progress(&row.to_string());
                table.rows.push(row);
            };
            progress("recording one frame of each camera");
            frames::record(session, &self.out)?;
            progress("timing chunk to command");
            session.start_robot(&self.simulated())?;
            add(self.chunk_to_command(session, &driver)?);
            progress("timing SIGINT to stop");
            add(self.interrupt_to_stop(session, &driver)?);
            progress("timing images and chunks of the policy");
            frames::show(session, &self.out, REPLAY_HZ)?;
            self.camera_to_chunk(session)?.into_iter().for_each(&mut add);
            progress("timing the death of the policy to braking");
            add(self.death_to_braking(session)?);
            Ok(table)
        })
    }

    fn simulated(&self) -> Simulated {
        Simulated {
            camera_rate_hz: 0.0,
            command_rate_hz: self.command_rate_hz,
        }
    }

    fn chunk_to_command(&self, session: &HarnessSession, driver: &Driver) -> Result<LatencyRow, HarnessError> {
        session.arm()?;
        let mut source = ChunkSource::start(session)?;
        until(session, || source.has_subscriber())?;
        let mut samples_ms = Vec::new();
        for _ in 0..self.samples {
            session.wait("the arm at rest", EFFECT, |seen| rests(&seen.statuses).then_some(()))?;
            let sent = source.send()?;
            let command = driver.command_after(session, sent)?;
            samples_ms.push(command.seconds_since(sent) * 1e3);
            session.wait("the motion", EFFECT, |seen| {
                (seen.status.as_ref()?.mode == ArmStatus::EXECUTING).then_some(())
            })?;
        }
        source.end();
        Ok(LatencyRow {
            what: "chunk sent by a source → first command at the driver, arm at rest before",
            samples_ms,
        })
    }

    fn interrupt_to_stop(&self, session: &HarnessSession, driver: &Driver) -> Result<LatencyRow, HarnessError> {
        let clock = NodeClock::of(&session.node);
        let mut samples_ms = Vec::new();
        for _ in 0..self.ends {
            let mut source = ChunkSource::start(session)?;
            until(session, || source.has_subscriber())?;
            let sent = source.send()?;
            driver.command_after(session, sent)?;
            let signalled = clock.now();
            session.processes.signal("arm_node", Signal::INT);
            let stop = driver.stop_after(session, signalled)?;
            samples_ms.push(stop.seconds_since(signalled) * 1e3);
            session.processes.wait_for_exit("arm_node")?;
            source.end();
            session.start_arm(self.command_rate_hz)?;
            session.arm()?;
        }
        Ok(LatencyRow {
            what: "SIGINT to arm_node, arm moving → stop command at the driver",
            samples_ms,
        })
    }

    fn camera_to_chunk(&self, session: &HarnessSession) -> Result<Vec<LatencyRow>, HarnessError> {
        session.start_policy(&self.checkpoint)?;
        session.begin();
        session.change_policy(Transition::TRANSITION_ACTIVATE)?;
        let enough = self.samples;
        let limit = Duration::from_secs(30 + enough as u64 * 2);
        session.wait("enough chunks of the policy", limit, |seen| {
            let chunks = seen.chunks.iter().filter(|chunk| chunk.inference_ms > 0.0).count();
            (chunks >= enough).then_some(())
        })?;
        let rows = session.observed().with(|seen| {
            let chunks: Vec<_> = seen.chunks.iter().filter(|chunk| chunk.inference_ms > 0.0).collect();
            let outside = chunks.iter().map(|chunk| chunk.observation_age_ms - chunk.inference_ms);
            let hop = chunks
                .iter()
                .map(|chunk| chunk.received.seconds_since(chunk.published) * 1e3);
            let inference = chunks.iter().map(|chunk| chunk.inference_ms);
            vec![
                LatencyRow {
                    what: "image sent → image received, 640×480 rgb8, two cameras at 30 Hz",
                    samples_ms: seen.image_hops_ms.clone(),
                },
                LatencyRow {
                    what: "oldest image sent → chunk published, without the forward pass",
                    samples_ms: outside.collect(),
                },
                LatencyRow {
                    what: "forward pass of the checkpoint used",
                    samples_ms: inference.collect(),
                },
                LatencyRow {
                    what: "chunk published → chunk received",
                    samples_ms: hop.collect(),
                },
            ]
        });
        Ok(rows)
    }

    /// Times SIGKILL of the policy to braking. Each round begins a new episode: a policy that fails its task soon moves
    /// where the gate refuses its chunks.
    fn death_to_braking(&self, session: &HarnessSession) -> Result<LatencyRow, HarnessError> {
        let clock = NodeClock::of(&session.node);
        let mut samples_ms = Vec::new();
        session.processes.interrupt("policy_node")?;
        for seed in 0..self.ends as u64 {
            let start = EpisodeStart {
                task: "height".to_owned(),
                variation: 0,
                seed,
            };
            episode::begin(session, &start, false)?;
            session.arm()?;
            session.start_driving_policy(&self.checkpoint)?;
            until_driving(session)?;
            let killed = clock.now();
            session.processes.kill("policy_node");
            let braking = session.wait("braking", EFFECT, |seen| {
                let held = seen.holds.iter().find(|stamp| **stamp >= killed);
                held.copied()
            })?;
            samples_ms.push(braking.seconds_since(killed) * 1e3);
        }
        Ok(LatencyRow {
            what: "kill -9 of policy_node, arm moving → arm_node begins braking",
            samples_ms,
        })
    }
}

/// Waits until the policy drives. Loading a network can take so much CPU that the arm node gets no state and latches a
/// fault; then it is reset and armed again, before anything is timed.
fn until_driving(session: &HarnessSession) -> Result<(), HarnessError> {
    loop {
        let mode = session.wait("the policy to drive", START, |seen| {
            let mode = seen.status.as_ref()?.mode;
            [ArmStatus::EXECUTING, ArmStatus::FAULT].contains(&mode).then_some(mode)
        })?;
        if mode == ArmStatus::EXECUTING {
            return Ok(());
        }
        session.clear_fault()?;
        session.arm()?;
    }
}

/// Whether the last two statuses, 50 ms apart, show an arm that holds and has not moved; arm_node waits for that before it
/// starts a motion.
fn rests(statuses: &[ArmStatus]) -> bool {
    let [.., before, last] = statuses else {
        return false;
    };
    let ways = before.measured_joints.iter().zip(&last.measured_joints);
    let way = ways.map(|(from, to)| (from - to).abs()).fold(0.0, f64::max);
    let holds = |status: &ArmStatus| status.mode == ArmStatus::HOLDING;
    holds(before) && holds(last) && way < STILL_RAD
}

/// Messages sent to the driver, received by an additional subscription.
struct Driver {
    commands: Moments,
    stops: Moments,
    _subscriptions: (rclrs::Subscription<Jointpos>, rclrs::Subscription<Empty>),
}

impl Driver {
    fn listen(session: &HarnessSession) -> Result<Self, HarnessError> {
        let (commands, stops) = (Moments::default(), Moments::default());
        let clock = NodeClock::of(&session.node);
        let (seen, now) = (commands.clone(), clock.clone());
        let joints = session
            .node
            .create_subscription::<Jointpos, _>(JOINT_COMMANDS.qos(qos::driver_state()), move |_: Jointpos| {
                seen.add(now.now())
            })?;
        let seen = stops.clone();
        let stop = session
            .node
            .create_subscription::<Empty, _>(STOP_COMMANDS.qos(qos::driver_state()), move |_: Empty| {
                seen.add(clock.now())
            })?;
        Ok(Self {
            commands,
            stops,
            _subscriptions: (joints, stop),
        })
    }

    fn command_after(&self, session: &HarnessSession, moment: Time) -> Result<Time, HarnessError> {
        session.wait("a command at the driver", EFFECT, |_| self.commands.first_after(moment))
    }

    fn stop_after(&self, session: &HarnessSession, moment: Time) -> Result<Time, HarnessError> {
        session.wait("a stop command at the driver", EFFECT, |_| {
            self.stops.first_after(moment)
        })
    }
}

/// Waits until the condition of the ROS graph holds.
fn until(session: &HarnessSession, is_so: impl Fn() -> Result<bool, HarnessError>) -> Result<(), HarnessError> {
    let deadline = std::time::Instant::now() + EFFECT;
    while !is_so()? {
        session.check()?;
        if std::time::Instant::now() > deadline {
            return Err(HarnessError::Silent {
                what: "arm_node to listen to chunks".to_owned(),
                limit: EFFECT,
                seen: "no subscription".to_owned(),
            });
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

impl std::fmt::Display for LatencyTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "| from → to | p50 [ms] | p99 [ms] | max [ms] | samples |")?;
        writeln!(f, "|---|---|---|---|---|")?;
        for row in &self.rows {
            writeln!(f, "{row}")?;
        }
        write!(f, "\nMeasured on {}.", self.machine)
    }
}

impl std::fmt::Display for LatencyRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { what, samples_ms } = self;
        let at = |p| percentile(samples_ms, p).map_or("–".to_owned(), |value| format!("{value:.1}"));
        write!(
            f,
            "| {what} | {} | {} | {} | {} |",
            at(50.0),
            at(99.0),
            at(100.0),
            samples_ms.len()
        )
    }
}
