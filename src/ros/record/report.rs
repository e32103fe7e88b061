//! The recorder's part of `/diagnostics`.

use super::session::RecorderStatus;
use crate::ros::node::diagnostics::{Level, PartStatus};

/// Diagnostic status of the recording.
pub fn recording(status: &RecorderStatus) -> PartStatus {
    let streams: Vec<_> = status
        .streams
        .iter()
        .map(|(name, counts)| {
            format!(
                "{name} {} received {} missing {} repeated",
                counts.received, counts.missing, counts.repeated
            )
        })
        .collect();
    let waits = status.open && !status.recording;
    let unchecked = waits && !status.checked;
    PartStatus::ok("recording")
        .value("recording", status.recording)
        .value("awaiting_motion", status.awaiting)
        .value("instruction", &status.instruction)
        .value("episodes", status.episodes)
        .value("frames", status.frames)
        .value("seconds", format!("{:.1}", status.seconds))
        .value("drops", status.drops())
        .value("streams", streams.join(", "))
        .value("pictures_rejected", status.rejected)
        .complain(Level::Error, status.refusal.is_some(), || {
            status.refusal.clone().unwrap_or_default()
        })
        .complain(Level::Warn, unchecked, || {
            "an episode of a recorder that was killed is open: look at it, then save or discard it".into()
        })
        .complain(Level::Warn, waits, || "an episode is open: save or discard it".into())
        .complain(Level::Warn, status.rejected > 0, || {
            format!("pictures ignored: {}", status.last_rejected)
        })
}
