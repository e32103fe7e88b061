//! The fine-tuning node: datasets and a checkpoint in, a better checkpoint out, beside the policy.

use std::convert::Infallible;

use thinkvla::ros::finetune::FineTuneNode;
use thinkvla::ros::node::runtime;

fn main() -> anyhow::Result<Infallible> {
    runtime::catch_signals();
    Ok(runtime::run("finetune_node", FineTuneNode::start)?)
}
