//! Driver discovery in the ROS graph: the driver's generation, who subscribes to it, and which other nodes command or
//! report.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rclrs::{Node, RclrsError, Timer};

use super::Shared;
use crate::realman::Graph;
use crate::realman::graph::{COMMAND_TOPICS, Publishers, REPORT_TOPICS};
use crate::ros::node::graph::{Endpoint, publishers, resolve, subscriptions};
use crate::ros::node::time::NodeClock;

/// Prefix of a driver's own topics.
const DRIVER_TOPICS: &str = "rm_driver/";
/// Period of the graph queries; a second publisher is noticed within it.
const PERIOD: Duration = Duration::from_millis(100);

/// Topics that this node publishes or subscribes to: name before remapping to name after it.
pub type OwnTopics = BTreeMap<&'static str, String>;

/// Queries the graph every 100 ms as long as the returned timer lives, and hands the result to the supervisor.
///
/// # Errors
/// When the timer cannot be created.
pub fn watch(node: &Node, shared: Shared, own: OwnTopics) -> Result<Timer, RclrsError> {
    let (clock, looking) = (NodeClock::of(node), std::sync::Arc::clone(node));
    node.create_timer_repeating(PERIOD, move || match look(&looking, &shared, &own) {
        Ok(graph) => shared.lock().on_graph(graph, clock.both()),
        Err(error) => tracing::warn!("the ROS graph cannot be asked: {error}"),
    })
}

fn look(node: &Node, shared: &Shared, own: &OwnTopics) -> Result<Graph, RclrsError> {
    let (stop_topic, motion_topic) = {
        let supervisor = shared.lock();
        (supervisor.driver().stop_topic(), supervisor.driver().motion_topic())
    };
    let stops = subscriptions(node, &stop_topic)?;
    let listens = |kind: &str| stops.iter().any(|end| end.kind == kind);
    let reporting = by_topic(node, own, &REPORT_TOPICS)?;
    let mut graph = Graph {
        stop_is_bool: listens("std_msgs/msg/Bool"),
        stop_is_empty: listens("std_msgs/msg/Empty"),
        drivers: drivers(node, subscriptions(node, &motion_topic)?, &reporting)?,
        commanding: by_topic(node, own, &COMMAND_TOPICS)?,
        reporting,
        ..Graph::default()
    };
    let mut supervisor = shared.lock();
    let choice = supervisor.config().driver.api;
    let driver = supervisor.driver_mut();
    if let Ok(api) = graph.api(choice) {
        driver.prepare_stop(api)?;
    }
    // Only matched subscriptions count: a subscription of another type receives nothing.
    graph.stop_subscribers = driver.stop_subscribers();
    graph.command_subscribers = driver.motion_subscribers();
    Ok(graph)
}

/// Other publishers of each topic: one publisher of this node itself is left out.
fn by_topic(node: &Node, own: &OwnTopics, topics: &[&'static str]) -> Result<Vec<Publishers>, RclrsError> {
    let name = node.fully_qualified_name();
    let others = |topic: &&'static str| -> Result<Publishers, RclrsError> {
        let remapped = own.get(topic).map_or(*topic, String::as_str);
        let mut nodes: Vec<String> = publishers(node, remapped)?.into_iter().map(|end| end.node).collect();
        if let Some(ours) = nodes.iter().position(|found| *found == name) {
            nodes.swap_remove(ours);
        }
        Ok(Publishers { topic, nodes })
    };
    topics.iter().map(others).collect()
}

/// Names of the listeners that are drivers: those that also publish on a driver's report topics.
fn drivers(node: &Node, listeners: Vec<Endpoint>, reporting: &[Publishers]) -> Result<Vec<String>, RclrsError> {
    let mut known: BTreeSet<String> = reporting.iter().flat_map(|by| by.nodes.clone()).collect();
    let below = resolve(node, DRIVER_TOPICS);
    for listener in &listeners {
        if known.contains(&listener.node) {
            continue;
        }
        let (namespace, name) = listener.node.rsplit_once('/').unwrap_or(("", &listener.node));
        let namespace = if namespace.is_empty() { "/" } else { namespace };
        // The node may have ended between the two queries; then it publishes nothing.
        let topics = node
            .get_publisher_names_and_types_by_node(name, namespace)
            .unwrap_or_default();
        if topics.keys().any(|topic| topic.starts_with(&below)) {
            known.insert(listener.node.clone());
        }
    }
    let mut drivers: Vec<String> = listeners.into_iter().map(|end| end.node).collect();
    drivers.retain(|name| known.contains(name));
    Ok(drivers)
}
