//! The recorder: cameras and arm in, episodes of a LeRobot dataset out.

use std::convert::Infallible;

use thinkvla::ros::record::RecordNode;
use thinkvla::ros::runtime;

fn main() -> anyhow::Result<Infallible> {
    Ok(runtime::run("record_node", RecordNode::start)?)
}
