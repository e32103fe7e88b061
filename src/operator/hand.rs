//! What a person's hand says at one time, whatever it holds.

use nalgebra::Vector3;

use super::mapping::Command;
use crate::control::time::Time;
use crate::control::types::{Joints, Pose};

/// A reading of an input.
#[derive(Debug, Clone, PartialEq)]
pub struct Hand {
    /// The deadman is held.
    pub held: bool,
    /// What is asked for; nothing before the first sample.
    pub intent: Option<Intent>,
    /// Gripper opening asked for, 0 closed .. 1 open, where an axis gives it.
    pub gripper: Option<f64>,
    /// Why the reading must not be followed: late, or no number.
    pub fault: Option<String>,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Intent {
    /// A velocity, as shares of the speeds.
    Twist(Twist),
    /// Where the hand is, in the base frame's axes (m).
    Pose(Pose),
    /// Where the leader is, as joints of this arm (rad).
    Joints(Joints),
}

/// Shares of the linear and angular speed, -1 .. 1 along each axis.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Twist {
    /// Along x, y, z.
    pub linear: Vector3<f64>,
    /// About x, y, z.
    pub angular: Vector3<f64>,
}

/// An input that can be read at any time.
pub trait Device: Send {
    /// What the hand says now.
    fn hand(&mut self, now: Time) -> Hand;
    /// What was asked for by keys and buttons since the last call.
    fn commands(&mut self) -> Vec<Command>;
    /// When something was last received.
    fn last_seen(&self) -> Option<Time>;
}

/// Whether a stream of samples can be followed: fresh, and made of numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Freshness {
    what: &'static str,
    timeout_s: f64,
    last: Option<Time>,
    fault: Option<String>,
}

impl Freshness {
    /// A stream called `what` that is late after `timeout_s` (s).
    pub fn new(what: &'static str, timeout_s: f64) -> Self {
        Self {
            what,
            timeout_s,
            last: None,
            fault: None,
        }
    }

    /// A sample came that can be followed.
    pub fn good(&mut self, now: Time) {
        self.last = Some(now);
    }

    /// A sample came that cannot; that stays so until [`Self::forgive`], so that nobody misses it.
    pub fn bad(&mut self, now: Time, why: String) {
        self.last = Some(now);
        self.fault.get_or_insert(why);
    }

    /// The deadman was let go: what was wrong before counts no more.
    pub fn forgive(&mut self) {
        self.fault = None;
    }

    /// When the last sample came.
    pub fn last(&self) -> Option<Time> {
        self.last
    }

    /// Why it cannot be followed now.
    pub fn fault(&self, now: Time) -> Option<String> {
        let what = self.what;
        if let Some(fault) = &self.fault {
            return Some(format!("{what}: {fault}"));
        }
        let Some(last) = self.last else {
            return Some(format!("{what}: expected messages, found none yet"));
        };
        let age = now.seconds_since(last);
        let limit = self.timeout_s;
        (age > limit).then(|| format!("{what}: expected a message every {limit} s, found none for {age:.2} s"))
    }
}
