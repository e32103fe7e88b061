//! Hears what a policy is asked to do, of whoever says it.

use std::sync::Arc;

use rclrs::{IntoPrimitiveOptions as _, Node, RclrsError, Subscription};
use ros_env::std_msgs::msg::String as StringMessage;

use super::{qos, topics};

/// Ends of the topic that are heard as long as this lives.
pub type Heard = [Subscription<StringMessage>; 2];

/// Gives `take` every instruction: the last one of publishers that keep it for late joiners, and those of publishers that
/// keep none or make sure of nothing, which a subscription that asks for a kept one does not match. Of the former each
/// comes twice.
///
/// # Errors
/// When a subscription cannot be made.
pub fn listen(node: &Node, take: impl Fn(&str) + Send + Sync + 'static) -> Result<Heard, RclrsError> {
    let take = Arc::new(take);
    let hear = |qos| {
        let take = Arc::clone(&take);
        let topic = topics::INSTRUCTION.name.qos(qos);
        node.create_subscription(topic, move |message: StringMessage| take(message.data.trim()))
    };
    Ok([hear(qos::latched())?, hear(qos::any())?])
}
