//! Looks at the ROS graph: which driver is there, who listens, who else commands.

use std::time::Duration;

use rclrs::{Node, RclrsError, Timer};

use super::Shared;
use crate::control::realman::Graph;
use crate::ros::graph::{publishers, subscriptions};
use crate::ros::time::Clock;

const SYSTEM_ERRORS: &str = "rm_driver/udp_sys_err";
const ALL_ERRORS: &str = "rm_driver/udp_rm_err";
/// Time between two looks; a second publisher is noticed within it.
const PERIOD: Duration = Duration::from_millis(100);

/// Looks ten times a second as long as the timer lives.
///
/// # Errors
/// When the timer cannot be made.
pub fn watch(node: &Node, shared: Shared) -> Result<Timer, RclrsError> {
    let (clock, looking) = (Clock::of(node), std::sync::Arc::clone(node));
    node.create_timer_repeating(PERIOD, move || match look(&looking, &shared) {
        Ok(graph) => shared.lock().on_graph(graph, clock.now()),
        Err(error) => tracing::warn!("the ROS graph cannot be asked: {error}"),
    })
}

fn look(node: &Node, shared: &Shared) -> Result<Graph, RclrsError> {
    let (stop_topic, motion_topic) = {
        let supervisor = shared.lock();
        (supervisor.driver().stop_topic(), supervisor.driver().motion_topic())
    };
    let stops = subscriptions(node, &stop_topic)?;
    let listens = |kind: &str| stops.iter().any(|end| end.kind == kind);
    let mut graph = Graph {
        stop_is_bool: listens("std_msgs/msg/Bool"),
        stop_is_empty: listens("std_msgs/msg/Empty"),
        publishes_sys_err: !publishers(node, SYSTEM_ERRORS)?.is_empty(),
        publishes_rm_err: !publishers(node, ALL_ERRORS)?.is_empty(),
        command_publishers: publishers(node, &motion_topic)?.len(),
        ..Graph::default()
    };
    let mut supervisor = shared.lock();
    let choice = supervisor.config().driver.api;
    let driver = supervisor.driver_mut();
    if let Ok(api) = graph.api(choice) {
        driver.prepare_stop(api)?;
    }
    // What counts is what our own publishers are matched with: a subscription of another type hears nothing.
    graph.stop_subscribers = driver.stop_subscribers();
    graph.command_subscribers = driver.motion_subscribers();
    Ok(graph)
}
