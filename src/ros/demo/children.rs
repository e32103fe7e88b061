//! Nodes as child processes: started, watched, ended, and never left behind.

use std::fs::File;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::error::RunError;

/// Lines of a log shown when its node fails.
const TAIL_LINES: usize = 12;
/// Time a node has to end after SIGINT.
const GRACE: Duration = Duration::from_secs(5);
/// Time between two looks at a node that is ending.
const LOOK: Duration = Duration::from_millis(5);

/// The nodes of one run. Clones share them; all are killed with the last clone.
#[derive(Clone)]
pub struct Children {
    running: Arc<Mutex<Vec<Running>>>,
    programs: PathBuf,
    logs: PathBuf,
}

struct Running {
    name: String,
    process: Child,
    log: PathBuf,
}

impl Children {
    /// Nodes that lie beside this program; their logs go to `logs`, one file a node.
    ///
    /// # Errors
    /// When the directory of logs cannot be made.
    pub fn beside_this_program(logs: &Path) -> Result<Self, RunError> {
        std::fs::create_dir_all(logs).map_err(RunError::file(logs))?;
        let own = std::env::current_exe().map_err(RunError::file("/proc/self/exe"))?;
        Ok(Self {
            running: Arc::default(),
            programs: own.parent().map(Path::to_path_buf).unwrap_or_default(),
            logs: logs.to_path_buf(),
        })
    }

    /// Starts `program` in a process group of its own, so that a Ctrl-C meant for us does not reach it first.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&self, program: &str, arguments: &[String]) -> Result<(), RunError> {
        let path = self.programs.join(program);
        let log = self.logs.join(format!("{program}.log"));
        let output = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .map_err(RunError::file(&log))?;
        let errors = output.try_clone().map_err(RunError::file(&log))?;
        let process = with_our_death(&path)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .process_group(0)
            .spawn()
            .map_err(|source| RunError::Start { program: path, source })?;
        self.lock().push(Running {
            name: program.to_owned(),
            process,
            log,
        });
        Ok(())
    }

    /// Fails when a node has ended by itself, with the end of its log.
    ///
    /// # Errors
    /// The first node that ended.
    pub fn check(&self) -> Result<(), RunError> {
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
        Err(RunError::Died {
            tail: tail(&child.log),
            name: child.name,
            status,
            log: child.log,
        })
    }

    /// Sends SIGINT to a node and waits for its end.
    ///
    /// # Errors
    /// When it does not end in good order; it is killed then.
    pub fn interrupt(&self, program: &str) -> Result<(), RunError> {
        self.signal(program, Signal::INT);
        self.reap(program)
    }

    /// Sends a signal to a node and leaves it on the list.
    pub fn signal(&self, program: &str, signal: Signal) {
        if let Some(child) = self.lock().iter().find(|child| child.name == program) {
            child.signal(signal);
        }
    }

    /// Kills a node without warning, as a crash would, and forgets it. Returns the moment just before.
    pub fn kill(&self, program: &str) -> Instant {
        let before = Instant::now();
        self.signal(program, Signal::KILL);
        if let Some(mut child) = self.take(program) {
            // The signal cannot be refused, so the wait is short.
            let _ = child.process.wait();
        }
        before
    }

    /// Waits for the end of a node that was signalled.
    ///
    /// # Errors
    /// When it does not end in good order; it is killed then.
    pub fn reap(&self, program: &str) -> Result<(), RunError> {
        match self.take(program) {
            Some(child) => child.end(),
            None => Ok(()),
        }
    }

    /// Ends all nodes, the last started first.
    ///
    /// # Errors
    /// The first node that did not end in good order; the others are ended all the same.
    pub fn stop(&self) -> Result<(), RunError> {
        let mut result = Ok(());
        loop {
            // Taken one by one: whoever else calls this meanwhile ends the others.
            let last = self.lock().pop();
            let Some(child) = last else { return result };
            child.signal(Signal::INT);
            result = result.and(child.end());
        }
    }

    fn take(&self, program: &str) -> Option<Running> {
        let mut running = self.lock();
        let found = running.iter().position(|child| child.name == program)?;
        Some(running.remove(found))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running {
    fn signal(&self, signal: Signal) {
        let group = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw);
        if let Some(group) = group {
            // A group that is gone already needs no signal.
            let _ = kill_process_group(group, signal);
        }
    }

    fn end(mut self) -> Result<(), RunError> {
        let deadline = Instant::now() + GRACE;
        let status = loop {
            match self.process.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => break describe(status),
                Err(error) => break error.to_string(),
                Ok(None) if Instant::now() > deadline => break format!("still running {GRACE:?} after SIGINT; killed"),
                Ok(None) => std::thread::sleep(LOOK),
            }
        };
        Err(RunError::Unclean {
            tail: tail(&self.log),
            name: self.name.clone(),
            status,
            log: self.log.clone(),
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.process.try_wait(), Ok(Some(_))) {
            return;
        }
        self.signal(Signal::KILL);
        let _ = self.process.wait();
    }
}

/// Through setpriv (util-linux) the kernel ends a node even when this process is killed outright. Where it is missing,
/// only an orderly end of this process ends its nodes.
fn with_our_death(program: &Path) -> Command {
    let setpriv = Path::new("/usr/bin/setpriv");
    if !setpriv.exists() || !program.exists() {
        return Command::new(program);
    }
    let mut command = Command::new(setpriv);
    command.args(["--pdeathsig", "INT"]).arg(program);
    command
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => status.to_string(),
    }
}

fn tail(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(TAIL_LINES);
    lines.get(from..).unwrap_or_default().join("\n")
}
