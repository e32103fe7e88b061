//! The recorder's part of `/diagnostics`.

use super::desk::Figures;
use crate::ros::diagnostics::{Level, Status};

/// Diagnostic status of the recording.
pub fn recording(figures: &Figures) -> Status {
    let streams: Vec<_> = figures
        .streams
        .iter()
        .map(|(name, counts)| {
            format!(
                "{name} {} received {} missing {} repeated",
                counts.received, counts.missing, counts.repeated
            )
        })
        .collect();
    let waits = figures.open && !figures.recording;
    let unchecked = waits && !figures.checked;
    Status::ok("recording")
        .value("recording", figures.recording)
        .value("awaiting_motion", figures.awaiting)
        .value("instruction", &figures.instruction)
        .value("episodes", figures.episodes)
        .value("frames", figures.frames)
        .value("seconds", format!("{:.1}", figures.seconds))
        .value("drops", figures.drops())
        .value("streams", streams.join(", "))
        .value("pictures_rejected", figures.rejected.0)
        .complain(Level::Error, figures.refusal.is_some(), || {
            figures.refusal.clone().unwrap_or_default()
        })
        .complain(Level::Warn, unchecked, || {
            "an episode of a recorder that was killed is open: look at it, then save or discard it".into()
        })
        .complain(Level::Warn, waits, || "an episode is open: save or discard it".into())
        .complain(Level::Warn, figures.rejected.0 > 0, || {
            format!("pictures ignored: {}", figures.rejected.1)
        })
}
