//! `/diagnostics` at 1 Hz.

use std::sync::Arc;
use std::time::Duration;

use rclrs::{IntoPrimitiveOptions as _, Node, RclrsError, Timer};
use ros_env::diagnostic_msgs::msg::{DiagnosticArray, DiagnosticStatus, KeyValue};
use ros_env::std_msgs::msg::Header;

use super::time::{Clock, to_message};
use super::{qos, topics};

/// How a part of a node is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// As it should be.
    Ok,
    /// Works, but a person should look.
    Warn,
    /// Does not work.
    Error,
    /// Nothing has been heard of it.
    Stale,
}

/// The state of one part.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// Part, e.g. `camera top`.
    pub part: String,
    /// How it is doing.
    pub level: Level,
    /// One line for a person.
    pub message: String,
    /// Figures, by name with unit.
    pub values: Vec<(&'static str, String)>,
}

impl Status {
    /// A part with nothing to complain about.
    pub fn ok(part: impl Into<String>) -> Self {
        Self {
            part: part.into(),
            level: Level::Ok,
            message: "ok".to_owned(),
            values: Vec::new(),
        }
    }

    /// Adds a figure.
    #[must_use]
    pub fn value(mut self, name: &'static str, value: impl ToString) -> Self {
        self.values.push((name, value.to_string()));
        self
    }

    /// Raises the level when `wrong`; the worst complaint is the message.
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

/// Publishes what `statuses` returns, once a second, as long as the timer returned lives.
///
/// # Errors
/// When publisher or timer cannot be made.
pub fn publish(
    node: &Node,
    hardware_id: &str,
    mut statuses: impl FnMut() -> Vec<Status> + Send + 'static,
) -> Result<Timer, RclrsError> {
    let publisher = node.create_publisher::<DiagnosticArray>(topics::DIAGNOSTICS.name.qos(qos::display()))?;
    let clock = Clock::of(node);
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
        let status = Status::ok("camera top")
            .complain(Level::Error, true, || "no frames".into())
            .complain(Level::Warn, true, || "slow".into())
            .complain(Level::Stale, false, || "never heard of".into());
        assert_eq!((status.level, status.message.as_str()), (Level::Error, "no frames"));
    }
}
