//! Reasons why the driver cannot be used: its generation is unknown, or the graph shows others beside it.

use super::graph::{DriverApi, Graph, UNNAMED_NODE};

/// Reasons why the driver's generation is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Undetermined {
    /// The graph shows no driver.
    #[error(
        "expected rm_driver in the graph, found neither a subscriber of move_stop_cmd nor udp_rm_err or udp_sys_err; \
             start the driver, or set driver.api"
    )]
    NoDriver,
    /// The graph shows both generations.
    #[error("expected one driver generation, found signs of both; run one driver only")]
    Both,
    /// The parameter contradicts the graph.
    #[error(
        "driver.api says {parameter}, the graph says {graph}; a stop of the wrong type would never arrive, \
             correct the parameter"
    )]
    Contradiction {
        /// Generation of the parameter.
        parameter: DriverApi,
        /// Generation found in the graph.
        graph: DriverApi,
    },
}

/// Reasons why the driver must not be commanded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DriverNotReady {
    /// The generation is not known.
    #[error(transparent)]
    Undetermined(#[from] Undetermined),
    /// The stop topic has no subscriber.
    #[error("expected a subscriber of move_stop_cmd, found none; without it the arm could not be stopped")]
    NoStop,
    /// The command topic has no subscriber.
    #[error("expected a subscriber of {topic}, found none; start rm_driver or check the namespace")]
    NoListener {
        /// Command topic.
        topic: &'static str,
    },
    /// Another node publishes commands for the arm.
    #[error("expected this node alone to publish {topic}, found {others} too; stop rm_control, MoveIt or what it is", others = others.join(" and "))]
    Commanded {
        /// Command topic.
        topic: String,
        /// Nodes of the other publishers.
        others: Vec<String>,
    },
    /// More than one node reports the state of the arm.
    #[error(
        "expected one publisher of {topic}, found {}: {nodes}; any of them would be believed. Stop all but the arm's driver, \
             or give the others a namespace",
        nodes.len(),
        nodes = nodes.join(" and ")
    )]
    Reported {
        /// Topic of the reports.
        topic: String,
        /// Nodes of the publishers.
        nodes: Vec<String>,
    },
    /// More than one driver subscribes to the commands.
    #[error(
        "expected one driver to listen to {topic}, found {}: {drivers}; every one of them would move its arm. Run one, or \
             give the others a namespace",
        drivers.len(),
        drivers = drivers.join(" and ")
    )]
    Drivers {
        /// Command topic.
        topic: &'static str,
        /// Nodes of the drivers.
        drivers: Vec<String>,
    },
    /// The configured driver is not among the subscribers of the commands.
    #[error("expected {expected} (parameter driver_node) to listen to {topic}, found no driver that does; start it")]
    DriverMissing {
        /// Configured name of the node.
        expected: String,
        /// Command topic.
        topic: &'static str,
    },
    /// The name of the driver is not known yet.
    #[error(
        "expected {expected} to drive the arm (parameter driver_node), found {UNNAMED_NODE}; try again in a second"
    )]
    Unnamed {
        /// Configured name of the node.
        expected: String,
    },
    /// The driver is not the configured one.
    #[error(
        "expected {expected} to drive the arm (parameter driver_node), found {found}; stop it, or give this arm another \
             namespace"
    )]
    OtherDriver {
        /// Configured name of the node.
        expected: String,
        /// Full name of the node found.
        found: String,
    },
    /// Another driver has taken the place of the one that the arm was armed with.
    #[error(
        "expected {before} to go on driving the arm, found {found} in its place; arm the arm again if that is meant"
    )]
    Replaced {
        /// Full name of the driver's node before.
        before: String,
        /// Full name of the node found.
        found: String,
    },
}

impl Graph {
    /// Whether nobody publishes any more on a topic of reports on which somebody did in the graph `before`.
    pub fn has_lost_reporter(&self, topic: &str, before: &Self) -> bool {
        let mut of_topic = self.reporting.iter().filter(|of| of.topic == topic);
        before.is_reported(topic) && of_topic.any(|of| of.nodes.is_empty())
    }

    /// Full name of the driver's node; `None` if there is not exactly one driver, or its name is not known yet.
    pub fn driver_node(&self) -> Option<&str> {
        match self.drivers.as_slice() {
            [node] if node != UNNAMED_NODE => Some(node),
            _ => None,
        }
    }

    /// Checks that the driver is still the node with the name `before`, as far as both names are known.
    ///
    /// # Errors
    /// When it is another one.
    pub fn keeps_driver(&self, before: Option<&str>) -> Result<(), DriverNotReady> {
        match (before, self.driver_node()) {
            (Some(before), Some(found)) if before != found => Err(DriverNotReady::Replaced {
                before: before.to_owned(),
                found: found.to_owned(),
            }),
            _ => Ok(()),
        }
    }
}
