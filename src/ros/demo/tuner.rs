//! Fine-tuning beside a simulated robot.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rclrs::{CancellationClient, IntoPrimitiveOptions as _, Subscription};
use ros_env::thinkvla::action::{FineTune, FineTune_Goal};
use ros_env::thinkvla::msg::FineTuneStatus;
use serde::Serialize;

use super::error::RunError;
use super::session::{Session, parameters};
use crate::ros::lock::lock;
use crate::ros::{qos, topics};

/// Longest wait for the first step: the datasets are opened and the checkpoint is loaded before it.
const BEGIN: Duration = Duration::from_secs(120);
/// Longest wait for a cancelled run to end its step and to save.
const END: Duration = Duration::from_secs(120);
/// Time between two looks at what the node says.
const LOOK: Duration = Duration::from_millis(200);
/// The action.
const FINE_TUNE: &str = "finetune_node/fine_tune";

/// What is to be learned.
#[derive(Debug, Clone)]
pub struct Tuning {
    /// Checkpoint to begin with.
    pub checkpoint: PathBuf,
    /// Folder of the dataset.
    pub dataset: PathBuf,
    /// Directory of the runs.
    pub runs: PathBuf,
}

/// What training did meanwhile.
#[derive(Debug, Clone, Serialize)]
pub struct Tuned {
    /// Steps taken.
    pub steps: u64,
    /// Samples a second, of the last status.
    pub samples_per_second: f64,
    /// Resident memory of training (MB).
    pub memory_mb: f64,
    /// 95 % quantile of the policy's latency as the node tells it (ms); nothing where no policy drove.
    pub policy_p95_ms: Option<f64>,
}

/// A running finetune_node with a goal.
pub struct Tuner {
    status: Arc<Mutex<FineTuneStatus>>,
    cancellation: CancellationClient<FineTune>,
    _subscription: Subscription<FineTuneStatus>,
}

impl Tuner {
    /// Starts the node, sends a goal without end, and waits for its first step.
    ///
    /// # Errors
    /// When the node cannot be started, refuses, or does not begin.
    pub fn begin(session: &Session, tuning: &Tuning) -> Result<Self, RunError> {
        let absolute = |path: &PathBuf| {
            let path = std::path::absolute(path).map_err(RunError::file(path))?;
            Ok::<_, RunError>(path.display().to_string())
        };
        let status = Arc::new(Mutex::new(FineTuneStatus::default()));
        let heard = Arc::clone(&status);
        let subscription = session.node.create_subscription::<FineTuneStatus, _>(
            topics::FINETUNE_STATUS.name.qos(qos::latched()),
            move |message| *lock(&heard) = message,
        )?;
        let runs = absolute(&tuning.runs)?;
        session
            .children
            .start("finetune_node", &parameters(&[("runs", runs.clone())]))?;
        let goal = FineTune_Goal {
            checkpoint: absolute(&tuning.checkpoint)?,
            datasets: vec![absolute(&tuning.dataset)?],
            out: format!("{runs}/beside"),
            mode: FineTune_Goal::EVERYTHING,
            steps: u64::from(u32::MAX),
            ..FineTune_Goal::default()
        };
        let tuner = Self {
            status,
            cancellation: send(session, goal)?,
            _subscription: subscription,
        };
        tuner.wait(session, ("the first step of training", BEGIN), |status| status.step > 0)?;
        Ok(tuner)
    }

    /// Cancels the run and waits until it has saved; gives back what it had done before.
    ///
    /// # Errors
    /// When the node is silent.
    pub fn end(self, session: &Session) -> Result<Tuned, RunError> {
        let tuned = self.tuned();
        self.cancellation.try_cancel()?;
        self.wait(session, ("the end of training", END), |status| {
            status.state == "cancelled"
        })?;
        Ok(tuned)
    }

    fn wait(
        &self,
        session: &Session,
        (what, limit): (&str, Duration),
        enough: impl Fn(&FineTuneStatus) -> bool,
    ) -> Result<(), RunError> {
        let deadline = Instant::now() + limit;
        loop {
            session.check()?;
            let status = lock(&self.status).clone();
            if enough(&status) {
                return Ok(());
            }
            if status.state == "failed" || Instant::now() > deadline {
                return Err(RunError::Silent {
                    what: what.into(),
                    limit,
                    seen: format!("{}: {}", status.state, status.message),
                });
            }
            std::thread::sleep(LOOK);
        }
    }

    fn tuned(&self) -> Tuned {
        let status = lock(&self.status);
        Tuned {
            steps: status.step,
            samples_per_second: status.samples_per_second,
            memory_mb: status.memory_mb,
            policy_p95_ms: Some(status.policy_p95_ms).filter(|p95| p95.is_finite()),
        }
    }
}

fn send(session: &Session, goal: FineTune_Goal) -> Result<CancellationClient<FineTune>, RunError> {
    let client = session.node.create_action_client::<FineTune>(FINE_TUNE)?;
    let refused = |message: &str| RunError::Refused {
        service: FINE_TUNE.to_owned(),
        message: format!("{message}\n{}", session.children.last_words("finetune_node")),
    };
    let sent = async {
        // A goal sent before the other side is discovered is lost.
        let _ = client.notify_on_server_ready().await;
        client
            .try_request_goal(goal)
            .map_err(RunError::from)?
            .await
            .ok_or_else(|| refused("the goal"))
    };
    let answer = session
        .tokio
        .block_on(async { tokio::time::timeout(BEGIN, sent).await });
    let goal = answer.map_err(|_| refused("no answer"))??;
    Ok(goal.cancellation.clone())
}
