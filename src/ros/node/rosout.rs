//! Logging: `tracing` events go to the ROS logger, which prints them and publishes `/rosout`.

use std::fmt::Write as _;

use rclrs::{Logger, log_debug, log_error, log_info, log_warn};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// Layer that sends events to a node's logger. `--ros-args --log-level` sets the level, as for any ROS node.
struct Rosout {
    logger: Logger,
}

impl<S: Subscriber> Layer<S> for Rosout {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut line = Line::default();
        event.record(&mut line);
        let Line { message, fields } = line;
        match *event.metadata().level() {
            Level::ERROR => log_error!(&self.logger, "{message}{fields}"),
            Level::WARN => log_warn!(&self.logger, "{message}{fields}"),
            Level::INFO => log_info!(&self.logger, "{message}{fields}"),
            _ => log_debug!(&self.logger, "{message}{fields}"),
        }
    }
}

#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        // Writing to a String cannot fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}

/// Routes this process's events to the logger, except those of level trace.
pub(in crate::ros) fn install(logger: Logger) {
    let filter = tracing_subscriber::filter::LevelFilter::DEBUG;
    // A second node in one process, which only tests have, keeps the logger of the first.
    let _ = tracing_subscriber::registry()
        .with(Rosout { logger }.with_filter(filter))
        .try_init();
}
