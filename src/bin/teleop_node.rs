//! The operator's node: keys, joysticks, leader arms and tracked hands in, action chunks out.

use std::convert::Infallible;

use thinkvla::ros::node::runtime::{self, take_precedence};
use thinkvla::ros::teleop::TeleopNode;

fn main() -> anyhow::Result<Infallible> {
    runtime::catch_signals();
    // A released deadman switch has to take effect even on a busy machine.
    take_precedence();
    Ok(runtime::run("teleop_node", TeleopNode::start)?)
}
