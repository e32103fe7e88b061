//! The arm node: the only process that commands the arm.
//!
//! Callbacks hand what was received to the supervisor, a thread of its own ticks it at the command rate, and timers publish
//! its state.

mod driver;
mod driver_discovery;
mod loop_thread;
mod moves;
mod node;
mod report;
mod services;
mod settings;
mod status;

pub use node::{ArmNode, ArmNodeError};

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::supervisor::Supervisor;
use driver::RosDriver;

/// The supervisor, shared by callbacks, control loop and timers; the lock is held for one call at a time.
#[derive(Clone)]
struct Shared(Arc<Mutex<Supervisor<RosDriver>>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Supervisor<RosDriver>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
