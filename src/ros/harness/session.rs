//! A simulated robot as child processes, with an observer node beside them.

use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use ros_env::lifecycle_msgs::msg::Transition;
use ros_env::thinkvla::msg::ArmStatus;

use crate::ros::node::runtime::{Runtime, Shutdown};
use crate::ros::node::time::NodeClock;

use super::error::HarnessError;
use super::monitor::{CAMERAS, Monitor};
use super::observations::{Observations, WaitRequest};
use super::processes::NodeProcesses;
use super::ros_domain::shared;

/// Longest wait for a node's first messages; starting libtorch and a renderer on a busy machine takes seconds.
pub const START: Duration = Duration::from_secs(60);
/// Longest wait for the nodes to end after a signal.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(20);
/// Longest wait for the arm to change its mode.
const MODE: Duration = Duration::from_secs(15);

/// Age at which a simulated camera counts as lost (s): rendering on a busy machine is late at times.
const CAMERA_AGE_LIMIT_S: f64 = 0.5;
/// Duration after which a forward pass counts as hung (s), on a machine that simulates and renders as well.
const INFERENCE_LIMIT_S: f64 = 2.0;
/// Steps after which the policy replans: the interval that the small policy was trained to correct itself at.
const REPLAN_STEPS: u32 = 3;

/// Everything that a run uses.
pub struct HarnessSession {
    /// The child processes.
    pub processes: NodeProcesses,
    /// Subscriptions and clients of the observer.
    pub monitor: Monitor,
    /// The observer's node, for further subscriptions and clients.
    pub node: rclrs::Node,
    /// Runtime of asynchronous work.
    pub tokio: tokio::runtime::Handle,
    shutdown: Shutdown,
}

/// Result of a script, and how its nodes ended.
#[derive(Debug)]
pub struct Finished<T> {
    /// Value that the script returned.
    pub value: T,
    /// Whether every node ended cleanly.
    pub ended: Result<(), HarnessError>,
}

/// Runs `script` beside an observer node; every child process has ended when this returns, whatever happened.
///
/// # Errors
/// Any error of the script, or of ROS.
pub fn run<T: Send + 'static>(
    name: &str,
    logs: &Path,
    script: impl FnOnce(&HarnessSession) -> Result<T, HarnessError> + Send + 'static,
) -> Result<Finished<T>, HarnessError> {
    let runtime = Runtime::start(name)?;
    let processes = NodeProcesses::beside_this_program(logs)?;
    let session = HarnessSession {
        monitor: Monitor::new(runtime.node(), runtime.tokio().clone())?,
        node: runtime.node().clone(),
        tokio: runtime.tokio().clone(),
        processes: processes.clone(),
        shutdown: runtime.shutdown().clone(),
    };
    let (result, results) = mpsc::channel();
    let (finished, finish) = mpsc::channel();
    // After a signal the script still needs ROS to end its nodes.
    runtime.shutdown().before(move || {
        let _ = finish.recv_timeout(SHUTDOWN_TIMEOUT);
    });
    // This thread runs the ROS callbacks; the script has its own and may block.
    let script = std::thread::spawn(move || {
        let outcome = script(&session);
        let ended = session.processes.stop();
        // The receivers live until this thread has been joined; an error means that nobody waits any more.
        let _ = result.send(outcome.map(|value| Finished { value, ended }));
        let _ = finished.send(());
        session.shutdown.request("the script is done");
    });
    let spun = runtime.spin();
    // After a panic of the script its nodes are killed with the last clone of `processes`.
    let joined = script.join();
    drop(processes);
    spun?;
    match (joined, results.try_recv()) {
        (Ok(()), Ok(outcome)) => outcome,
        _ => Err(HarnessError::Interrupted),
    }
}

/// Settings of the simulated robot.
#[derive(Debug, Clone)]
pub struct Simulated {
    /// Rate of each camera (Hz); 0 turns the cameras off.
    pub camera_rate_hz: f64,
    /// Command rate of the arm node (Hz).
    pub command_rate_hz: f64,
}

impl HarnessSession {
    /// Checks that every node runs and the user has not asked for the end; to be called in every wait.
    ///
    /// # Errors
    /// When a node has died, or with `HarnessError::Interrupted`.
    pub fn check(&self) -> Result<(), HarnessError> {
        if self.shutdown.is_requested() {
            return Err(HarnessError::Interrupted);
        }
        self.processes.check()
    }

    /// Received messages.
    pub fn observed(&self) -> &Observations {
        &self.monitor.observed
    }

    /// Clears what was recorded; keeps the newest states.
    pub fn begin(&self) {
        self.observed().begin(NodeClock::of(&self.node).now());
    }

    /// Starts simulator and arm node, and waits for the first messages of both.
    ///
    /// # Errors
    /// When one dies or sends nothing.
    pub fn start_robot(&self, simulated: &Simulated) -> Result<(), HarnessError> {
        self.start_sim(simulated)?;
        self.start_arm(simulated.command_rate_hz)
    }

    /// Starts the simulator and waits for its first state, and for images when its cameras are on.
    ///
    /// # Errors
    /// When it dies or sends nothing.
    pub fn start_sim(&self, simulated: &Simulated) -> Result<(), HarnessError> {
        self.processes.start(
            "sim_node",
            &parameters(&[("camera_rate_hz", float(simulated.camera_rate_hz))]),
        )?;
        self.wait("the simulator's first state", START, |seen| {
            let cameras = simulated.camera_rate_hz == 0.0 || CAMERAS.iter().all(|name| seen.images.contains_key(*name));
            (seen.episode.is_some() && cameras).then_some(())
        })
    }

    /// Starts the arm node without dry run and waits for its first status. Its commands reach only the simulator, because
    /// the run has a ROS domain of its own.
    ///
    /// # Errors
    /// When it dies or sends nothing.
    pub fn start_arm(&self, command_rate_hz: f64) -> Result<(), HarnessError> {
        self.observed().update(|seen| seen.status = None);
        let arguments = [
            ("dry_run", "false".to_owned()),
            ("command_rate_hz", float(command_rate_hz)),
        ];
        self.processes.start("arm_node", &parameters(&arguments))?;
        self.wait("the arm node's first status", START, |seen| {
            seen.status.as_ref().map(|_| ())
        })
    }

    /// Starts and configures the policy node, which loads its checkpoint; it is not active yet.
    ///
    /// # Errors
    /// When it dies, does not answer, or refuses the checkpoint.
    pub fn start_policy(&self, checkpoint: &Path) -> Result<(), HarnessError> {
        self.launch_policy(checkpoint, false)?;
        self.change_policy(Transition::TRANSITION_CONFIGURE)
    }

    /// Requests a lifecycle transition of the policy node.
    ///
    /// # Errors
    /// When it does not answer or refuses; the error contains the end of its log.
    pub fn change_policy(&self, transition: u8) -> Result<(), HarnessError> {
        match self.monitor.change_policy(transition, || self.check()) {
            Err(HarnessError::Refused { service, message }) => Err(HarnessError::Refused {
                service,
                message: format!("{message}\n{}", self.processes.log_tail("policy_node")),
            }),
            answer => answer,
        }
    }

    /// Starts the policy node with `autostart`. Needed after one was killed, because for some seconds ROS still lists the
    /// services of the dead process.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_driving_policy(&self, checkpoint: &Path) -> Result<(), HarnessError> {
        self.launch_policy(checkpoint, true)
    }

    fn launch_policy(&self, checkpoint: &Path, autostart: bool) -> Result<(), HarnessError> {
        let path = std::path::absolute(checkpoint).map_err(HarnessError::file(checkpoint))?;
        let arguments = [
            ("checkpoint", path.display().to_string()),
            ("robot", shared("config/robots/rm75.yaml").display().to_string()),
            ("autostart", autostart.to_string()),
            // Cameras rendered on a CPU are slower than the real ones that a checkpoint was trained for.
            ("rate_tolerance", float(1.0)),
            ("camera_age_limit", float(CAMERA_AGE_LIMIT_S)),
            ("inference_limit", float(INFERENCE_LIMIT_S)),
            // The network takes the time of the cameras that the same machine renders.
            ("camera_periods", float(0.0)),
            ("replan_steps", REPLAN_STEPS.to_string()),
            ("threads", policy_threads().to_string()),
        ];
        self.processes.start("policy_node", &parameters(&arguments))
    }

    /// Arms and waits until the arm holds. An arm node that has just started, or whose simulated arm was just reset,
    /// refuses until it has received enough of the driver's state: the request is repeated with every status.
    ///
    /// # Errors
    /// When the arm node keeps refusing or does not reach the mode in time.
    pub fn arm(&self) -> Result<(), HarnessError> {
        let deadline = Instant::now() + MODE;
        loop {
            let asked_at = self.observed().with(|seen| seen.statuses.len());
            match self.monitor.set_armed(true, || self.check()) {
                Err(HarnessError::Refused { .. }) if Instant::now() < deadline => {}
                answer => break answer?,
            }
            self.wait("the next arm status", MODE, |seen| {
                (seen.statuses.len() > asked_at).then_some(())
            })?;
        }
        self.wait("the arm to be armed", MODE, |seen| {
            let status = seen.status.as_ref()?;
            let armed = [ArmStatus::HOLDING, ArmStatus::EXECUTING].contains(&status.mode);
            armed.then_some(())
        })
    }

    /// Clears a latched fault or stop, if there is one.
    ///
    /// # Errors
    /// When the arm node refuses because the cause persists.
    pub fn clear_fault(&self) -> Result<(), HarnessError> {
        let latched = self.observed().with(|seen| {
            let mode = seen.status.as_ref().map(|status| status.mode);
            mode.is_some_and(|mode| [ArmStatus::FAULT, ArmStatus::STOPPED].contains(&mode))
        });
        if latched {
            self.monitor.reset_fault(|| self.check())?;
        }
        Ok(())
    }

    /// Disarms and waits for it, so that the simulated arm may be reset.
    ///
    /// # Errors
    /// When the arm node refuses or does not reach the mode in time.
    pub fn disarm(&self) -> Result<(), HarnessError> {
        self.monitor.set_armed(false, || self.check())?;
        self.wait("the arm to be disarmed", MODE, |seen| {
            (seen.status.as_ref()?.mode == ArmStatus::DISARMED).then_some(())
        })
    }

    /// Waits for `found` to return a value, and checks the nodes meanwhile.
    ///
    /// # Errors
    /// When a node dies, the user interrupts, or `limit` has passed.
    pub fn wait<T>(
        &self,
        what: &str,
        limit: Duration,
        found: impl Fn(&super::observations::ObservedState) -> Option<T>,
    ) -> Result<T, HarnessError> {
        self.observed()
            .wait(&WaitRequest { what, limit }, || self.check(), found)
    }
}

/// Threads of the policy: half of the cores. The simulator needs the other half, and a network slows down when its threads
/// wait for each other.
fn policy_threads() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1))
}

/// Formats ROS arguments that set parameters.
pub fn parameters(values: &[(&str, String)]) -> Vec<String> {
    let mut arguments = vec!["--ros-args".to_owned()];
    for (name, value) in values {
        arguments.extend(["-p".to_owned(), format!("{name}:={value}")]);
    }
    arguments
}

/// Formats a number with a decimal point, so that ROS takes it as a float.
pub fn float(value: f64) -> String {
    format!("{value:?}")
}
