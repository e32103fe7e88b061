//! Fine-tuning beside a simulated robot.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rclrs::{CancellationClient, IntoPrimitiveOptions as _, Subscription};
use ros_env::thinkvla::action::{FineTune, FineTune_Goal};
use ros_env::thinkvla::msg::FineTuneStatus;
use serde::Serialize;

use super::error::HarnessError;
use super::session::{HarnessSession, parameters};
use crate::ros::node::lock::lock;
use crate::ros::node::{qos, topics};

/// Longest wait for the first step, which comes after the datasets and the checkpoint have been loaded.
const BEGIN: Duration = Duration::from_secs(120);
/// Longest wait for a cancelled run to finish its step and save.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(120);
/// Polling period of the node's status.
const POLL_PERIOD: Duration = Duration::from_millis(200);
/// Name of the action.
const FINE_TUNE: &str = "finetune_node/fine_tune";

/// Training to run.
#[derive(Debug, Clone)]
pub struct FinetuneOptions {
    /// Checkpoint to start from.
    pub checkpoint: PathBuf,
    /// Folder of the dataset.
    pub dataset: PathBuf,
    /// Directory of the runs.
    pub runs: PathBuf,
}

/// Measurements of the training.
#[derive(Debug, Clone, Serialize)]
pub struct FinetuneFigures {
    /// Steps taken.
    pub steps: u64,
    /// Samples per second, from the last status.
    pub samples_per_second: f64,
    /// Resident memory of the training process (MB).
    pub memory_mb: f64,
    /// 95 % quantile of the policy's latency as the node reports it (ms); `None` when no policy ran.
    pub policy_p95_ms: Option<f64>,
}

/// A running finetune_node with an active goal.
pub struct FinetuneRun {
    status: Arc<Mutex<FineTuneStatus>>,
    cancellation: CancellationClient<FineTune>,
    _subscription: Subscription<FineTuneStatus>,
}

impl FinetuneRun {
    /// Starts the node, sends a goal of practically unlimited length, and waits for the first step.
    ///
    /// # Errors
    /// When the node cannot be started, refuses the goal, or takes no step in time.
    pub fn begin(session: &HarnessSession, tuning: &FinetuneOptions) -> Result<Self, HarnessError> {
        let absolute = |path: &PathBuf| {
            let path = std::path::absolute(path).map_err(HarnessError::file(path))?;
            Ok::<_, HarnessError>(path.display().to_string())
        };
        let status = Arc::new(Mutex::new(FineTuneStatus::default()));
        let heard = Arc::clone(&status);
        let subscription = session.node.create_subscription::<FineTuneStatus, _>(
            topics::FINETUNE_STATUS.name.qos(qos::latched()),
            move |message| *lock(&heard) = message,
        )?;
        let runs = absolute(&tuning.runs)?;
        session
            .processes
            .start("finetune_node", &parameters(&[("runs", runs.clone())]))?;
        let goal = FineTune_Goal {
            checkpoint: absolute(&tuning.checkpoint)?,
            datasets: vec![absolute(&tuning.dataset)?],
            out: format!("{runs}/beside"),
            mode: FineTune_Goal::EVERYTHING,
            steps: u64::from(u32::MAX),
            ..FineTune_Goal::default()
        };
        let run = Self {
            status,
            cancellation: send(session, goal)?,
            _subscription: subscription,
        };
        run.wait(session, "the first step of training", BEGIN, |status| status.step > 0)?;
        Ok(run)
    }

    /// Cancels the run and waits until it has saved; returns the measurements from before the cancellation.
    ///
    /// # Errors
    /// When the node does not answer in time.
    pub fn end(self, session: &HarnessSession) -> Result<FinetuneFigures, HarnessError> {
        let tuned = self.tuned();
        self.cancellation.try_cancel()?;
        self.wait(session, "the end of training", CANCEL_TIMEOUT, |status| {
            status.state == "cancelled"
        })?;
        Ok(tuned)
    }

    fn wait(
        &self,
        session: &HarnessSession,
        what: &str,
        limit: Duration,
        enough: impl Fn(&FineTuneStatus) -> bool,
    ) -> Result<(), HarnessError> {
        let deadline = Instant::now() + limit;
        loop {
            session.check()?;
            let status = lock(&self.status).clone();
            if enough(&status) {
                return Ok(());
            }
            if status.state == "failed" || Instant::now() > deadline {
                return Err(HarnessError::Silent {
                    what: what.into(),
                    limit,
                    seen: format!("{}: {}", status.state, status.message),
                });
            }
            std::thread::sleep(POLL_PERIOD);
        }
    }

    fn tuned(&self) -> FinetuneFigures {
        let status = lock(&self.status);
        FinetuneFigures {
            steps: status.step,
            samples_per_second: status.samples_per_second,
            memory_mb: status.memory_mb,
            policy_p95_ms: Some(status.policy_p95_ms).filter(|p95| p95.is_finite()),
        }
    }
}

fn send(session: &HarnessSession, goal: FineTune_Goal) -> Result<CancellationClient<FineTune>, HarnessError> {
    let client = session.node.create_action_client::<FineTune>(FINE_TUNE)?;
    let refused = |message: &str| HarnessError::Refused {
        service: FINE_TUNE.to_owned(),
        message: format!("{message}\n{}", session.processes.log_tail("finetune_node")),
    };
    let sent = async {
        // A goal sent before the server is discovered is lost.
        let _ = client.notify_on_server_ready().await;
        client
            .try_request_goal(goal)
            .map_err(HarnessError::from)?
            .await
            .ok_or_else(|| refused("the goal"))
    };
    let answer = session
        .tokio
        .block_on(async { tokio::time::timeout(BEGIN, sent).await });
    let goal = answer.map_err(|_| refused("no answer"))??;
    Ok(goal.cancellation.clone())
}
