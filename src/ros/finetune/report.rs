//! Reports of the node: its part of `/diagnostics`, and `~/status`.

use ros_env::std_msgs::msg::Header;
use ros_env::thinkvla::msg::FineTuneStatus;

use super::job_status::{JobState, JobStatus};
use crate::ros::node::diagnostics::{Level, PartStatus};
use crate::ros::node::time::to_message;
use crate::types::time::Time;

/// Diagnostic status of the training.
pub fn training(status: &JobStatus, policy_p95_ms: f64) -> PartStatus {
    let [held_out, shuffled, constant] = status.progress.held_out();
    let last = status.progress.last.as_ref();
    let figure = |value: f64| format!("{value:.4}");
    PartStatus::ok("training")
        .value("state", status.state.label())
        .value("out", status.out.display())
        .value("step", status.progress.step())
        .value("steps", status.steps)
        .value("total_loss", figure(last.map_or(f64::NAN, |line| line.total)))
        .value("action_loss", figure(last.map_or(f64::NAN, |line| line.action)))
        .value("held_out", figure(held_out))
        .value("held_out_shuffled", figure(shuffled))
        .value("held_out_constant", figure(constant))
        .value("samples_per_s", format!("{:.2}", status.samples_per_second()))
        .value("eta_s", format!("{:.0}", status.eta_s()))
        .value("memory_mb", format!("{:.0}", status.memory_mb))
        .value("policy_p95_ms", format!("{policy_p95_ms:.1}"))
        .complain(Level::Error, status.state == JobState::Failed, || {
            status.message.clone()
        })
        .complain(Level::Warn, status.progress.step() > 0 && held_out >= constant, || {
            format!("held-out error {held_out:.4} is not below {constant:.4}, that of the best constant chunk")
        })
}

/// Message of `~/status`, for clients that did not send the goal.
pub fn status(status: &JobStatus, policy_p95_ms: f64, now: Time) -> FineTuneStatus {
    let [held_out, ..] = status.progress.held_out();
    let path = |path: &std::path::Path| path.to_string_lossy().into_owned();
    FineTuneStatus {
        header: Header {
            stamp: to_message(now),
            frame_id: String::new(),
        },
        state: status.state.label().to_owned(),
        message: status.message.clone(),
        out: path(&status.out),
        checkpoint: status.checkpoint.as_ref().map(|dir| path(dir)).unwrap_or_default(),
        step: status.progress.step(),
        steps: status.steps,
        total_loss: status.progress.last.as_ref().map_or(f64::NAN, |line| line.total),
        held_out,
        samples_per_second: status.samples_per_second(),
        eta_s: status.eta_s(),
        memory_mb: status.memory_mb,
        policy_p95_ms,
    }
}
