//! Warnings about best-effort publishers, which a reliable subscription does not match. The middleware does not report
//! them, because rclrs has no QoS events.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rclrs::{Node, RclrsError, Timer};

use crate::ros::node::diagnostics::{Level, PartStatus};
use crate::ros::node::graph::publishers;
use crate::ros::node::lock::lock;

/// Period of the graph queries.
const PERIOD: Duration = Duration::from_secs(1);

/// Best-effort publishers that were found.
#[derive(Clone)]
pub struct UnmatchedPublishers {
    found: Arc<Mutex<Vec<String>>>,
    _timer: Timer,
}

impl UnmatchedPublishers {
    /// Looks for best-effort publishers of these topics as long as this or a clone lives, and warns once of each. The names
    /// must be those after remapping.
    ///
    /// # Errors
    /// When the timer cannot be created.
    pub fn watch(node: &Node, topics: Vec<String>) -> Result<Self, RclrsError> {
        let looking = Arc::clone(node);
        let found = Arc::new(Mutex::new(Vec::new()));
        let shown = Arc::clone(&found);
        let mut named = BTreeSet::new();
        let timer = node.create_timer_repeating(PERIOD, move || {
            let mut now = Vec::new();
            for topic in &topics {
                // An error is ignored: the query is repeated soon, and others log it.
                let found = publishers(&looking, topic).unwrap_or_default();
                for publisher in found.into_iter().filter(|publisher| publisher.is_best_effort) {
                    let warning = format!(
                        "{topic}: {} publishes best effort, and nothing of it is heard: expected a reliable publisher; \
                         change its quality of service",
                        publisher.node
                    );
                    if named.insert(warning.clone()) {
                        tracing::warn!("{warning}");
                    }
                    now.push(warning);
                }
            }
            *lock(&shown) = now;
        })?;
        Ok(Self { found, _timer: timer })
    }

    /// Diagnostic status with the publishers found.
    pub fn status(&self) -> PartStatus {
        let found = lock(&self.found);
        PartStatus::ok("topics")
            .value("unmatched publishers", found.len())
            .complain(Level::Warn, !found.is_empty(), || found.join("; "))
    }
}
