//! The operator's node: turns input of keyboards, joysticks, leader arms and tracked poses into action chunks under a
//! lease.
//!
//! ```text
//! terminal, Joy, JointState, PoseStamped ─► inputs ─► control loop (TeleopSession) ─► chunk, heartbeat ─► arm_node
//!                             keys, buttons ─► commands ─► services and named moves of arm_node, record_node, policy_node
//! ```

mod arm;
mod commands;
mod control_loop;
mod error;
mod inputs;
mod lease;
mod node;
mod report;
mod settings;
mod terminal;

pub use node::TeleopNode;

use std::time::Instant;

use crate::ros::node::lock::lock;
use crate::types::time::Time;

/// Monotonic clock; its times have no meaning outside this process.
#[derive(Debug, Clone, Copy)]
struct Steady(Instant);

impl Steady {
    fn start() -> Self {
        Self(Instant::now())
    }

    fn now(&self) -> Time {
        Time::default() + self.0.elapsed()
    }
}
