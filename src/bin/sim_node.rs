//! The simulated robot: Realman's driver on the wire, two cameras, physics behind them.

use std::process::ExitCode;

use thinkvla::ros::runtime::{self, take_precedence};
use thinkvla::ros::sim::SimNode;

fn main() -> anyhow::Result<ExitCode> {
    take_precedence();
    Ok(runtime::run("sim_node", SimNode::start)?)
}
