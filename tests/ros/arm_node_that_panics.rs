//! The arm node with an additional thread that panics when it reads a line from standard input.
#![allow(clippy::panic)]

use std::convert::Infallible;

use thinkvla::ros::arm::ArmNode;
use thinkvla::ros::node::runtime;

fn main() -> anyhow::Result<Infallible> {
    Ok(runtime::run("arm_node", |runtime| {
        let node = ArmNode::start(runtime);
        std::thread::spawn(|| {
            let read = std::io::stdin().read_line(&mut String::new());
            panic!("as the test wants it: {read:?}");
        });
        node
    })?)
}
