//! The operator's node: keys, joysticks, leader arms and tracked hands in, action chunks out.

use std::convert::Infallible;

use thinkvla::ros::runtime::{self, take_precedence};
use thinkvla::ros::teleop::TeleopNode;

fn main() -> anyhow::Result<Infallible> {
    // A deadman is heard however busy the machine is.
    take_precedence();
    Ok(runtime::run("teleop_node", TeleopNode::start)?)
}
