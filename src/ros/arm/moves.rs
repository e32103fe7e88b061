//! Action server of named moves: feedback during the move, braking on cancel.

use std::time::Duration;

use rclrs::{ActionServer, FeedbackPublisher, Node, RclrsError, RequestedGoal, TerminatedGoal};
use ros_env::thinkvla::action::{MoveNamed, MoveNamed_Feedback, MoveNamed_Result};

use super::Shared;
use crate::ros::node::time::NodeClock;
use crate::supervisor::MoveProgress;

/// Time between two feedback messages.
const FEEDBACK: Duration = Duration::from_millis(100);

/// Offers the action `~/move_named`.
///
/// # Errors
/// When the server cannot be created.
pub fn offer(
    node: &Node,
    tokio: &tokio::runtime::Handle,
    shared: &Shared,
) -> Result<ActionServer<MoveNamed>, RclrsError> {
    let (arm, clock, tokio) = (shared.clone(), NodeClock::of(node), tokio.clone());
    node.create_action_server("~/move_named", move |goal: RequestedGoal<MoveNamed>| {
        let task = tokio.spawn(follow(goal, arm.clone(), clock.clone()));
        async move {
            match task.await {
                Ok(ended) => ended,
                // The task cannot be aborted: a panic in it has already ended the node.
                Err(_) => std::future::pending().await,
            }
        }
    })
}

async fn follow(requested: RequestedGoal<MoveNamed>, arm: Shared, clock: NodeClock) -> TerminatedGoal {
    let goal = std::sync::Arc::clone(requested.goal());
    let started = {
        let mut supervisor = arm.lock();
        let outcome = supervisor.move_named(&goal.name, goal.speed, goal.lease, clock.both());
        outcome.map(|()| supervisor.moves())
    };
    let executing = requested.accept().execute();
    let number = match started {
        Ok(number) => number,
        Err(refusal) => return executing.aborted_with(result(false, refusal.to_string())),
    };
    let watching = Box::pin(watch(arm.clone(), number, executing.feedback_publisher()));
    match executing.unless_cancel_requested(watching).await {
        Ok(Some(MoveProgress::Done)) => executing.succeeded_with(result(true, format!("at {}", goal.name))),
        Ok(Some(MoveProgress::Failed(message))) => executing.aborted_with(result(false, message)),
        Ok(_) => {
            let message = "another move has begun since; whether this one had arrived is not known";
            executing.aborted_with(result(false, message.into()))
        }
        Err(()) => {
            let mut supervisor = arm.lock();
            if supervisor.moves() == number {
                supervisor.cancel_move(clock.both());
            }
            drop(supervisor);
            executing
                .begin_cancelling()
                .cancelled_with(result(false, "cancelled, braking".into()))
        }
    }
}

/// Publishes the progress of the move with this number until it ends; returns how it ended, or `None` once a later one began.
async fn watch(arm: Shared, number: u64, feedback: FeedbackPublisher<MoveNamed>) -> Option<MoveProgress> {
    loop {
        let progress = {
            let supervisor = arm.lock();
            supervisor.move_progress().filter(|_| supervisor.moves() == number)
        };
        match progress {
            // A client that has gone needs no feedback.
            Some(MoveProgress::Running { remaining }) => drop(feedback.publish(MoveNamed_Feedback { remaining })),
            ended => return ended,
        }
        tokio::time::sleep(FEEDBACK).await;
    }
}

fn result(success: bool, message: String) -> MoveNamed_Result {
    MoveNamed_Result { success, message }
}
