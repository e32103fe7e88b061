//! Action server that records one episode.

use std::sync::Arc;
use std::time::Duration;

use rclrs::{ActionServer, FeedbackPublisher, Node, RclrsError, RequestedGoal, TerminatedGoal};
use ros_env::thinkvla::action::{RecordEpisode, RecordEpisode_Feedback, RecordEpisode_Result};

use super::error::RecordError;
use super::session::{RecorderStatus, RecordingSession};
use crate::dataset::writer::SavedEpisode;

/// Time between two feedback messages.
const FEEDBACK: Duration = Duration::from_millis(200);

/// Offers the action `~/record_episode`.
///
/// # Errors
/// When the server cannot be created.
pub fn offer(
    node: &Node,
    tokio: &tokio::runtime::Handle,
    session: &Arc<RecordingSession>,
) -> Result<ActionServer<RecordEpisode>, RclrsError> {
    let (session, tokio) = (Arc::clone(session), tokio.clone());
    node.create_action_server("~/record_episode", move |goal: RequestedGoal<RecordEpisode>| {
        let task = tokio.spawn(follow(goal, Arc::clone(&session)));
        async move {
            match task.await {
                Ok(ended) => ended,
                // The task cannot be aborted: a panic in it has already ended the node.
                Err(_) => std::future::pending().await,
            }
        }
    })
}

async fn follow(requested: RequestedGoal<RecordEpisode>, session: Arc<RecordingSession>) -> TerminatedGoal {
    let goal = Arc::clone(requested.goal());
    let executing = requested.accept().execute();
    let words = match goal.instruction.trim() {
        "" => Ok(()),
        words => session.instruct(words),
    };
    let before = session.status().episodes;
    let started = match words {
        Ok(()) => beside(&session, RecordingSession::start).await,
        Err(problem) => Err(problem),
    };
    if let Err(problem) = started {
        return executing.aborted_with(result(None, problem.to_string()));
    }
    let watching = Box::pin(watch(
        Arc::clone(&session),
        executing.feedback_publisher(),
        goal.max_seconds,
        before,
    ));
    match executing.unless_cancel_requested(watching).await {
        Ok(Ok(saved)) => {
            let message = format!("saved episode {} of {} frames", saved.episode, saved.frames);
            executing.succeeded_with(result(Some(saved), message))
        }
        Ok(Err(problem)) => executing.aborted_with(result(None, problem.to_string())),
        Err(()) => {
            let message = match beside(&session, RecordingSession::discard).await {
                Ok(()) => "cancelled: the episode is discarded".to_owned(),
                Err(problem) => problem.to_string(),
            };
            executing.begin_cancelling().cancelled_with(result(None, message))
        }
    }
}

/// Waits until the episode is saved or discarded by any client, or saves it when its time is over.
async fn watch(
    session: Arc<RecordingSession>,
    feedback: FeedbackPublisher<RecordEpisode>,
    max_seconds: f64,
    before: usize,
) -> Result<SavedEpisode, RecordError> {
    loop {
        // In this order: an episode that is no longer open has been saved by then, or was discarded.
        let (status, saved) = beside(&session, move |session| Ok((session.status(), session.saved(before)))).await?;
        if let Some(saved) = saved {
            return Ok(saved);
        }
        if !status.open {
            return Err(RecordError::Discarded);
        }
        if max_seconds > 0.0 && status.seconds >= max_seconds {
            return beside(&session, RecordingSession::save).await;
        }
        // A client that has gone needs no feedback.
        drop(feedback.publish(message(&status)));
        tokio::time::sleep(FEEDBACK).await;
    }
}

/// Runs work that may wait for the disk on a blocking thread.
async fn beside<T: Send + 'static>(
    session: &Arc<RecordingSession>,
    work: impl FnOnce(&RecordingSession) -> Result<T, RecordError> + Send + 'static,
) -> Result<T, RecordError> {
    let session = Arc::clone(session);
    let done = tokio::task::spawn_blocking(move || work(&session)).await;
    done.unwrap_or_else(|panicked| Err(panicked.into()))
}

fn message(status: &RecorderStatus) -> RecordEpisode_Feedback {
    let seconds = status.seconds.max(1e-9);
    RecordEpisode_Feedback {
        seconds: status.seconds,
        frames: u32::try_from(status.frames).unwrap_or(u32::MAX),
        drops: u32::try_from(status.drops()).unwrap_or(u32::MAX),
        streams: status.streams.iter().map(|(name, _)| name.clone()).collect(),
        rates: status
            .streams
            .iter()
            .map(|(_, counts)| counts.received as f64 / seconds)
            .collect(),
    }
}

fn result(saved: Option<SavedEpisode>, message: String) -> RecordEpisode_Result {
    let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    RecordEpisode_Result {
        saved: saved.is_some(),
        episode: saved.as_ref().map_or(0, |saved| number(saved.episode)),
        frames: saved.as_ref().map_or(0, |saved| number(saved.frames)),
        message,
    }
}
