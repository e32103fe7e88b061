//! The training process: starts it at low priority, watches it, and ends it cleanly.

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, setpriority_process};

use super::error::FinetuneError;
use super::journal::Trainer;
use crate::child_process::ending_with_this_process;
use crate::ros::node::process::{describe, resident, tail};

/// File name of the training log, in the directory of the run.
const LOG: &str = "train.log";
/// Polling period while the process ends.
const POLL_PERIOD: Duration = Duration::from_millis(20);

/// A running `thinkvla train`; killed when this is dropped.
pub struct TrainProcess {
    process: Child,
    log: PathBuf,
    /// Identity of the process, for the journal.
    pub trainer: Option<Trainer>,
}

/// Arguments of a training process.
pub struct TrainOptions<'a> {
    /// Path of its configuration.
    pub config: &'a Path,
    /// Directory of the run.
    pub out: &'a Path,
    /// Niceness of the process.
    pub niceness: i32,
}

impl TrainProcess {
    /// Starts `thinkvla train`, which must be installed beside this program, in a process group of its own, so that Ctrl-C
    /// reaches this process only.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(start: &TrainOptions) -> Result<Self, FinetuneError> {
        let own = std::env::current_exe().map_err(FinetuneError::OwnProgram)?;
        let program = own.with_file_name("thinkvla");
        let log = start.out.join(LOG);
        let failed = |e| FinetuneError::file("open", &log, e);
        let output = File::options().create(true).append(true).open(&log).map_err(failed)?;
        let errors = output.try_clone().map_err(failed)?;
        let mut command = ending_with_this_process(&program);
        command
            .arg("train")
            .arg(start.config)
            .arg("--resume")
            .arg("--out")
            .arg(start.out);
        command
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .process_group(0);
        let process = command
            .spawn()
            .map_err(|source| FinetuneError::Start { program, source })?;
        // Set before training starts threads, which inherit it. An unprivileged process may always raise its niceness.
        let pid = i32::try_from(process.id()).ok().and_then(Pid::from_raw);
        let _ = setpriority_process(pid, start.niceness);
        Ok(Self {
            trainer: Trainer::of(process.id()),
            process,
            log,
        })
    }

    /// Returns the exit status once the process has ended.
    ///
    /// # Errors
    /// When the system cannot tell.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>, FinetuneError> {
        self.process.try_wait().map_err(FinetuneError::Wait)
    }

    /// Resident memory (MB); `None` when it is unknown.
    pub fn memory_mb(&self) -> Option<f64> {
        resident(self.process.id()).ok().flatten().map(|bytes| bytes / 1e6)
    }

    /// Sends SIGINT, upon which training ends its step and saves, and kills the process when that takes longer than
    /// `grace`.
    pub fn end(mut self, grace: Duration) {
        if let Some(trainer) = &self.trainer {
            trainer.signal(Signal::INT);
        }
        let deadline = Instant::now() + grace;
        while matches!(self.process.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(POLL_PERIOD);
        }
    }

    /// Exit status and last lines of the log, as text.
    pub fn final_output(&self, status: ExitStatus) -> String {
        use std::os::unix::process::ExitStatusExt as _;
        let memory = match status.signal() {
            Some(9) => " (killed, as by the kernel when memory is short)",
            _ => "",
        };
        format!(
            "training ended with {}{memory}; the end of {}:\n{}",
            describe(status),
            self.log.display(),
            tail(&self.log)
        )
    }
}

impl Drop for TrainProcess {
    fn drop(&mut self) {
        if !matches!(self.process.try_wait(), Ok(Some(_))) {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }
}

/// Ends a training process that an earlier node left behind, and waits for its end.
pub fn end_orphan(trainer: &Trainer, grace: Duration) {
    trainer.signal(Signal::INT);
    let deadline = Instant::now() + grace;
    while trainer.is_alive() && Instant::now() < deadline {
        std::thread::sleep(POLL_PERIOD);
    }
    trainer.signal(Signal::KILL);
    while trainer.is_alive() {
        std::thread::sleep(POLL_PERIOD);
    }
}
