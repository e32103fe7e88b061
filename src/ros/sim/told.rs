//! What the table is told from outside, in the order it came.

use std::sync::mpsc::Sender;

use crate::sim::driver::{Grip, Motion};
use crate::sim::tasks::EpisodeId;

/// What the table is told from outside.
pub enum Told {
    /// A motion command for the driver.
    Motion(Motion),
    /// A gripper command for the driver.
    Grip(Grip),
    /// The driver's stop.
    Stop,
    /// A new episode.
    Reset(Reset),
}

/// A new episode.
pub struct Reset {
    /// Which.
    pub id: EpisodeId,
    /// The expert drives it.
    pub expert: bool,
    /// Where the instruction, or why there is none, goes.
    pub answer: Sender<Result<String, String>>,
}
