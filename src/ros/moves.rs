//! Client of the arm node's named moves, one at a time, that end when they are cancelled.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rclrs::{ActionClient, CancellationClient, GoalStatusCode, Node, RclrsError};
use ros_env::thinkvla::action::{MoveNamed, MoveNamed_Goal};

use super::lock::lock;

/// How long the arm node may take to take a move up.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Client of the arm node's named moves.
#[derive(Clone)]
pub struct Moves {
    client: ActionClient<MoveNamed>,
    running: Arc<Mutex<Running>>,
}

#[derive(Default)]
struct Running {
    cancellation: Option<CancellationClient<MoveNamed>>,
    /// It was cancelled before the arm node took it up.
    cancelled: bool,
}

impl Moves {
    /// A client that has asked for nothing.
    ///
    /// # Errors
    /// When the client cannot be made.
    pub fn new(node: &Node) -> Result<Self, RclrsError> {
        Ok(Self {
            client: node.create_action_client::<MoveNamed>("arm_node/move_named")?,
            running: Arc::default(),
        })
    }

    /// Moves to a configuration of the arm's file, at a fraction of the velocity limits, under a lease that somebody beats
    /// for; runs on tokio.
    ///
    /// # Errors
    /// Why the arm is not there.
    pub async fn go(&self, name: &str, speed: f64, lease: u64) -> Result<String, String> {
        *lock(&self.running) = Running::default();
        let goal = MoveNamed_Goal {
            name: name.to_owned(),
            speed,
            lease,
        };
        let silent = || format!("arm_node did not answer within {TIMEOUT:?}; is it running in this namespace?");
        let started = async {
            // A goal sent before the other side is discovered is lost.
            let _ = self.client.notify_on_server_ready().await;
            let requested = self.client.try_request_goal(goal).map_err(|error| error.to_string())?;
            requested.await.ok_or_else(|| "arm_node refused the move".to_owned())
        };
        let moving = tokio::time::timeout(TIMEOUT, started).await.map_err(|_| silent())??;
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
            _ => Err(result.message),
        }
    }

    /// Ends the move under way, if there is one of ours.
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
