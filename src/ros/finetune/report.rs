//! Reports of the node: its part of `/diagnostics`, and `~/status`.

use ros_env::std_msgs::msg::Header;
use ros_env::thinkvla::msg::FineTuneStatus;

use super::shown::{Shown, State};
use crate::control::time::Time;
use crate::ros::diagnostics::{Level, Status};
use crate::ros::time::to_message;

/// Diagnostic status of the training.
pub fn training(shown: &Shown, policy_p95_ms: f64) -> Status {
    let [held_out, shuffled, constant] = shown.progress.held_out();
    let last = shown.progress.last.as_ref();
    let figure = |value: f64| format!("{value:.4}");
    Status::ok("training")
        .value("state", shown.state.label())
        .value("out", shown.out.display())
        .value("step", shown.progress.step())
        .value("steps", shown.steps)
        .value("total_loss", figure(last.map_or(f64::NAN, |line| line.total)))
        .value("action_loss", figure(last.map_or(f64::NAN, |line| line.action)))
        .value("held_out", figure(held_out))
        .value("held_out_shuffled", figure(shuffled))
        .value("held_out_constant", figure(constant))
        .value("samples_per_s", format!("{:.2}", shown.samples_per_second()))
        .value("eta_s", format!("{:.0}", shown.eta_s()))
        .value("memory_mb", format!("{:.0}", shown.memory_mb))
        .value("policy_p95_ms", format!("{policy_p95_ms:.1}"))
        .complain(Level::Error, shown.state == State::Failed, || shown.message.clone())
        .complain(Level::Warn, shown.progress.step() > 0 && held_out >= constant, || {
            format!("held-out error {held_out:.4} is not below {constant:.4}, that of the best constant chunk")
        })
}

/// Message of `~/status`, for clients that did not send the goal.
pub fn status(shown: &Shown, policy_p95_ms: f64, now: Time) -> FineTuneStatus {
    let [held_out, ..] = shown.progress.held_out();
    let path = |path: &std::path::Path| path.to_string_lossy().into_owned();
    FineTuneStatus {
        header: Header {
            stamp: to_message(now),
            frame_id: String::new(),
        },
        state: shown.state.label().to_owned(),
        message: shown.message.clone(),
        out: path(&shown.out),
        checkpoint: shown.checkpoint.as_ref().map(|dir| path(dir)).unwrap_or_default(),
        step: shown.progress.step(),
        steps: shown.steps,
        total_loss: shown.progress.last.as_ref().map_or(f64::NAN, |line| line.total),
        held_out,
        samples_per_second: shown.samples_per_second(),
        eta_s: shown.eta_s(),
        memory_mb: shown.memory_mb,
        policy_p95_ms,
    }
}
