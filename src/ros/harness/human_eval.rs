//! Evaluation of a policy on a running robot, real or simulated, judged by a person trial by trial.

use std::fs::OpenOptions;
use std::io::{BufRead as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rclrs::IntoPrimitiveOptions as _;
use ros_env::lifecycle_msgs::msg::Transition;
use ros_env::std_msgs::msg::String as StringMessage;
use ros_env::std_srvs::srv::{Trigger, Trigger_Request, Trigger_Response};
use ros_env::thinkvla::msg::ArmStatus;
use ros_env::thinkvla::srv::{LoadCheckpoint, LoadCheckpoint_Request, LoadCheckpoint_Response};
use serde::{Deserialize, Serialize};

use super::episode::{ArmFigures, Executing};
use super::error::HarnessError;
use super::monitor::{LOAD, accepted};
use super::session::{self, Finished, HarnessSession, START};
use crate::eval::machine::Machine;
use crate::files;
use crate::ros::node::{qos, topics};
use crate::stats::{SuccessRate, percentile};
use crate::writer_lock::WriterLock;

/// File name of the trials, one JSON object a line.
pub const TRIALS: &str = "judged.jsonl";
/// Polling period for keys.
const POLL_PERIOD: Duration = Duration::from_millis(20);
/// Longest wait for the first command after the policy has been activated.
const FIRST_COMMAND_TIMEOUT: Duration = Duration::from_secs(30);

/// Evaluation to run.
#[derive(Debug, Clone)]
pub struct HumanEval {
    /// Folder of trials and logs; trials in it are counted and continued.
    pub out: PathBuf,
    /// Checkpoint that policy_node loads.
    pub checkpoint: PathBuf,
    /// Instruction for the robot.
    pub instruction: String,
    /// Number of trials in total.
    pub trials: usize,
    /// Time limit of a trial (s).
    pub seconds: f64,
}

/// Result of one trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HumanTrial {
    /// Instruction for the robot.
    pub instruction: String,
    /// The person's verdict.
    pub success: bool,
    /// Cause of the end: person, time or fault.
    pub ended_by: String,
    /// Time from the policy's first command to the end (s).
    pub seconds: f64,
    /// Measurements of the arm's motion.
    #[serde(flatten)]
    pub figures: ArmFigures,
}

/// Result of the evaluation.
#[derive(Debug, Clone, Serialize)]
pub struct HumanEvalReport {
    /// The checkpoint.
    pub checkpoint: PathBuf,
    /// Successes and their interval.
    pub rate: SuccessRate,
    /// Median time of the successes (s).
    pub success_s_p50: Option<f64>,
    /// Mean command rate in mode EXECUTING (Hz).
    pub command_rate_hz: f64,
    /// All trials.
    pub trials: Vec<HumanTrial>,
    /// Machine of the observer; that of the policy only if both run on the same one.
    pub machine: Machine,
}

/// Key typed by the person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Success,
    Failure,
    Quit,
    Other,
}

/// Keys typed by the person, in order.
struct Keys(Receiver<Key>);

impl HumanEval {
    /// Runs the trials that are missing. It starts no node and resets nothing: the nodes must run, and the person sets the
    /// scene.
    ///
    /// # Errors
    /// When a node does not answer or refuses, or the folder cannot be used.
    pub fn run(self, progress: impl Fn(&str) + Send + 'static) -> Result<Finished<HumanEvalReport>, HarnessError> {
        let logs = self.out.join("logs");
        session::run("judge", &logs, move |session| self.script(session, &progress))
    }

    fn script(&self, session: &HarnessSession, progress: &impl Fn(&str)) -> Result<HumanEvalReport, HarnessError> {
        let _lock = WriterLock::acquire(&self.out)?;
        let mut trials = read(&self.out.join(TRIALS))?;
        session.wait("the arm node", START, |seen| seen.status.as_ref().map(drop))?;
        self.load(session)?;
        match session.change_policy(Transition::TRANSITION_DEACTIVATE) {
            // Refused when the policy is not active; that is what is wanted.
            Err(HarnessError::Refused { .. }) | Ok(()) => {}
            Err(error) => return Err(error),
        }
        let instruction = session
            .node
            .create_publisher::<StringMessage>(topics::INSTRUCTION.name.qos(qos::latched()))?;
        let keys = Keys::listen();
        while trials.len() < self.trials {
            progress(&format!(
                "trial {} of {}, \"{}\": set the scene, then Enter lets the policy drive; q ends",
                trials.len() + 1,
                self.trials,
                self.instruction
            ));
            if keys.next(session)? == Key::Quit {
                break;
            }
            // Published again for each trial: another node may have set an instruction meanwhile.
            instruction.publish(StringMessage {
                data: self.instruction.clone(),
            })?;
            let trial = self.trial(session, &keys, progress)?;
            append(&self.out.join(TRIALS), &trial)?;
            trials.push(trial);
        }
        Ok(HumanEvalReport::of(&self.checkpoint, trials))
    }

    /// Loads the checkpoint beside the one in use, then switches to it.
    fn load(&self, session: &HarnessSession) -> Result<(), HarnessError> {
        let path = std::path::absolute(&self.checkpoint).map_err(HarnessError::file(&self.checkpoint))?;
        let loading = session
            .node
            .create_client::<LoadCheckpoint>("policy_node/load_checkpoint")?;
        let request = LoadCheckpoint_Request {
            path: path.display().to_string(),
            dataset: String::new(),
        };
        let answer: LoadCheckpoint_Response = session.monitor.ask(&loading, request, LOAD, || session.check())?;
        accepted(loading.service_name(), answer.ok, answer.message)?;
        let switch = session.node.create_client::<Trigger>("policy_node/switch")?;
        let answer: Trigger_Response = session
            .monitor
            .ask(&switch, Trigger_Request::default(), LOAD, || session.check())?;
        accepted(switch.service_name(), answer.success, answer.message)
    }

    fn trial(
        &self,
        session: &HarnessSession,
        keys: &Keys,
        progress: &impl Fn(&str),
    ) -> Result<HumanTrial, HarnessError> {
        session.clear_fault()?;
        session.begin();
        let before = session.wait("a fresh arm status", START, |seen| seen.statuses.first().cloned())?;
        session.arm()?;
        session.change_policy(Transition::TRANSITION_ACTIVATE)?;
        session.wait("the first command of the policy", FIRST_COMMAND_TIMEOUT, |seen| {
            (seen.status.as_ref()?.mode == ArmStatus::EXECUTING).then_some(())
        })?;
        progress("s: success, f: failure, Enter: brake first and judge then");
        let begun = Instant::now();
        let (mut verdict, ended_by) = loop {
            if let Some(key) = keys.within(session, POLL_PERIOD)? {
                break (Some(key), "person");
            }
            if begun.elapsed().as_secs_f64() >= self.seconds {
                break (None, "time");
            }
            let fault = |seen: &mut super::observations::ObservedState| {
                let mode = seen.status.as_ref().map(|status| status.mode);
                mode.is_some_and(|mode| [ArmStatus::FAULT, ArmStatus::STOPPED].contains(&mode))
            };
            if session.observed().with(fault) {
                break (None, "fault");
            }
        };
        let seconds = begun.elapsed().as_secs_f64();
        session.change_policy(Transition::TRANSITION_DEACTIVATE)?;
        let figures = ArmFigures::since(session, &before)?;
        let success = loop {
            match verdict {
                Some(Key::Success) => break true,
                Some(Key::Failure) => break false,
                _ => progress(&format!(
                    "ended by {ended_by} after {seconds:.1} s; s: success, f: failure"
                )),
            }
            verdict = Some(keys.next(session)?);
        };
        Ok(HumanTrial {
            instruction: self.instruction.clone(),
            success,
            ended_by: ended_by.to_owned(),
            seconds,
            figures,
        })
    }
}

impl Keys {
    fn listen() -> Self {
        let (sender, receiver) = channel();
        // The thread ends with the process: a blocking read cannot be interrupted.
        std::thread::spawn(move || {
            for line in std::io::stdin().lock().lines().map_while(Result::ok) {
                if sender.send(Key::of(&line)).is_err() {
                    return;
                }
            }
        });
        Self(receiver)
    }

    /// Waits for the next key.
    fn next(&self, session: &HarnessSession) -> Result<Key, HarnessError> {
        loop {
            if let Some(key) = self.within(session, POLL_PERIOD)? {
                return Ok(key);
            }
        }
    }

    /// Returns the next key, or `None` when none is typed within `time`.
    fn within(&self, session: &HarnessSession, time: Duration) -> Result<Option<Key>, HarnessError> {
        session.check()?;
        match self.0.recv_timeout(time) {
            Ok(key) => Ok(Some(key)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(HarnessError::Interrupted),
        }
    }
}

impl Key {
    fn of(line: &str) -> Self {
        match line.trim() {
            "s" => Self::Success,
            "f" => Self::Failure,
            "q" => Self::Quit,
            _ => Self::Other,
        }
    }
}

impl HumanEvalReport {
    fn of(checkpoint: &Path, trials: Vec<HumanTrial>) -> Self {
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let successes: Vec<f64> = trials.iter().filter(|of| of.success).map(|of| of.seconds).collect();
        let executing = trials.iter().map(|trial| trial.figures.executing());
        Self {
            checkpoint: checkpoint.to_owned(),
            rate: SuccessRate::of(count(successes.len()), count(trials.len())),
            success_s_p50: percentile(&successes, 50.0),
            command_rate_hz: executing.fold(Executing::default(), Executing::and).rate_hz(),
            trials,
            machine: Machine::current(),
        }
    }
}

impl std::fmt::Display for HumanEvalReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let SuccessRate {
            successes,
            trials,
            low,
            high,
        } = self.rate;
        writeln!(
            f,
            "{}, judged by a person on a running robot.\n",
            self.checkpoint.display()
        )?;
        writeln!(
            f,
            "| successes | 95 % interval (Wilson) | time p50 [s] | commands [Hz] | clamps | refusals | underruns |"
        )?;
        writeln!(f, "|---|---|---|---|---|---|---|")?;
        let sum = |of: fn(&ArmFigures) -> u64| self.trials.iter().map(|trial| of(&trial.figures)).sum::<u64>();
        writeln!(
            f,
            "| {successes} / {trials} | {:.0} – {:.0} % | {} | {:.2} | {} | {} | {} |",
            low * 100.0,
            high * 100.0,
            self.success_s_p50.map_or("–".to_owned(), |time| format!("{time:.1}")),
            self.command_rate_hz,
            sum(|of| of.clamps),
            sum(|of| of.refusals),
            sum(|of| of.underruns)
        )?;
        write!(f, "\nMeasured beside {}.", self.machine)
    }
}

fn read(path: &Path) -> Result<Vec<HumanTrial>, HarnessError> {
    let text = match files::read_text(path, files::LINES) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        text => text.map_err(HarnessError::file(path))?,
    };
    let lines = text.lines().map(|line| {
        serde_json::from_str(line).map_err(|error| HarnessError::File {
            path: path.to_path_buf(),
            message: format!("{error}; name another folder, or remove the file to begin anew"),
        })
    });
    lines.collect()
}

fn append(path: &Path, trial: &HumanTrial) -> Result<(), HarnessError> {
    let line = serde_json::to_string(trial).map_err(|error| HarnessError::File {
        path: path.to_path_buf(),
        message: error.to_string(),
    })?;
    let file = OpenOptions::new().create(true).append(true).open(path);
    let written = file.and_then(|mut file| {
        file.write_all(format!("{line}\n").as_bytes())?;
        file.sync_data()
    });
    written.map_err(HarnessError::file(path))
}
