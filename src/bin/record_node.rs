//! The recorder: cameras and arm in, episodes of a LeRobot dataset out.

use std::process::ExitCode;

use thinkvla::ros::record::RecordNode;
use thinkvla::ros::runtime;

fn main() -> anyhow::Result<ExitCode> {
    Ok(runtime::run("record_node", RecordNode::start)?)
}
