//! The policy's part of `/diagnostics`.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ros_env::thinkvla::msg::ArmStatus;

use super::active_checkpoint::LoadedCheckpoint;
use super::checkpoint_swap::CheckpointSwap;
use super::health::HealthFault;
use super::metrics::PolicyMetrics;
use crate::ros::node::diagnostics::{Level, PartStatus};
use crate::ros::subscribe::images::Slot;

/// Age of the last status at which the arm node counts as gone.
const ARM_STALE: Duration = Duration::from_secs(1);

/// Silence after which a camera's rate is reported as 0.
const RATE_TIMEOUT: Duration = Duration::from_secs(1);

/// Diagnostic status of a camera: rate, age, identical and unusable images.
pub fn camera(slot: &Slot, expected_hz: f64, fault: Option<&HealthFault>) -> PartStatus {
    let rejected = slot.rejected();
    let health = slot.health();
    let age = slot.silence();
    let silent = age.is_none_or(|age| age > RATE_TIMEOUT);
    let rate = health.rate_hz().filter(|_| !silent).unwrap_or(0.0);
    let faulty = match fault {
        Some(HealthFault::Silent { camera, .. } | HealthFault::Frozen { camera, .. }) => camera == slot.camera(),
        _ => false,
    };
    PartStatus::ok(format!("camera {}", slot.camera()))
        .value("rate_hz", format!("{rate:.1}"))
        .value("expected_rate_hz", expected_hz)
        .value(
            "age_s",
            age.map_or("never".to_owned(), |age| format!("{:.3}", age.as_secs_f64())),
        )
        .value("images", health.received())
        .value("identical_images", health.repeats())
        .value(
            "frozen",
            matches!(fault, Some(HealthFault::Frozen { camera, .. }) if camera == slot.camera()),
        )
        .value("unusable_images", rejected.count)
        .complain(Level::Stale, age.is_none(), || "no usable image yet".to_owned())
        .complain(Level::Error, faulty, || {
            fault.map(HealthFault::to_string).unwrap_or_default()
        })
        .complain(Level::Warn, rejected.count > 0, || {
            format!("unusable images: {}", rejected.reason)
        })
        .complain(Level::Warn, rate < 0.5 * expected_hz, || {
            format!("expected {expected_hz} images/s, found {rate:.1}")
        })
}

/// Diagnostic status of the policy: latency, chunks, failures.
pub fn policy(
    state: &str,
    metrics: &Mutex<PolicyMetrics>,
    fault: Option<&HealthFault>,
    instruction: &str,
) -> PartStatus {
    let metrics = metrics.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let ms = |quantile| {
        metrics
            .quantile_ms(quantile)
            .map_or("none".to_owned(), |ms| format!("{ms:.1}"))
    };
    let active = state == "active";
    PartStatus::ok("policy")
        .value("state", state)
        .value("latency_p50_ms", ms(0.5))
        .value("latency_p95_ms", ms(0.95))
        .value("chunks", metrics.chunks)
        .value("failures", metrics.failures)
        .value("stale_observations", metrics.stale)
        .value("answers", metrics.answers)
        .value("answer_step_max_ms", format!("{:.1}", metrics.longest_answer_step_ms))
        .value("instruction", instruction)
        .complain(Level::Error, active && fault.is_some(), || {
            let reason = fault.map(HealthFault::to_string).unwrap_or_default();
            format!("the heartbeat stands still: {reason}")
        })
        .complain(Level::Warn, metrics.stale > 0, || {
            format!("observations not used: {}", metrics.last_stale)
        })
        .complain(Level::Warn, metrics.failures > 0, || {
            format!("last failure: {}", metrics.last_failure)
        })
        .complain(Level::Warn, active && instruction.is_empty(), || {
            "waiting for an instruction".to_owned()
        })
}

/// Adds the checkpoint in use, the one that waits for `switch`, and the one that `switch_back` returns to.
pub fn checkpoints(status: PartStatus, checkpoint_swap: &CheckpointSwap) -> PartStatus {
    let name = |checkpoint: Option<Arc<LoadedCheckpoint>>| {
        checkpoint.map_or("none".to_owned(), |checkpoint| {
            let hash = checkpoint.hash.get(..8).unwrap_or_default();
            format!("{} {hash} {}", checkpoint.name(), checkpoint.path.display())
        })
    };
    status
        .value("checkpoint", name(checkpoint_swap.running()))
        .value("waiting_checkpoint", name(checkpoint_swap.waiting()))
        .value("previous_checkpoint", name(checkpoint_swap.previous()))
}

/// Diagnostic status of the arm node as received here: underruns, clamps, driver errors.
pub fn arm(latest: Option<(ArmStatus, Duration)>) -> PartStatus {
    let status = PartStatus::ok("arm");
    let Some((arm, age)) = latest else {
        return status.complain(Level::Stale, true, || "arm_node has not been heard of".to_owned());
    };
    status
        .value("age_s", format!("{:.3}", age.as_secs_f64()))
        .value("driver_api", &arm.driver_api)
        .value("lease_source", &arm.lease_source)
        .value("chunk_underruns", arm.underruns)
        .value("clamps", arm.clamps)
        .value("refusals", arm.refusals)
        .value("command_rate_hz", format!("{:.1}", arm.command_rate))
        .value("driver_error", arm.mode == ArmStatus::FAULT)
        .complain(Level::Stale, age > ARM_STALE, || {
            format!(
                "expected arm_status at 20 Hz, found none for {:.1} s",
                age.as_secs_f64()
            )
        })
        .complain(Level::Error, arm.mode == ArmStatus::FAULT, || arm.reason.clone())
        .complain(Level::Warn, arm.mode == ArmStatus::STOPPED, || arm.reason.clone())
}
