//! The simulated robot: Realman's driver on the wire, two cameras, physics behind them.

use std::convert::Infallible;

use thinkvla::ros::runtime::{self, take_precedence};
use thinkvla::ros::sim::SimNode;

fn main() -> anyhow::Result<Infallible> {
    take_precedence();
    Ok(runtime::run("sim_node", SimNode::start)?)
}
