//! Who drives an episode.

use super::episode::Moment;
use crate::control::chunk::ActionChunk;

/// Who drives an episode. It sees every moment except those in which it is still thinking.
pub trait Pilot<E> {
    /// Name in leases and chunks.
    fn source(&self) -> &'static str;

    /// The arm is armed and stands at its start.
    ///
    /// # Errors
    /// When this episode cannot be driven.
    fn begin(&mut self, moment: &Moment<'_>) -> Result<(), E>;

    /// Simulated time at which the episode ends without success [s]; asked after `begin`.
    fn limit_s(&self) -> f64;

    /// What it does now.
    ///
    /// # Errors
    /// When it cannot tell.
    fn decide(&mut self, moment: &Moment<'_>) -> Result<Decision, E>;
}

/// What a pilot does.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Nothing is due.
    Wait,
    /// Sends a chunk.
    Send {
        /// Anchored at this moment.
        chunk: ActionChunk,
        /// Simulated time that passes before the arm has it [s].
        latency_s: f64,
    },
    /// Has nothing more to do, and gives the lease back.
    Finish,
}
