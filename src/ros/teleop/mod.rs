//! The operator's node: keys, joysticks, leader arms and tracked hands in, action chunks under the operator's lease out.
//!
//! ```text
//! terminal, Joy, JointState, PoseStamped ─► inputs ─► helm (Session) ─► chunk, heartbeat ─► arm_node
//!                             keys, buttons ─► orders ─► services and named moves of arm_node, record_node, policy_node
//! ```

mod arm;
mod helm;
mod inputs;
mod link;
mod node;
mod orders;
mod report;
mod settings;
mod terminal;

pub use node::TeleopNode;

use std::time::Instant;

use crate::control::time::Time;
use crate::ros::lock::lock;

/// A clock that never jumps; its times mean nothing outside this process.
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
