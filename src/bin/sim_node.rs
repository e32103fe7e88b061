//! The simulated robot: the topics of Realman's driver and two cameras, backed by a physics simulation.

use std::convert::Infallible;

use thinkvla::ros::node::runtime::{self, take_precedence};
use thinkvla::ros::sim::SimNode;

fn main() -> anyhow::Result<Infallible> {
    runtime::catch_signals();
    take_precedence();
    Ok(runtime::run("sim_node", SimNode::start)?)
}
