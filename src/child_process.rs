//! Child processes that end with their parent.
//!
//! A launch or a demo that is killed cannot signal its children, so the kernel interrupts those that it started through this
//! module. A program started from a shell outlives the shell and, with nohup, its terminal.

use std::path::Path;
use std::process::Command;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, getpid, kill_process, set_parent_process_death_signal, test_kill_process};

/// Environment variable with the id of the process that this one ends with; launch files set it, too.
const ENDS_WITH: &str = "THINKVLA_ENDS_WITH";

/// Returns a command that runs a program of this package, which is interrupted when this process ends, however it ends.
pub fn ending_with_this_process(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env(ENDS_WITH, std::process::id().to_string());
    command
}

/// Interrupts this process (SIGINT) when its parent ends, if it was started that way. Call it from the first thread, after
/// the handler of SIGINT is set.
///
/// # Errors
/// When the system refuses.
pub fn end_with_parent() -> std::io::Result<()> {
    let id = std::env::var(ENDS_WITH).ok().and_then(|id| id.parse().ok());
    let Some(starter) = id.and_then(Pid::from_raw) else {
        return Ok(());
    };
    set_parent_process_death_signal(Some(Signal::INT))?;
    // The parent may have ended before the kernel was asked for the signal.
    if test_kill_process(starter) == Err(Errno::SRCH) {
        kill_process(getpid(), Signal::INT)?;
    }
    Ok(())
}

/// Whether this process was started with SIGHUP ignored, as by nohup. Call it before a handler of SIGHUP is set.
pub fn outlives_terminal() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // The mask has signal 1 in its lowest bit.
    mask.is_some_and(|mask| mask >> (Signal::HUP.as_raw() - 1) & 1 == 1)
}
