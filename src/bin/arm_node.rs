//! The arm node: action chunks in, safe commands to Realman's driver out.

use std::process::ExitCode;

use thinkvla::ros::arm::ArmNode;
use thinkvla::ros::runtime::{REFUSED, Runtime, take_precedence};

fn main() -> anyhow::Result<ExitCode> {
    take_precedence();
    let runtime = Runtime::start("arm_node")?;
    let node = match ArmNode::start(&runtime) {
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
