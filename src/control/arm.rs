//! Interface of an arm. The safety gate wraps an arm and is itself one; so are test doubles.

use super::event::Check;
use crate::types::Joints;
use crate::types::time::Steady;

/// Source of a command; decides which inputs must be fresh for the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandSource {
    /// Chunk of the lease holder: needs a heartbeat, a joint state and a recent observation.
    Chunk {
        /// Time of the chunk's observation on the steady clock, from its age when the chunk was accepted.
        observed: Steady,
    },
    /// Named move of the lease holder: needs a heartbeat and a joint state.
    NamedMove,
}

/// Joint command: positions to reach when the command takes effect.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct JointCommand {
    /// Joint positions (rad).
    pub positions: Joints,
    /// Source of the command.
    pub source: CommandSource,
}

/// Errors of a command that was not sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArmError {
    /// A check refused the command; the gate has braked instead.
    #[error("{check}: {message}")]
    Refused {
        /// Check that refused it.
        check: Check,
        /// Expected and found value.
        message: String,
    },
    /// The command topic has no subscriber.
    #[error("expected a subscriber on {topic}, found none; start rm_driver or check the namespace")]
    Unmatched {
        /// Topic without a subscriber.
        topic: &'static str,
    },
    /// The command could not be published.
    #[error("the command could not be sent: {0}")]
    Transport(String),
}

/// Receiver of joint commands one period apart.
pub trait Arm {
    /// Sends one joint command.
    ///
    /// # Errors
    /// When the command was not sent.
    fn command(&mut self, command: &JointCommand, now: Steady) -> Result<(), ArmError>;

    /// Moves the gripper to `opening`, 0 closed to 1 open.
    ///
    /// # Errors
    /// When the command was not sent.
    fn grip(&mut self, opening: f64, now: Steady) -> Result<(), ArmError>;
}

/// Arm that only records its commands, for tests and benchmarks.
#[derive(Debug, Clone, Default)]
pub struct RecordingArm {
    /// Joint commands with their times.
    pub commands: Vec<(Steady, Joints)>,
    /// Gripper commands with their times.
    pub grips: Vec<(Steady, f64)>,
}

impl Arm for RecordingArm {
    fn command(&mut self, command: &JointCommand, now: Steady) -> Result<(), ArmError> {
        self.commands.push((now, command.positions));
        Ok(())
    }

    fn grip(&mut self, opening: f64, now: Steady) -> Result<(), ArmError> {
        self.grips.push((now, opening));
        Ok(())
    }
}
