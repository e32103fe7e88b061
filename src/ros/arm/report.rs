//! The arm's part of `/diagnostics`.

use crate::ros::node::diagnostics::{Level, PartStatus};
use crate::supervisor::{ArmMode, SupervisorStatus as ArmStatus};

/// State of the arm and counts of the gate's interventions.
pub fn arm(status: &ArmStatus) -> PartStatus {
    let latched = matches!(status.mode, ArmMode::Stopped | ArmMode::Fault);
    PartStatus::ok("arm")
        .value("mode", status.mode)
        .value("reason", &status.reason)
        .value("dry_run", status.dry_run)
        .value("driver_api", &status.driver_api)
        .value("lease", &status.lease_source)
        .value("command_rate_hz", format!("{:.1}", status.command_rate))
        .value("commands", status.commands)
        .value("chunks", status.chunks)
        .value("clamps", status.clamps)
        .value("refusals", status.refusals)
        .value("underruns", status.underruns)
        .complain(Level::Error, latched, || format!("{}: {}", status.mode, status.reason))
        .complain(Level::Warn, status.driver_api == "unknown", || {
            "no driver of a known generation in the graph".into()
        })
        .complain(Level::Warn, status.dry_run, || {
            "dry run: commands are shown, not sent".into()
        })
}
