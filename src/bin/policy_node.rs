//! The policy node: cameras and an instruction in, action chunks out.

use std::process::ExitCode;
use std::sync::atomic::Ordering;

use thinkvla::ros::policy::PolicyNode;
use thinkvla::ros::policy::network::NetworkActor;
use thinkvla::ros::runtime::{REFUSED, Runtime};

fn main() -> anyhow::Result<ExitCode> {
    thinkvla::model::device::load_cuda();
    let runtime = Runtime::start("policy_node")?;
    let node = match PolicyNode::start(&runtime, NetworkActor::checkpoints()) {
        Ok(node) => node,
        Err(error) => {
            tracing::error!("{error}");
            return Ok(ExitCode::from(REFUSED));
        }
    };
    let refused = node.refused();
    runtime.spin()?;
    let code = if refused.load(Ordering::Acquire) { REFUSED } else { 0 };
    Ok(ExitCode::from(code))
}
