//! Action server of fine-tuning.

use std::sync::Arc;
use std::time::Duration;

use rclrs::{ActionServer, Node, RclrsError, RequestedGoal, TerminatedGoal};
use ros_env::thinkvla::action::{FineTune, FineTune_Feedback, FineTune_Result};

use super::bench::Bench;
use super::ear::Ear;
use super::order::Order;
use super::shown::{Ended, Shown, State, contract_of};
use crate::training::metrics::METRICS;

/// Time between two feedback messages.
const FEEDBACK: Duration = Duration::from_millis(500);
/// Polling period for the end of a goal.
const LOOK: Duration = Duration::from_millis(50);

/// Offers the action `~/fine_tune`.
///
/// # Errors
/// When the server cannot be created.
pub fn offer(
    node: &Node,
    tokio: &tokio::runtime::Handle,
    (bench, ear): (&Arc<Bench>, &Arc<Ear>),
) -> Result<ActionServer<FineTune>, RclrsError> {
    let (bench, ear, tokio) = (Arc::clone(bench), Arc::clone(ear), tokio.clone());
    node.create_action_server("~/fine_tune", move |goal: RequestedGoal<FineTune>| {
        let task = tokio.spawn(follow(goal, Arc::clone(&bench), Arc::clone(&ear)));
        async move {
            match task.await {
                Ok(ended) => ended,
                // The task cannot be aborted: a panic in it has already ended the node.
                Err(_) => std::future::pending().await,
            }
        }
    })
}

async fn follow(requested: RequestedGoal<FineTune>, bench: Arc<Bench>, ear: Arc<Ear>) -> TerminatedGoal {
    let order = Order::of(requested.goal(), &bench.settings().runs);
    let executing = requested.accept().execute();
    let taken = order.and_then(|order| bench.take(&order).map(|()| order));
    let order = match taken {
        Ok(order) => order,
        Err(refusal) => {
            tracing::warn!("goal refused: {refusal}");
            return executing.aborted_with(result(&Shown::default(), refusal, false));
        }
    };
    let feedback = executing.feedback_publisher();
    let (watched, goal) = (Arc::clone(&bench), order.clone());
    let watching = Box::pin(async move {
        let mut looks = 0u32;
        loop {
            if let Some(ended) = watched.ended(&goal) {
                return ended;
            }
            if looks.is_multiple_of(FEEDBACK.as_millis() as u32 / LOOK.as_millis() as u32) {
                // A client that has gone needs no feedback.
                drop(feedback.publish(message(&watched.shown(), ear.p95_ms())));
            }
            looks = looks.wrapping_add(1);
            tokio::time::sleep(LOOK).await;
        }
    });
    match executing.unless_cancel_requested(watching).await {
        Ok(Ended { state, message }) => {
            let succeeded = state == State::Succeeded;
            let result = result(&bench.shown(), message, succeeded);
            match succeeded {
                true => executing.succeeded_with(result),
                false => executing.aborted_with(result),
            }
        }
        Err(()) => {
            let cancelling = executing.begin_cancelling();
            bench.cancel(&order);
            let ended = loop {
                if let Some(ended) = bench.ended(&order) {
                    break ended;
                }
                tokio::time::sleep(LOOK).await;
            };
            cancelling.cancelled_with(result(&bench.shown(), ended.message, false))
        }
    }
}

fn message(shown: &Shown, policy_p95_ms: f64) -> FineTune_Feedback {
    let last = shown.progress.last.clone();
    let of = |pick: fn(&super::progress::Line) -> Option<f64>| last.as_ref().and_then(pick).unwrap_or(f64::NAN);
    let [held_out, ..] = shown.progress.held_out();
    FineTune_Feedback {
        state: shown.state.label().to_owned(),
        step: shown.progress.step(),
        steps: shown.steps,
        total_loss: of(|line| Some(line.total)),
        action_loss: of(|line| Some(line.action)),
        geometry_loss: of(|line| line.geometry),
        reasoning_loss: of(|line| line.reasoning),
        text_loss: of(|line| line.text),
        samples_per_second: shown.samples_per_second(),
        eta_s: shown.eta_s(),
        memory_mb: shown.memory_mb,
        held_out,
        policy_p95_ms,
    }
}

fn result(shown: &Shown, message: String, success: bool) -> FineTune_Result {
    let [held_out, held_out_shuffled, held_out_constant] = shown.progress.held_out();
    let checkpoint = shown.checkpoint.as_ref();
    let path = |path: &std::path::Path| path.to_string_lossy().into_owned();
    FineTune_Result {
        success,
        message,
        checkpoint: checkpoint.map(|dir| path(dir)).unwrap_or_default(),
        contract: checkpoint.map(|dir| path(&contract_of(dir))).unwrap_or_default(),
        metrics: checkpoint.map(|_| path(&shown.out.join(METRICS))).unwrap_or_default(),
        step: shown.progress.step(),
        total_loss: shown.progress.last.as_ref().map_or(f64::NAN, |line| line.total),
        held_out,
        held_out_shuffled,
        held_out_constant,
        seconds: shown.begun.map_or(0.0, |begun| begun.elapsed().as_secs_f64()),
    }
}
