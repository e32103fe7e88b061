//! Publishes `/diagnostics` at 1 Hz.

use std::sync::Arc;
use std::time::Duration;

use rclrs::{IntoPrimitiveOptions as _, Node, RclrsError, Timer};
use ros_env::diagnostic_msgs::msg::{DiagnosticArray, DiagnosticStatus, KeyValue};
use ros_env::std_msgs::msg::Header;

use super::time::{NodeClock, to_message};
use super::{qos, topics};

/// Severity of a status, as in `DiagnosticStatus`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Works normally.
    Ok,
    /// Works, but needs attention.
    Warn,
    /// Does not work.
    Error,
    /// Nothing has been received from it.
    Stale,
}

/// Diagnostic status of one part of a node.
#[derive(Debug, Clone, PartialEq)]
pub struct PartStatus {
    /// Name of the part, e.g. `camera top`.
    pub part: String,
    /// Severity.
    pub level: Level,
    /// Summary in one line.
    pub message: String,
    /// Measurements as name and value; the name contains the unit.
    pub values: Vec<(&'static str, String)>,
}

impl PartStatus {
    /// Creates a status of level `Ok`.
    pub fn ok(part: impl Into<String>) -> Self {
        Self {
            part: part.into(),
            level: Level::Ok,
            message: "ok".to_owned(),
            values: Vec::new(),
        }
    }

    /// Adds a measurement.
    #[must_use]
    pub fn value(mut self, name: &'static str, value: impl ToString) -> Self {
        self.values.push((name, value.to_string()));
        self
    }

    /// Raises the level to `level` when `wrong`; the message of the first complaint of the highest level is shown.
    #[must_use]
    pub fn complain(mut self, level: Level, wrong: bool, message: impl FnOnce() -> String) -> Self {
        if wrong && level > self.level {
            self.level = level;
            self.message = message();
        }
        self
    }

    fn into_message(self, node: &str, hardware_id: &str) -> DiagnosticStatus {
        DiagnosticStatus {
            level: match self.level {
                Level::Ok => DiagnosticStatus::OK,
                Level::Warn => DiagnosticStatus::WARN,
                Level::Error => DiagnosticStatus::ERROR,
                Level::Stale => DiagnosticStatus::STALE,
            },
            name: format!("{node}: {}", self.part),
            message: self.message,
            hardware_id: hardware_id.to_owned(),
            values: self
                .values
                .into_iter()
                .map(|(key, value)| KeyValue {
                    key: key.to_owned(),
                    value,
                })
                .collect(),
        }
    }
}

/// Publishes the result of `statuses` once a second, as long as the returned timer lives.
///
/// # Errors
/// When publisher or timer cannot be created.
pub fn publish(
    node: &Node,
    hardware_id: &str,
    mut statuses: impl FnMut() -> Vec<PartStatus> + Send + 'static,
) -> Result<Timer, RclrsError> {
    let publisher = node.create_publisher::<DiagnosticArray>(topics::DIAGNOSTICS.name.qos(qos::display()))?;
    let clock = NodeClock::of(node);
    let (name, hardware_id) = (node.name(), Arc::<str>::from(hardware_id));
    node.create_timer_repeating(Duration::from_secs(1), move || {
        let array = DiagnosticArray {
            header: Header {
                stamp: to_message(clock.now()),
                frame_id: String::new(),
            },
            status: statuses()
                .into_iter()
                .map(|status| status.into_message(&name, &hardware_id))
                .collect(),
        };
        if let Err(error) = publisher.publish(array) {
            tracing::warn!("diagnostics not sent: {error}");
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_complaint_is_shown() {
        let status = PartStatus::ok("camera top")
            .complain(Level::Error, true, || "no frames".into())
            .complain(Level::Warn, true, || "slow".into())
            .complain(Level::Stale, false, || "never heard of".into());
        assert_eq!((status.level, status.message.as_str()), (Level::Error, "no frames"));
    }
}
