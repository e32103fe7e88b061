//! A custom teleoperation device: numbers on standard input in place of a joystick.
//!
//! Each line is `HELD X Y Z`: 1 while the deadman is held, and the velocity along x, y and z as shares of full speed.
//! The session turns it into the chunks that `teleop_node` would publish. Lines count as 50 ms apart.
//!
//! ```sh
//! printf '1 0 0 0\n1 0 0 0\n1 0.5 0 0\n0 0 0 0\n' | cargo run --release --example input_device
//! ```

use std::io::{BufRead as _, Write as _};
use std::path::Path;

use anyhow::Context as _;
use nalgebra::{Vector3, vector};
use thinkvla::teleop::input_device::{InputDevice, InputReading, Intent, StreamFreshness, Twist};
use thinkvla::teleop::mapping::{Command, Mapping};
use thinkvla::teleop::session::{ObservedArm, Readiness, SessionStep, TeleopSession};
use thinkvla::types::time::Time;
use thinkvla::types::{Joints, Pose};

/// Time between two lines (s).
const PERIOD_S: f64 = 0.05;
/// Silence after which the device counts as released (s).
const TIMEOUT_S: f64 = 0.3;
/// Mapping with speeds, scales and other settings.
const MAPPING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config/teleop/spacemouse.yaml");

/// The latest input.
struct Lines {
    held: bool,
    linear: Vector3<f64>,
    freshness: StreamFreshness,
}

impl Lines {
    fn new() -> Self {
        Self {
            held: false,
            linear: Vector3::zeros(),
            freshness: StreamFreshness::new("standard input", TIMEOUT_S),
        }
    }

    /// Takes a line of input. After one that cannot be parsed, motion ends until the deadman has been released.
    fn received(&mut self, line: &str, now: Time) {
        let numbers: Result<Vec<f64>, _> = line.split_whitespace().map(str::parse).collect();
        match numbers.as_deref() {
            Ok(&[held, x, y, z]) if [x, y, z].iter().all(|share| share.abs() <= 1.0) => {
                self.held = held != 0.0;
                self.linear = vector![x, y, z];
                self.freshness.good(now);
                if !self.held {
                    self.freshness.clear_fault();
                }
            }
            _ => self
                .freshness
                .bad(now, format!("expected HELD X Y Z with -1 to 1, found {line:?}")),
        }
    }
}

impl InputDevice for Lines {
    fn read(&mut self, now: Time) -> InputReading {
        InputReading {
            held: self.held,
            intent: Some(Intent::Twist(Twist {
                linear: self.linear,
                angular: Vector3::zeros(),
            })),
            gripper: None,
            fault: self.freshness.fault(now),
        }
    }

    fn commands(&mut self) -> Vec<Command> {
        Vec::new()
    }

    fn last_seen(&self) -> Option<Time> {
        self.freshness.last()
    }
}

fn main() -> anyhow::Result<()> {
    let mapping = Mapping::load(Path::new(MAPPING))?;
    let mut session = TeleopSession::new(mapping, "base_link");
    let mut device = Lines::new();
    // Stands in for arm_node: an arm at rest that is ready, and the lease that it grants.
    let mut lease = None;
    let pose = Pose::new(vector![0.4, 0.0, 0.3], vector![0.0, std::f64::consts::PI, 0.0]);
    let mut out = std::io::stdout().lock();
    for (number, line) in std::io::stdin().lock().lines().enumerate() {
        let now = Time::from_secs_f64(PERIOD_S * number as f64);
        device.received(&line.context("cannot read standard input")?, now);
        let arm = ObservedArm {
            stamp: now,
            received: now,
            readiness: Readiness::Ready,
            lease: lease.unwrap_or(0),
            pose,
            joints: Joints::zeros(),
            gripper: Some(1.0),
        };
        match session.update(&device.read(now), Some(&arm), lease, now)? {
            SessionStep::Rest => writeln!(out, "nothing to do")?,
            SessionStep::Acquire => {
                lease = Some(1);
                writeln!(out, "asks for the lease")?;
            }
            SessionStep::Send(chunk) => {
                let last = chunk.actions.steps().last().unwrap_or_default();
                let way = last.get(..3).unwrap_or_default();
                writeln!(
                    out,
                    "chunk {} of {} steps, ends at {way:.4?} m",
                    chunk.plan_id,
                    chunk.actions.horizon()
                )?;
            }
            SessionStep::LetGo(why) => {
                lease = None;
                writeln!(out, "gives the lease back: {why}")?;
            }
            SessionStep::Refuse(why) => writeln!(out, "refuses: {why}")?,
        }
    }
    Ok(())
}
