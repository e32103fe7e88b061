//! The recorder: cameras and arm in, episodes of a LeRobot dataset out.

use std::convert::Infallible;

use thinkvla::ros::node::runtime;
use thinkvla::ros::record::RecordNode;

fn main() -> anyhow::Result<Infallible> {
    runtime::catch_signals();
    Ok(runtime::run("record_node", RecordNode::start)?)
}
