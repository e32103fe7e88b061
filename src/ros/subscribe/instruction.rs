//! Subscriptions to the instruction topic, for publishers of any QoS.

use std::sync::Arc;

use rclrs::{IntoPrimitiveOptions as _, Node, RclrsError, Subscription};
use ros_env::std_msgs::msg::String as StringMessage;

use crate::ros::node::{qos, topics};

/// The subscriptions; instructions are received as long as they live.
pub type InstructionSubscriptions = [Subscription<StringMessage>; 2];

/// Calls `take` with every instruction. It needs two subscriptions: a transient-local one, which also receives the last
/// message of latched publishers, and a volatile best-effort one, which matches all other publishers. Both receive each
/// message of a latched publisher, so `take` gets it twice.
///
/// # Errors
/// When a subscription cannot be created.
pub fn listen(
    node: &Node,
    take: impl Fn(&str) + Send + Sync + 'static,
) -> Result<InstructionSubscriptions, RclrsError> {
    let take = Arc::new(take);
    let hear = |qos| {
        let take = Arc::clone(&take);
        let topic = topics::INSTRUCTION.name.qos(qos);
        node.create_subscription(topic, move |message: StringMessage| take(message.data.trim()))
    };
    Ok([hear(qos::latched())?, hear(qos::any())?])
}
