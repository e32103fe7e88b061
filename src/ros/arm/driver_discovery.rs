//! Driver discovery in the ROS graph: the driver's generation, who subscribes to it, and which other nodes command or
//! report.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rclrs::{Node, RclrsError, Timer};

use super::Shared;
use crate::realman::Graph;
use crate::realman::graph::{COMMAND_TOPICS, JOINT_COMMANDS, POSE_COMMANDS, Publishers, REPORT_TOPICS, is_command};
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
    let (stop_topic, motion_topic, published) = {
        let supervisor = shared.lock();
        let driver = supervisor.driver();
        let published: OwnTopics = driver.own_topics().into_iter().collect();
        (driver.stop_topic(), driver.motion_topic(), published)
    };
    let stops = subscriptions(node, &stop_topic)?;
    let listens = |kind: &str| stops.iter().any(|end| end.kind == kind);
    let nothing = OwnTopics::new();
    let reporting = by_topic(node, own, &nothing, &REPORT_TOPICS)?;
    let mut commanding = by_topic(node, own, &published, &COMMAND_TOPICS)?;
    commanding.extend(other_commands(node, &motion_topic)?);
    let mut graph = Graph {
        stop_is_bool: listens("std_msgs/msg/Bool"),
        stop_is_empty: listens("std_msgs/msg/Empty"),
        drivers: drivers(node, subscriptions(node, &motion_topic)?, &reporting)?,
        commanding,
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

/// Other publishers of each topic: one publisher of this node itself is left out of each topic that is `published`.
fn by_topic(
    node: &Node,
    own: &OwnTopics,
    published: &OwnTopics,
    topics: &[&'static str],
) -> Result<Vec<Publishers>, RclrsError> {
    let name = node.fully_qualified_name();
    let others = |topic: &&'static str| -> Result<Publishers, RclrsError> {
        let remapped = published.get(topic).or_else(|| own.get(topic));
        let remapped = remapped.map_or(*topic, String::as_str);
        let mut nodes: Vec<String> = publishers(node, remapped)?.into_iter().map(|end| end.node).collect();
        let ours = nodes.iter().position(|found| *found == name);
        if let Some(ours) = ours.filter(|_| published.contains_key(topic)) {
            nodes.swap_remove(ours);
        }
        Ok(Publishers {
            topic: (*topic).to_owned(),
            nodes,
        })
    };
    topics.iter().map(others).collect()
}

/// Publishers of the driver's command topics that this node never uses: every one of them belongs to another node.
fn other_commands(node: &Node, motion_topic: &str) -> Result<Vec<Publishers>, RclrsError> {
    // A driver elsewhere has all of its topics beside the one that motion is remapped to.
    let is_motion = |name: &str| {
        [JOINT_COMMANDS, POSE_COMMANDS]
            .into_iter()
            .any(|known| last(known) == name)
    };
    let below = match motion_topic.rsplit_once('/') {
        Some((driver, name)) if is_motion(name) => format!("{driver}/"),
        _ => resolve(node, DRIVER_TOPICS),
    };
    let known = node.get_topic_names_and_types()?;
    let topics: BTreeSet<String> = known.into_keys().collect();
    let of_driver = topics.into_iter().filter(|topic| {
        let name = topic.strip_prefix(&below);
        name.is_some_and(|name| is_command(name) && !COMMAND_TOPICS.into_iter().any(|used| last(used) == name))
    });
    of_driver
        .map(|topic| -> Result<Publishers, RclrsError> {
            let nodes = publishers(node, &topic)?.into_iter().map(|end| end.node).collect();
            Ok(Publishers { topic, nodes })
        })
        .collect()
}

/// Last part of a topic's name.
fn last(topic: &str) -> &str {
    topic.rsplit('/').next().unwrap_or(topic)
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
