//! Action server of fine-tuning.

use std::sync::Arc;
use std::time::Duration;

use rclrs::{ActionServer, Node, RclrsError, RequestedGoal, TerminatedGoal};
use ros_env::thinkvla::action::{FineTune, FineTune_Feedback, FineTune_Result};

use super::goal::TrainingGoal;
use super::job_queue::JobQueue;
use super::job_status::{JobOutcome, JobState, JobStatus, contract_of};
use super::policy_latency::PolicyLatency;
use crate::training::metrics::METRICS;

/// Time between two feedback messages.
const FEEDBACK: Duration = Duration::from_millis(500);
/// Polling period for the end of a goal.
const POLL_PERIOD: Duration = Duration::from_millis(50);

/// Offers the action `~/fine_tune`.
///
/// # Errors
/// When the server cannot be created.
pub fn offer(
    node: &Node,
    tokio: &tokio::runtime::Handle,
    jobs: &Arc<JobQueue>,
    latency: &Arc<PolicyLatency>,
) -> Result<ActionServer<FineTune>, RclrsError> {
    let (jobs, latency, tokio) = (Arc::clone(jobs), Arc::clone(latency), tokio.clone());
    node.create_action_server("~/fine_tune", move |goal: RequestedGoal<FineTune>| {
        let task = tokio.spawn(follow(goal, Arc::clone(&jobs), Arc::clone(&latency)));
        async move {
            match task.await {
                Ok(ended) => ended,
                // The task cannot be aborted: a panic in it has already ended the node.
                Err(_) => std::future::pending().await,
            }
        }
    })
}

async fn follow(
    requested: RequestedGoal<FineTune>,
    jobs: Arc<JobQueue>,
    latency: Arc<PolicyLatency>,
) -> TerminatedGoal {
    let training_goal = TrainingGoal::of(requested.goal(), &jobs.settings().runs);
    let executing = requested.accept().execute();
    let taken = training_goal.and_then(|training_goal| jobs.take(&training_goal).map(|()| training_goal));
    let training_goal = match taken {
        Ok(training_goal) => training_goal,
        Err(refusal) => {
            return executing.aborted_with(result(&JobStatus::default(), refusal.to_string(), false));
        }
    };
    let feedback = executing.feedback_publisher();
    let (watched, goal) = (Arc::clone(&jobs), training_goal.clone());
    let watching = Box::pin(async move {
        let mut looks = 0u32;
        loop {
            if let Some(ended) = watched.ended(&goal) {
                return ended;
            }
            if looks.is_multiple_of(FEEDBACK.as_millis() as u32 / POLL_PERIOD.as_millis() as u32) {
                // A client that has gone needs no feedback.
                drop(feedback.publish(message(&watched.status(), latency.p95_ms())));
            }
            looks = looks.wrapping_add(1);
            tokio::time::sleep(POLL_PERIOD).await;
        }
    });
    match executing.unless_cancel_requested(watching).await {
        Ok(JobOutcome { state, message }) => {
            let succeeded = state == JobState::Succeeded;
            let result = result(&jobs.status(), message, succeeded);
            match succeeded {
                true => executing.succeeded_with(result),
                false => executing.aborted_with(result),
            }
        }
        Err(()) => {
            let cancelling = executing.begin_cancelling();
            jobs.cancel(&training_goal);
            let ended = loop {
                if let Some(ended) = jobs.ended(&training_goal) {
                    break ended;
                }
                tokio::time::sleep(POLL_PERIOD).await;
            };
            cancelling.cancelled_with(result(&jobs.status(), ended.message, false))
        }
    }
}

fn message(status: &JobStatus, policy_p95_ms: f64) -> FineTune_Feedback {
    let last = status.progress.last.clone();
    let of = |pick: fn(&super::progress::Line) -> Option<f64>| last.as_ref().and_then(pick).unwrap_or(f64::NAN);
    let [held_out, ..] = status.progress.held_out();
    FineTune_Feedback {
        state: status.state.label().to_owned(),
        step: status.progress.step(),
        steps: status.steps,
        total_loss: of(|line| Some(line.total)),
        action_loss: of(|line| Some(line.action)),
        geometry_loss: of(|line| line.geometry),
        reasoning_loss: of(|line| line.reasoning),
        text_loss: of(|line| line.text),
        samples_per_second: status.samples_per_second(),
        eta_s: status.eta_s(),
        memory_mb: status.memory_mb,
        held_out,
        policy_p95_ms,
    }
}

fn result(status: &JobStatus, message: String, success: bool) -> FineTune_Result {
    let [held_out, held_out_shuffled, held_out_constant] = status.progress.held_out();
    let checkpoint = status.checkpoint.as_ref();
    let path = |path: &std::path::Path| path.to_string_lossy().into_owned();
    FineTune_Result {
        success,
        message,
        checkpoint: checkpoint.map(|dir| path(dir)).unwrap_or_default(),
        contract: checkpoint.map(|dir| path(&contract_of(dir))).unwrap_or_default(),
        metrics: checkpoint.map(|_| path(&status.out.join(METRICS))).unwrap_or_default(),
        step: status.progress.step(),
        total_loss: status.progress.last.as_ref().map_or(f64::NAN, |line| line.total),
        held_out,
        held_out_shuffled,
        held_out_constant,
        seconds: status.begun.map_or(0.0, |begun| begun.elapsed().as_secs_f64()),
    }
}
