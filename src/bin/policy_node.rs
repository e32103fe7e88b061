//! The policy node: cameras and an instruction in, action chunks out.

use std::convert::Infallible;

use thinkvla::ros::node::runtime::{self, REFUSED};
use thinkvla::ros::policy::PolicyNode;
use thinkvla::ros::policy::network::NetworkBackend;

fn main() -> anyhow::Result<Infallible> {
    runtime::catch_signals();
    thinkvla::model::layers::device::load_cuda();
    let start = |runtime: &runtime::Runtime| PolicyNode::start(runtime, NetworkBackend::checkpoints());
    let code = |node: &PolicyNode| if node.refused() { REFUSED } else { 0 };
    Ok(runtime::run_to_code("policy_node", start, code)?)
}
