//! The arm node: action chunks in, safe commands to Realman's driver out.

use std::convert::Infallible;

use thinkvla::ros::arm::ArmNode;
use thinkvla::ros::node::runtime::{self, take_precedence};

fn main() -> anyhow::Result<Infallible> {
    runtime::catch_signals();
    take_precedence();
    Ok(runtime::run("arm_node", ArmNode::start)?)
}
