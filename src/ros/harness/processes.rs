//! Nodes as child processes: starts, watches and ends them, and leaves none behind.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::error::HarnessError;
use crate::child_process::ending_with_this_process;
use crate::ros::node::lock::lock;
use crate::ros::node::process::{describe, tail};

/// Time a node has to end after SIGINT before it is killed.
const GRACE_PERIOD: Duration = Duration::from_secs(5);
/// Polling period while a node ends.
const POLL_PERIOD: Duration = Duration::from_millis(5);

/// The child processes of one run, shared by clones. Dropping the last clone kills all that still run.
#[derive(Clone)]
pub struct NodeProcesses {
    running: Arc<Mutex<Vec<NodeProcess>>>,
    logged: Arc<Mutex<BTreeSet<String>>>,
    programs: PathBuf,
    logs: PathBuf,
}

struct NodeProcess {
    name: String,
    process: Child,
    log: PathBuf,
}

impl NodeProcesses {
    /// Uses the programs beside this one; logs go to `logs`, one file a node.
    ///
    /// # Errors
    /// When the directory of logs cannot be created.
    pub fn beside_this_program(logs: &Path) -> Result<Self, HarnessError> {
        let own = std::env::current_exe().map_err(HarnessError::file("/proc/self/exe"))?;
        Self::in_directory(own.parent().unwrap_or(Path::new(".")), logs)
    }

    /// Uses the programs in `programs`.
    ///
    /// # Errors
    /// When the directory of logs cannot be created.
    pub fn in_directory(programs: &Path, logs: &Path) -> Result<Self, HarnessError> {
        std::fs::create_dir_all(logs).map_err(HarnessError::file(logs))?;
        Ok(Self {
            running: Arc::default(),
            logged: Arc::default(),
            programs: programs.to_path_buf(),
            logs: logs.to_path_buf(),
        })
    }

    /// Starts `program` in a process group of its own, so that Ctrl-C reaches this process only.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&self, program: &str, arguments: &[String]) -> Result<(), HarnessError> {
        let path = self.programs.join(program);
        let log = self.log_of(program);
        // The log of an earlier run is removed; a restart within this run appends.
        let first = lock(&self.logged).insert(program.to_owned());
        if first && log.exists() {
            std::fs::remove_file(&log).map_err(HarnessError::file(&log))?;
        }
        let output = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .map_err(HarnessError::file(&log))?;
        let errors = output.try_clone().map_err(HarnessError::file(&log))?;
        let process = ending_with_this_process(&path)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .process_group(0)
            .spawn()
            .map_err(|source| HarnessError::Start { program: path, source })?;
        self.lock().push(NodeProcess {
            name: program.to_owned(),
            process,
            log,
        });
        Ok(())
    }

    /// Checks that no node has ended by itself; reports the first that has, with the end of its log.
    ///
    /// # Errors
    /// When a node has ended.
    pub fn check(&self) -> Result<(), HarnessError> {
        let mut running = self.lock();
        let ended = running
            .iter_mut()
            .position(|child| matches!(child.process.try_wait(), Ok(Some(_)) | Err(_)));
        let Some(ended) = ended else { return Ok(()) };
        let mut child = running.remove(ended);
        let status = child
            .process
            .try_wait()
            .ok()
            .flatten()
            .map_or("unknown status".to_owned(), describe);
        Err(HarnessError::Died {
            tail: tail(&child.log),
            name: child.name.clone(),
            status,
            log: child.log.clone(),
        })
    }

    /// Sends SIGINT to a node and waits for its end.
    ///
    /// # Errors
    /// When it does not end with exit code 0; it is killed when it does not end in time.
    pub fn interrupt(&self, program: &str) -> Result<(), HarnessError> {
        self.signal(program, Signal::INT);
        self.wait_for_exit(program)
    }

    /// Sends a signal to a node without waiting for its end.
    pub fn signal(&self, program: &str, signal: Signal) {
        if let Some(child) = self.lock().iter().find(|child| child.name == program) {
            child.signal(signal);
        }
    }

    /// Process id of a running node.
    pub fn pid(&self, program: &str) -> Option<u32> {
        let running = self.lock();
        let child = running.iter().find(|child| child.name == program)?;
        Some(child.process.id())
    }

    /// Kills a node with SIGKILL, as a crash would, and removes it from the list. Returns the time just before the signal.
    pub fn kill(&self, program: &str) -> Instant {
        let before = Instant::now();
        self.signal(program, Signal::KILL);
        if let Some(mut child) = self.take(program) {
            // SIGKILL cannot be blocked, so the wait is short.
            let _ = child.process.wait();
        }
        before
    }

    /// Waits for the end of a node that has been signalled.
    ///
    /// # Errors
    /// When it does not end with exit code 0; it is killed when it does not end in time.
    pub fn wait_for_exit(&self, program: &str) -> Result<(), HarnessError> {
        match self.take(program) {
            Some(child) => child.end(),
            None => Ok(()),
        }
    }

    /// Last lines of a node's log.
    pub fn log_tail(&self, program: &str) -> String {
        tail(&self.log_of(program))
    }

    fn log_of(&self, program: &str) -> PathBuf {
        self.logs.join(format!("{program}.log"))
    }

    /// Ends all nodes, the last started first.
    ///
    /// # Errors
    /// The first node that did not end cleanly; the others are ended all the same.
    pub fn stop(&self) -> Result<(), HarnessError> {
        let mut result = Ok(());
        loop {
            // One at a time under the lock: a second caller may end others meanwhile.
            let last = self.lock().pop();
            let Some(child) = last else { return result };
            child.signal(Signal::INT);
            result = result.and(child.end());
        }
    }

    fn take(&self, program: &str) -> Option<NodeProcess> {
        let mut running = self.lock();
        let found = running.iter().position(|child| child.name == program)?;
        Some(running.remove(found))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<NodeProcess>> {
        lock(&self.running)
    }
}

impl NodeProcess {
    fn signal(&self, signal: Signal) {
        let group = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw);
        if let Some(group) = group {
            // The process group may be gone already.
            let _ = kill_process_group(group, signal);
        }
    }

    fn end(mut self) -> Result<(), HarnessError> {
        let deadline = Instant::now() + GRACE_PERIOD;
        let status = loop {
            match self.process.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => break describe(status),
                Err(error) => break error.to_string(),
                Ok(None) if Instant::now() > deadline => {
                    break format!("still running {GRACE_PERIOD:?} after SIGINT; killed");
                }
                Ok(None) => std::thread::sleep(POLL_PERIOD),
            }
        };
        Err(HarnessError::Unclean {
            tail: tail(&self.log),
            name: self.name.clone(),
            status,
            log: self.log.clone(),
        })
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        if matches!(self.process.try_wait(), Ok(Some(_))) {
            return;
        }
        self.signal(Signal::KILL);
        let _ = self.process.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    struct ProcessFixture {
        directory: tempfile::TempDir,
        processes: NodeProcesses,
    }

    impl ProcessFixture {
        fn with(name: &str, script: &str) -> Self {
            let directory = tempfile::tempdir().unwrap();
            let program = directory.path().join(name);
            std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
            std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
            let processes = NodeProcesses::in_directory(directory.path(), &directory.path().join("logs")).unwrap();
            processes.start(name, &[]).unwrap();
            Self { directory, processes }
        }

        /// Waits until the node's log contains a line.
        fn wait_for_line(&self, name: &str, line: &str) -> String {
            let log = self.directory.path().join(format!("logs/{name}.log"));
            for _ in 0..2000 {
                let text = std::fs::read_to_string(&log).unwrap_or_default();
                if text.contains(line) {
                    return text;
                }
                std::thread::sleep(POLL_PERIOD);
            }
            panic!("{name} did not log {line}");
        }
    }

    fn is_alive(pid: &str) -> bool {
        // A zombie that nobody has waited for no longer runs.
        std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
    }

    #[test]
    fn a_node_that_dies_is_reported_with_its_last_words() {
        let fixture = ProcessFixture::with("arm_node", "echo the joints are on fire >&2; exit 3");
        let error = loop {
            match fixture.processes.check() {
                Ok(()) => std::thread::sleep(POLL_PERIOD),
                Err(error) => break error.to_string(),
            }
        };
        for part in ["arm_node", "exit code 3", "the joints are on fire"] {
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn a_node_ends_by_sigint_in_good_order() {
        let fixture = ProcessFixture::with(
            "sim_node",
            "trap 'echo bye; exit 0' INT\necho up\nwhile :; do sleep 0.05; done",
        );
        fixture.wait_for_line("sim_node", "up");
        fixture.processes.stop().unwrap();
        fixture.wait_for_line("sim_node", "bye");
    }

    #[test]
    fn an_end_with_an_error_is_no_good_order() {
        let fixture = ProcessFixture::with("sim_node", "trap 'exit 7' INT\necho up\nwhile :; do sleep 0.05; done");
        fixture.wait_for_line("sim_node", "up");
        let error = fixture.processes.stop().unwrap_err().to_string();
        assert!(error.contains("exit code 7"), "{error}");
    }

    #[test]
    fn no_process_of_a_node_outlives_the_run() {
        let fixture = ProcessFixture::with(
            "policy_node",
            "trap '' INT\nsleep 600 & echo up $! $$\nwait; wait; wait",
        );
        let words = fixture.wait_for_line("policy_node", "up");
        let pids: Vec<String> = words.split_whitespace().skip(1).map(str::to_owned).collect();
        assert!(pids.iter().all(|pid| is_alive(pid)), "{pids:?}");
        drop(fixture);
        for _ in 0..400 {
            if !pids.iter().any(|pid| is_alive(pid)) {
                return;
            }
            std::thread::sleep(POLL_PERIOD);
        }
        panic!("still running: {pids:?}");
    }

    #[test]
    fn a_missing_program_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let processes = NodeProcesses::in_directory(directory.path(), directory.path()).unwrap();
        let error = processes.start("arm_node", &[]).unwrap_err().to_string();
        assert!(error.contains("arm_node") && error.contains("make demo"), "{error}");
    }
}
