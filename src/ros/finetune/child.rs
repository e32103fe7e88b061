//! The training process: started behind everybody else, watched, and ended in good order.

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, setpriority_process};

use super::journal::Trainer;
use crate::parent::ending_with_this_process;
use crate::ros::process::{describe, resident, tail};

/// What training says, in the directory of its run.
const LOG: &str = "train.log";
/// Time between two looks at a process that is ending.
const LOOK: Duration = Duration::from_millis(20);

/// A run of `thinkvla train`; killed when it is dropped.
pub struct Training {
    process: Child,
    log: PathBuf,
    /// Who it is, for the journal.
    pub trainer: Option<Trainer>,
}

/// How training is to be started.
pub struct Start<'a> {
    /// Its configuration.
    pub config: &'a Path,
    /// Directory of the run.
    pub out: &'a Path,
    /// How far it stands back.
    pub niceness: i32,
}

impl Training {
    /// Starts `thinkvla train`, which lies beside this program, in a process group of its own, so that a Ctrl-C meant
    /// for us does not reach it first.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(start: &Start) -> Result<Self, String> {
        let own = std::env::current_exe().map_err(|e| format!("cannot find this program: {e}"))?;
        let program = own.with_file_name("thinkvla");
        let log = start.out.join(LOG);
        let failed = |path: &Path, e: std::io::Error| format!("cannot open {}: {e}", path.display());
        let output = File::options().create(true).append(true).open(&log);
        let output = output.map_err(|e| failed(&log, e))?;
        let errors = output.try_clone().map_err(|e| failed(&log, e))?;
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
        let process = command.spawn().map_err(|e| {
            let program = program.display();
            format!("cannot start {program}: {e}; install it beside finetune_node")
        })?;
        // Threads come later, and take over what the process has. Standing back is never refused.
        let pid = i32::try_from(process.id()).ok().and_then(Pid::from_raw);
        let _ = setpriority_process(pid, start.niceness);
        Ok(Self {
            trainer: Trainer::of(process.id()),
            process,
            log,
        })
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>, String> {
        self.process.try_wait().map_err(|e| e.to_string())
    }

    /// Resident memory (MB).
    pub fn memory_mb(&self) -> Option<f64> {
        resident(self.process.id()).ok().flatten().map(|bytes| bytes / 1e6)
    }

    /// Asks it to end its step and save, waits, and kills it when that takes longer than `grace`.
    pub fn end(mut self, grace: Duration) {
        if let Some(trainer) = &self.trainer {
            trainer.signal(Signal::INT);
        }
        let deadline = Instant::now() + grace;
        while matches!(self.process.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(LOOK);
        }
    }

    /// How it ended and what it said last.
    pub fn last_words(&self, status: ExitStatus) -> String {
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

impl Drop for Training {
    fn drop(&mut self) {
        if !matches!(self.process.try_wait(), Ok(Some(_))) {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }
}

/// Ends training that a node before this one left behind.
pub fn end_left_behind(trainer: &Trainer, grace: Duration) {
    trainer.signal(Signal::INT);
    let deadline = Instant::now() + grace;
    while trainer.is_alive() && Instant::now() < deadline {
        std::thread::sleep(LOOK);
    }
    trainer.signal(Signal::KILL);
    while trainer.is_alive() {
        std::thread::sleep(LOOK);
    }
}
