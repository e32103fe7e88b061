//! Driver discovery in the ROS graph: the driver's generation, who subscribes to it, and which other nodes command or
//! report.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rclrs::{Node, RclrsError, Timer};

use super::Shared;
use crate::realman::Graph;
use crate::realman::graph::{
    COMMAND_TOPICS, JOINT_COMMANDS, POSE_COMMANDS, Publishers, REPORT_TOPICS, UNNAMED_NODE, is_command,
};
use crate::ros::node::graph::{Endpoint, publishers, resolve, subscriptions};
use crate::ros::node::time::NodeClock;

/// Prefix of a driver's own topics.
const DRIVER_TOPICS: &str = "rm_driver/";
/// Period of the graph queries; a second publisher is noticed within it.
const PERIOD: Duration = Duration::from_millis(100);

/// Topics that this node publishes or subscribes to: name before remapping to name after it.
pub type OwnTopics = BTreeMap<&'static str, String>;

/// Queries the graph every 100 ms as long as the returned timer lives, and hands the result to the supervisor. A graph that
/// cannot be queried counts as one without a driver, because other nodes that command or report are then unknown.
///
/// # Errors
/// When the timer cannot be created.
pub fn watch(node: &Node, shared: Shared, own: OwnTopics) -> Result<Timer, RclrsError> {
    let (clock, looking) = (NodeClock::of(node), std::sync::Arc::clone(node));
    node.create_timer_repeating(PERIOD, move || {
        let graph = look(&looking, &shared, &own).unwrap_or_else(|error| {
            tracing::error!("the ROS graph cannot be queried, so that no driver is known: {error}");
            Graph::default()
        });
        shared.lock().on_graph(graph, clock.both());
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
    let used = COMMAND_TOPICS.map(|topic| resolve(node, remapped(own, &published, topic)));
    let own_prefix = resolve(node, DRIVER_TOPICS);
    let below = driver_prefix(&motion_topic).unwrap_or_else(|| own_prefix.clone());
    commanding.extend(other_commands(node, &below, &used)?);
    let mut graph = Graph {
        stop_is_bool: listens("std_msgs/msg/Bool"),
        stop_is_empty: listens("std_msgs/msg/Empty"),
        drivers: drivers(
            node,
            subscriptions(node, &motion_topic)?,
            &reporting,
            &[own_prefix, below],
        ),
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
        let found = publishers(node, remapped(own, published, topic))?;
        let mut nodes: Vec<String> = found.into_iter().map(|end| end.node).collect();
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

/// Name of a topic after remapping.
fn remapped<'a>(own: &'a OwnTopics, published: &'a OwnTopics, topic: &'a str) -> &'a str {
    let remapped = published.get(topic).or_else(|| own.get(topic));
    remapped.map_or(topic, String::as_str)
}

/// Publishers of the command topics below the driver's prefix beside those that are `used`: every one of them belongs to
/// another node. A driver subscribes to dozens of these topics, so only their publishers are counted, and named where there
/// are any.
fn other_commands(node: &Node, below: &str, used: &[String]) -> Result<Vec<Publishers>, RclrsError> {
    let topics: BTreeSet<String> = node.get_topic_names_and_types()?.into_keys().collect();
    let mut others = Vec::new();
    for topic in topics {
        if is_other_command(&topic, below, used) && node.count_publishers(&topic)? > 0 {
            let nodes = publishers(node, &topic)?.into_iter().map(|end| end.node).collect();
            others.push(Publishers { topic, nodes });
        }
    }
    Ok(others)
}

/// Prefix of the topics of a driver whose topic of motion commands keeps its last name: all of them lie beside that one.
fn driver_prefix(motion_topic: &str) -> Option<String> {
    let (driver, name) = motion_topic.rsplit_once('/')?;
    let is_motion = [JOINT_COMMANDS, POSE_COMMANDS]
        .into_iter()
        .any(|known| known.rsplit('/').next() == Some(name));
    is_motion.then(|| format!("{driver}/"))
}

/// Whether a topic is a command topic below the driver's prefix that is not among those `used`. Whole names are compared: a
/// remapping may move some of them and leave the others of the same driver.
fn is_other_command(topic: &str, below: &str, used: &[String]) -> bool {
    let is_of_driver = topic.strip_prefix(below).is_some_and(is_command);
    is_of_driver && !used.iter().any(|name| name == topic)
}

/// Names of the listeners that are drivers: those that also publish on a driver's report topics, or below one of `prefixes`.
fn drivers(node: &Node, listeners: Vec<Endpoint>, reporting: &[Publishers], prefixes: &[String; 2]) -> Vec<String> {
    let mut known: BTreeSet<String> = reporting.iter().flat_map(|by| by.nodes.clone()).collect();
    for listener in &listeners {
        if known.contains(&listener.node) || listener.node == UNNAMED_NODE {
            continue;
        }
        let (namespace, name) = listener.node.rsplit_once('/').unwrap_or(("", &listener.node));
        let namespace = if namespace.is_empty() { "/" } else { namespace };
        // The node may have ended between the two queries; then it publishes nothing.
        let topics = node
            .get_publisher_names_and_types_by_node(name, namespace)
            .unwrap_or_default();
        let is_below = |topic: &String| prefixes.iter().any(|prefix| topic.starts_with(prefix));
        if topics.keys().any(is_below) {
            known.insert(listener.node.clone());
        }
    }
    let mut drivers: Vec<String> = listeners.into_iter().map(|end| end.node).collect();
    drivers.retain(|name| known.contains(name));
    drivers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_topics_of_a_remapped_driver_are_those_beside_its_motion_topic() {
        for (motion, prefix) in [
            ("/rm_driver/movej_canfd_cmd", Some("/rm_driver/")),
            ("/left/arm/movep_canfd_cmd", Some("/left/arm/")),
            ("/left/targets", None),
        ] {
            assert_eq!(driver_prefix(motion).as_deref(), prefix);
        }
    }

    #[test]
    fn commands_that_this_node_does_not_publish_are_those_of_others_wherever_remapping_leads() {
        let used = [
            "/left/rm_driver/movej_canfd_cmd".to_owned(),
            "/rm_driver/move_stop_cmd".to_owned(),
        ];
        let is_other = |topic: &str| is_other_command(topic, "/left/rm_driver/", &used);
        assert!(is_other("/left/rm_driver/movej_cmd"));
        assert!(is_other("/left/rm_driver/move_stop_cmd"), "the stop is not remapped");
        assert!(!is_other("/left/rm_driver/movej_canfd_cmd"));
        assert!(!is_other("/left/rm_driver/get_current_arm_state_cmd"));
        assert!(!is_other("/right/rm_driver/movej_cmd"));
    }
}
