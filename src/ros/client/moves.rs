//! Client of the arm node's action `move_named`, for one move at a time.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rclrs::{ActionClient, CancellationClient, GoalStatusCode, Node, RclrsError};
use ros_env::thinkvla::action::{MoveNamed, MoveNamed_Goal};

use crate::ros::node::lock::lock;

/// Longest wait for the arm node to accept a move.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Error of a requested move.
#[derive(Debug, thiserror::Error)]
pub enum MoveRequestError {
    /// The arm node did not respond in time.
    #[error("arm_node did not answer within {TIMEOUT:?}; is it running in this namespace?")]
    Silent,
    /// The arm node refused the move.
    #[error("arm_node refused the move")]
    Refused,
    /// The move was cancelled before it was requested.
    #[error("the move was cancelled before it began")]
    Cancelled,
    /// The arm has not reached the configuration; with the arm node's reason.
    #[error("{0}")]
    Failed(String),
    /// Error of ROS.
    #[error(transparent)]
    Ros(#[from] RclrsError),
}

/// Client of the action `move_named`.
#[derive(Clone)]
pub struct Moves {
    client: ActionClient<MoveNamed>,
    /// The last move.
    last: Arc<Mutex<SharedMove>>,
}

type SharedMove = Arc<Mutex<RequestedMove>>;

#[derive(Default)]
struct RequestedMove {
    /// Present from the arm node's acceptance to the end of the move.
    cancellation: Option<CancellationClient<MoveNamed>>,
    cancelled: bool,
}

impl Moves {
    /// Creates a client; no move runs.
    ///
    /// # Errors
    /// When the client cannot be created.
    pub fn new(node: &Node) -> Result<Self, RclrsError> {
        Ok(Self {
            client: node.create_action_client::<MoveNamed>("arm_node/move_named")?,
            last: Arc::default(),
        })
    }

    /// Moves to a named configuration of the arm's file, at `speed`, a fraction of the velocity limits. The caller must
    /// hold `lease` and publish its heartbeat, and have no other move in progress. To be awaited on tokio; from this call on,
    /// not only from the first poll, [`Moves::cancel`] cancels the move.
    ///
    /// # Errors
    /// The reason why the arm has not reached the configuration.
    pub fn go(
        &self,
        name: &str,
        speed: f64,
        lease: u64,
    ) -> impl Future<Output = Result<String, MoveRequestError>> + Send + use<> {
        let requested = SharedMove::default();
        *lock(&self.last) = Arc::clone(&requested);
        let goal = MoveNamed_Goal {
            name: name.to_owned(),
            speed,
            lease,
        };
        follow(Arc::clone(&self.client), goal, requested)
    }

    /// Cancels the last move that was requested, if it has not ended.
    pub fn cancel(&self) {
        let last = Arc::clone(&lock(&self.last));
        let mut last = lock(&last);
        if !std::mem::replace(&mut last.cancelled, true)
            && let Some(cancellation) = &last.cancellation
        {
            cancel(cancellation);
        }
    }
}

async fn follow(
    client: ActionClient<MoveNamed>,
    goal: MoveNamed_Goal,
    requested: SharedMove,
) -> Result<String, MoveRequestError> {
    let theirs = Arc::clone(&requested);
    let mut started = Box::pin(async move {
        // A goal sent before the server is discovered is lost.
        let _ = client.notify_on_server_ready().await;
        if lock(&theirs).cancelled {
            return Err(MoveRequestError::Cancelled);
        }
        let answer = client.try_request_goal(goal)?;
        answer.await.ok_or(MoveRequestError::Refused)
    });
    let Ok(accepted) = tokio::time::timeout(TIMEOUT, &mut started).await else {
        lock(&requested).cancelled = true;
        // The arm node may accept it later, when nobody waits for it or could cancel it any more.
        tokio::spawn(async move {
            if let Ok(late) = started.await {
                cancel(&late.cancellation);
            }
        });
        return Err(MoveRequestError::Silent);
    };
    let moving = accepted?;
    {
        let mut requested = lock(&requested);
        requested.cancellation = Some(moving.cancellation.clone());
        if requested.cancelled {
            cancel(&moving.cancellation);
        }
    }
    let (code, result) = moving.result.await;
    lock(&requested).cancellation = None;
    match code {
        GoalStatusCode::Succeeded => Ok(result.message),
        _ => Err(MoveRequestError::Failed(result.message)),
    }
}

fn cancel(cancellation: &CancellationClient<MoveNamed>) {
    if let Err(error) = cancellation.try_cancel() {
        tracing::error!("the move cannot be cancelled: {error}; use the stop");
    }
}
