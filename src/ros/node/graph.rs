//! Publishers and subscriptions of topics, as the ROS graph shows them.

use rclrs::{Node, QoSReliabilityPolicy, RclrsError, TopicEndpointInfo};

use crate::realman::graph::UNNAMED_NODE;

/// Name that rcl gives to a node until its name has been discovered.
const UNKNOWN_NAME: &str = "_NODE_NAME_UNKNOWN_";

/// A publisher or subscription of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Fully qualified name of the node it belongs to, or [`UNNAMED_NODE`].
    pub node: String,
    /// Message type, e.g. `std_msgs/msg/Bool`.
    pub kind: String,
    /// Whether its reliability is best effort.
    pub is_best_effort: bool,
}

impl From<TopicEndpointInfo> for Endpoint {
    fn from(info: TopicEndpointInfo) -> Self {
        Self {
            node: named(&info.node_namespace, &info.node_name),
            kind: info.topic_type,
            is_best_effort: info.qos_profile.reliability == QoSReliabilityPolicy::BestEffort,
        }
    }
}

/// Publishers of a topic.
///
/// # Errors
/// When the graph cannot be queried.
pub fn publishers(node: &Node, topic: &str) -> Result<Vec<Endpoint>, RclrsError> {
    let found = node.get_publishers_info_by_topic(&resolve(node, topic))?;
    Ok(found.into_iter().map(Endpoint::from).collect())
}

/// Subscriptions of a topic.
///
/// # Errors
/// When the graph cannot be queried.
pub fn subscriptions(node: &Node, topic: &str) -> Result<Vec<Endpoint>, RclrsError> {
    let found = node.get_subscriptions_info_by_topic(&resolve(node, topic))?;
    Ok(found.into_iter().map(Endpoint::from).collect())
}

/// Resolves a topic in the node's namespace. Remappings are not applied: for a topic that the node itself publishes or
/// subscribes to, pass `topic_name()` of that publisher or subscription.
pub fn resolve(node: &Node, topic: &str) -> String {
    if topic.starts_with('/') {
        return topic.to_owned();
    }
    join(&node.namespace(), topic)
}

fn named(namespace: &str, name: &str) -> String {
    match name {
        UNKNOWN_NAME => UNNAMED_NODE.to_owned(),
        _ => join(namespace, name),
    }
}

fn join(namespace: &str, name: &str) -> String {
    format!("{}/{name}", namespace.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_join_in_the_root_and_in_a_namespace() {
        assert_eq!(join("/", "arm_node"), "/arm_node");
        assert_eq!(join("/left", "arm_node"), "/left/arm_node");
    }

    #[test]
    fn a_placeholder_of_rcl_is_put_into_words() {
        assert_eq!(named("/left", "arm_node"), "/left/arm_node");
        assert_eq!(named("_NODE_NAMESPACE_UNKNOWN_", "_NODE_NAME_UNKNOWN_"), UNNAMED_NODE);
    }
}
