//! Commands to the physics thread, handled in order of arrival.

use std::sync::mpsc::Sender;

use crate::sim::driver::{DriverMotion, Grip};
use crate::sim::error::SimError;
use crate::sim::tasks::EpisodeId;

/// Command to the physics thread.
pub enum SimCommand {
    /// Motion command for the simulated driver.
    Motion(DriverMotion),
    /// Gripper command for the simulated driver.
    Grip(Grip),
    /// Stop command for the simulated driver.
    Stop,
    /// Start of a new episode.
    Reset(Reset),
}

/// Request for a new episode.
pub struct Reset {
    /// Task, variation and seed.
    pub id: EpisodeId,
    /// Whether the expert drives it.
    pub expert: bool,
    /// Channel for the response: the instruction, or the error.
    pub answer: Sender<Result<String, SimError>>,
}
