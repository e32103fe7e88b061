//! The arm node: the only process that talks to the arm.
//!
//! Callbacks tell the supervisor what was received, a thread of its own ticks it at the command rate, timers show what
//! it does.

mod driver;
mod looking;
mod loop_thread;
mod moves;
mod node;
mod report;
mod services;
mod settings;
mod status;

pub use node::{ArmNode, ArmNodeError};

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::control::supervisor::Supervisor;
use driver::RosDriver;

/// The supervisor as callbacks, loop and timers share it; nobody holds it longer than one call.
#[derive(Clone)]
struct Shared(Arc<Mutex<Supervisor<RosDriver>>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Supervisor<RosDriver>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
