//! Trait of everything that can drive an episode.

use super::episode::EpisodeMoment;
use crate::control::chunk::ActionChunk;

/// Drives an episode. It is called at every moment except while it is still computing a chunk.
pub trait Pilot<E> {
    /// Returns the source name in leases and chunks.
    fn source(&self) -> &'static str;

    /// Begins an episode; the arm is armed and at its start.
    ///
    /// # Errors
    /// When this episode cannot be driven.
    fn begin(&mut self, moment: &EpisodeMoment<'_>) -> Result<(), E>;

    /// Returns the simulated time at which the episode ends without success (s); called after `begin`.
    fn limit_s(&self) -> f64;

    /// Decides what to do at this moment.
    ///
    /// # Errors
    /// When it cannot decide.
    fn decide(&mut self, moment: &EpisodeMoment<'_>) -> Result<Decision, E>;
}

/// Decision of a pilot.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Does nothing at this moment.
    Wait,
    /// Sends a chunk.
    Send {
        /// Chunk anchored at this moment.
        chunk: ActionChunk,
        /// Simulated time that passes before the arm has the chunk (s).
        latency_s: f64,
    },
    /// Ends driving and releases the lease.
    Finish,
}
