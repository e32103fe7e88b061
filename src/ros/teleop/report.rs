//! The operator's part of `/diagnostics`.

use super::control_loop::ControlStatus;
use crate::ros::node::diagnostics::{Level, PartStatus};

/// Diagnostic status of the operator's node.
pub fn operator(mapping: &str, status: &ControlStatus, announced: &str) -> PartStatus {
    let lease = status
        .lease
        .map_or_else(|| "none".to_owned(), |lease| lease.to_string());
    let silence = status
        .silence_s
        .map_or_else(|| "never".to_owned(), |seconds| format!("{seconds:.2}"));
    PartStatus::ok("operator")
        .value("mapping", mapping)
        .value("state", status.state)
        .value("speed_scale", status.scale)
        .value("gripper", status.opening)
        .value("lease", lease)
        .value("chunks", status.chunks)
        .value("input_silent_s", silence)
        .value("announced", announced)
        .complain(Level::Warn, status.fault.is_some(), || {
            status.fault.clone().unwrap_or_default()
        })
        .complain(Level::Error, !status.has_arm, || {
            "expected arm_status of arm_node, found none; is it running in this namespace?".into()
        })
}
