//! The operator's part of `/diagnostics`.

use super::helm::Figures;
use crate::ros::diagnostics::{Level, Status};

/// Diagnostic status of the operator's node.
pub fn operator(mapping: &str, figures: &Figures, told: &str) -> Status {
    let lease = figures
        .lease
        .map_or_else(|| "none".to_owned(), |lease| lease.to_string());
    let silence = figures
        .silence_s
        .map_or_else(|| "never".to_owned(), |seconds| format!("{seconds:.2}"));
    Status::ok("operator")
        .value("mapping", mapping)
        .value("state", figures.state)
        .value("speed_scale", figures.scale)
        .value("gripper", figures.opening)
        .value("lease", lease)
        .value("chunks", figures.chunks)
        .value("input_silent_s", silence)
        .value("told", told)
        .complain(Level::Warn, figures.fault.is_some(), || {
            figures.fault.clone().unwrap_or_default()
        })
        .complain(Level::Error, !figures.has_arm, || {
            "expected arm_status of arm_node, found none; is it running in this namespace?".into()
        })
}
