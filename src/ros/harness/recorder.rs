//! record_node in a run of the harness.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use rclrs::Client;
use ros_env::std_srvs::srv::{Trigger, Trigger_Request, Trigger_Response};
use ros_env::thinkvla::srv::{SetInstruction, SetInstruction_Request, SetInstruction_Response};

use super::error::HarnessError;
use super::monitor::{ANSWER, accepted};
use super::session::{HarnessSession, float, parameters};

/// Longest wait for an episode to be written to disk.
const SAVE_TIMEOUT: Duration = Duration::from_secs(60);

/// Longest wait for the recorder to receive cameras and arm.
const STREAM_TIMEOUT: Duration = Duration::from_secs(30);
/// Time between two attempts.
const POLL_PERIOD: Duration = Duration::from_millis(200);

/// Settings of the recorder.
#[derive(Debug, Clone)]
pub struct Recording {
    /// Folder of the dataset, new or to be continued.
    pub dataset: PathBuf,
    /// Rows per second (Hz).
    pub fps: f64,
    /// Value of the node's parameter `begin_with`: `start` or `motion`.
    pub begin_with: &'static str,
}

/// A running record_node.
pub struct Recorder {
    set_instruction: Client<SetInstruction>,
    start: Client<Trigger>,
    stop: Client<Trigger>,
    save: Client<Trigger>,
    discard: Client<Trigger>,
}

impl Recorder {
    /// Starts the node.
    ///
    /// # Errors
    /// When the node cannot be started.
    pub fn launch(session: &HarnessSession, recording: &Recording) -> Result<Self, HarnessError> {
        let dataset = std::path::absolute(&recording.dataset).map_err(HarnessError::file(&recording.dataset))?;
        let overrides = [
            ("dataset", dataset.display().to_string()),
            ("fps", float(recording.fps)),
            ("begin_with", recording.begin_with.to_owned()),
        ];
        session.processes.start("record_node", &parameters(&overrides))?;
        let trigger = |verb: &str| {
            let name = format!("record_node/{verb}");
            session.node.create_client::<Trigger>(name.as_str())
        };
        Ok(Self {
            set_instruction: session
                .node
                .create_client::<SetInstruction>("record_node/set_instruction")?,
            start: trigger("start")?,
            stop: trigger("stop")?,
            save: trigger("save")?,
            discard: trigger("discard")?,
        })
    }

    /// Starts recording an episode with this instruction.
    ///
    /// # Errors
    /// When the node does not answer or refuses.
    pub fn begin(&self, session: &HarnessSession, instruction: &str) -> Result<(), HarnessError> {
        let request = SetInstruction_Request {
            instruction: instruction.to_owned(),
        };
        let answer: SetInstruction_Response = session
            .monitor
            .ask(&self.set_instruction, request, ANSWER, || session.check())?;
        accepted(self.set_instruction.service_name(), answer.ok, answer.message)?;
        // A recorder that has just started does not receive every stream yet.
        let deadline = Instant::now() + STREAM_TIMEOUT;
        loop {
            match pull(session, &self.start) {
                Err(HarnessError::Refused { .. }) if Instant::now() < deadline => std::thread::sleep(POLL_PERIOD),
                answer => return answer,
            }
        }
    }

    /// Stops adding rows to the episode.
    ///
    /// # Errors
    /// When the node does not answer or refuses.
    pub fn stop(&self, session: &HarnessSession) -> Result<(), HarnessError> {
        pull(session, &self.stop)
    }

    /// Saves the episode (`keep`) or discards it; returns the reason when it could not be saved, for instance a late
    /// camera.
    ///
    /// # Errors
    /// When the node does not answer, or refuses to discard.
    pub fn end(&self, session: &HarnessSession, keep: bool) -> Result<Option<String>, HarnessError> {
        let refusal = match keep.then(|| pull(session, &self.save)) {
            Some(Ok(())) => return Ok(None),
            Some(Err(HarnessError::Refused { message, .. })) => Some(message),
            Some(Err(other)) => return Err(other),
            None => None,
        };
        pull(session, &self.discard)?;
        Ok(refusal)
    }
}

fn pull(session: &HarnessSession, trigger: &Client<Trigger>) -> Result<(), HarnessError> {
    let answer: Trigger_Response = session
        .monitor
        .ask(trigger, Trigger_Request::default(), SAVE_TIMEOUT, || session.check())?;
    accepted(trigger.service_name(), answer.success, answer.message)
}
