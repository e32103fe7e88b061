//! Readings of input devices, in one form for all devices.

use nalgebra::Vector3;

use super::mapping::Command;
use crate::types::time::Time;
use crate::types::{Joints, Pose};

/// Reading of an input device.
#[derive(Debug, Clone, PartialEq)]
pub struct InputReading {
    /// Whether the deadman is held.
    pub held: bool,
    /// Requested motion; `None` before the first sample.
    pub intent: Option<Intent>,
    /// Requested gripper opening, from 0 (closed) to 1 (open), if an axis gives it.
    pub gripper: Option<f64>,
    /// Reason not to follow the reading: it is late, or not a number.
    pub fault: Option<String>,
}

/// Requested motion.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Intent {
    /// Velocity, as fractions of the speeds.
    Twist(Twist),
    /// Pose of the hand, in the base frame's axes (m).
    Pose(Pose),
    /// Position of the leader, as joints of this arm (rad).
    Joints(Joints),
}

/// Fractions of the linear and angular speed, from -1 to 1 along each axis.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Twist {
    /// Along x, y, z.
    pub linear: Vector3<f64>,
    /// About x, y, z.
    pub angular: Vector3<f64>,
}

/// Input device that can be read at any time.
pub trait InputDevice: Send {
    /// Returns the reading at `now`.
    fn read(&mut self, now: Time) -> InputReading;
    /// Returns the commands of keys and buttons since the last call.
    fn commands(&mut self) -> Vec<Command>;
    /// Returns the time at which something was last received.
    fn last_seen(&self) -> Option<Time>;
}

/// Watchdog of a stream of samples, which must be recent and consist of numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamFreshness {
    what: &'static str,
    timeout_s: f64,
    last: Option<Time>,
    fault: Option<String>,
}

impl StreamFreshness {
    /// Creates the watchdog of a stream called `what`, which is late after `timeout_s` (s).
    pub fn new(what: &'static str, timeout_s: f64) -> Self {
        Self {
            what,
            timeout_s,
            last: None,
            fault: None,
        }
    }

    /// Records a valid sample.
    pub fn good(&mut self, now: Time) {
        self.last = Some(now);
    }

    /// Records an invalid sample. The fault stays until [`Self::clear_fault`], so that it is not missed.
    pub fn bad(&mut self, now: Time, why: String) {
        self.last = Some(now);
        self.fault.get_or_insert(why);
    }

    /// Clears the fault; called when the deadman is released.
    pub fn clear_fault(&mut self) {
        self.fault = None;
    }

    /// Returns the time of the last sample.
    pub fn last(&self) -> Option<Time> {
        self.last
    }

    /// Returns the reason why the stream cannot be followed now, if there is one.
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
