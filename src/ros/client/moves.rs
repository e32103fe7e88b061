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
    running: Arc<Mutex<Running>>,
}

#[derive(Default)]
struct Running {
    cancellation: Option<CancellationClient<MoveNamed>>,
    /// Cancelled before the arm node accepted it.
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
            running: Arc::default(),
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
        *lock(&self.running) = Running::default();
        let goal = MoveNamed_Goal {
            name: name.to_owned(),
            speed,
            lease,
        };
        let moves = self.clone();
        async move { moves.follow(goal).await }
    }

    async fn follow(&self, goal: MoveNamed_Goal) -> Result<String, MoveRequestError> {
        let started = async {
            // A goal sent before the server is discovered is lost.
            let _ = self.client.notify_on_server_ready().await;
            if lock(&self.running).cancelled {
                return Err(MoveRequestError::Cancelled);
            }
            let requested = self.client.try_request_goal(goal)?;
            requested.await.ok_or(MoveRequestError::Refused)
        };
        let moving = tokio::time::timeout(TIMEOUT, started)
            .await
            .map_err(|_| MoveRequestError::Silent)??;
        {
            let mut running = lock(&self.running);
            running.cancellation = Some(moving.cancellation.clone());
            if running.cancelled {
                cancel(&running);
            }
        }
        let (code, result) = moving.result.await;
        lock(&self.running).cancellation = None;
        match code {
            GoalStatusCode::Succeeded => Ok(result.message),
            _ => Err(MoveRequestError::Failed(result.message)),
        }
    }

    /// Cancels the move that this client has requested, if one is in progress.
    pub fn cancel(&self) {
        let mut running = lock(&self.running);
        if !std::mem::replace(&mut running.cancelled, true) {
            cancel(&running);
        }
    }
}

fn cancel(running: &Running) {
    if let Some(cancellation) = &running.cancellation
        && let Err(error) = cancellation.try_cancel()
    {
        tracing::error!("the move cannot be cancelled: {error}; use the stop");
    }
}
