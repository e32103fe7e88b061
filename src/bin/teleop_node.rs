//! The operator's node: keys, joysticks, leader arms and tracked hands in, action chunks out.

use std::process::ExitCode;

use thinkvla::ros::runtime;
use thinkvla::ros::teleop::TeleopNode;

fn main() -> anyhow::Result<ExitCode> {
    Ok(runtime::run("teleop_node", TeleopNode::start)?)
}
