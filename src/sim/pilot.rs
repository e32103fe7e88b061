//! Trait of everything that can drive an episode.

use super::episode::Moment;
use crate::control::chunk::ActionChunk;

/// Drives an episode. It is called at every moment except while it is still computing a chunk.
pub trait Pilot<E> {
    /// Name in leases and chunks.
    fn source(&self) -> &'static str;

    /// The arm is armed and stands at its start.
    ///
    /// # Errors
    /// When this episode cannot be driven.
    fn begin(&mut self, moment: &Moment<'_>) -> Result<(), E>;

    /// Simulated time at which the episode ends without success (s); asked after `begin`.
    fn limit_s(&self) -> f64;

    /// Decides what to do at this moment.
    ///
    /// # Errors
    /// When it cannot tell.
    fn decide(&mut self, moment: &Moment<'_>) -> Result<Decision, E>;
}

/// Decision of a pilot.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Nothing is due.
    Wait,
    /// Sends a chunk.
    Send {
        /// Anchored at this moment.
        chunk: ActionChunk,
        /// Simulated time that passes before the arm has it (s).
        latency_s: f64,
    },
    /// Has nothing more to do, and gives the lease back.
    Finish,
}
