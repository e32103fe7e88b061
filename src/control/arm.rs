//! The one way to move an arm. The gate wraps an arm and is itself one, and so are dummies and recorders.

use super::event::Check;
use super::time::Steady;
use super::types::Joints;

/// What a command follows from; it decides which signs of life the command needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// A chunk of a lease holder: heartbeat, state and a recent observation.
    Chunk {
        /// When the chunk's observation was made, by its age when the chunk was taken.
        observed: Steady,
    },
    /// A named move for a lease holder: heartbeat and state.
    NamedMove,
}

/// Joint positions to be at when the command takes effect.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct JointCommand {
    /// Joint positions (rad).
    pub positions: Joints,
    /// What the command follows from.
    pub basis: Basis,
}

/// Why an arm did not take a command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArmError {
    /// A check refused it; the gate has braked instead.
    #[error("{check}: {message}")]
    Refused {
        /// Check that spoke.
        check: Check,
        /// Expected and found.
        message: String,
    },
    /// Nobody would receive it.
    #[error("expected a subscriber on {topic}, found none; start rm_driver or check the namespace")]
    Unmatched {
        /// Topic without a subscriber.
        topic: &'static str,
    },
    /// The transport failed.
    #[error("the command could not be sent: {0}")]
    Transport(String),
}

/// Something that takes joint commands one period apart.
pub trait Arm {
    /// Sends one joint command.
    ///
    /// # Errors
    /// When the command did not leave.
    fn command(&mut self, command: &JointCommand, now: Steady) -> Result<(), ArmError>;

    /// Opens the gripper to `opening`, 0 closed to 1 open.
    ///
    /// # Errors
    /// When the command did not leave.
    fn grip(&mut self, opening: f64, now: Steady) -> Result<(), ArmError>;
}

/// An arm that only remembers what it was told: for tests and benches.
#[derive(Debug, Clone, Default)]
pub struct Recorder {
    /// Joint commands with their times.
    pub commands: Vec<(Steady, Joints)>,
    /// Gripper commands with their times.
    pub grips: Vec<(Steady, f64)>,
}

impl Arm for Recorder {
    fn command(&mut self, command: &JointCommand, now: Steady) -> Result<(), ArmError> {
        self.commands.push((now, command.positions));
        Ok(())
    }

    fn grip(&mut self, opening: f64, now: Steady) -> Result<(), ArmError> {
        self.grips.push((now, opening));
        Ok(())
    }
}
