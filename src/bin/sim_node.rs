//! The simulated robot: Realman's driver on the wire, two cameras, physics behind them.

use std::process::ExitCode;

use thinkvla::ros::runtime::{REFUSED, Runtime, take_precedence};
use thinkvla::ros::sim::SimNode;

fn main() -> anyhow::Result<ExitCode> {
    take_precedence();
    let runtime = Runtime::start("sim_node")?;
    let node = match SimNode::start(&runtime) {
        Ok(node) => node,
        Err(error) => {
            tracing::error!("{error}");
            return Ok(ExitCode::from(REFUSED));
        }
    };
    runtime.spin()?;
    drop(node);
    Ok(ExitCode::SUCCESS)
}
