//! What must survive the node: which goal it works on and how far it came, in the directory of the run.

use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde::{Deserialize, Serialize};

use super::order::Order;
use crate::files;

/// The journal, in the directory of a run.
const JOURNAL: &str = "finetune.json";
/// In the directory of all runs: which of them is unfinished.
const UNFINISHED: &str = ".unfinished";

/// How a goal stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It is worked on, or was when the node ended.
    Open,
    /// It is done.
    Succeeded,
    /// Somebody cancelled it; the same goal goes on.
    Cancelled,
    /// Training ended by itself; the same goal tries again.
    Failed,
}

/// A process that outlives a node that is killed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trainer {
    pid: i32,
    /// When it was started, in the system's ticks: another process may get the same id later.
    started: String,
}

/// One goal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Journal {
    /// What was asked for.
    pub order: Order,
    /// Where it stands.
    pub standing: Standing,
    /// Steps of the whole run, once they are known.
    pub steps: Option<u64>,
    /// Seconds spent on it by earlier nodes and goals.
    pub spent_s: f64,
    /// Who trains.
    pub trainer: Option<Trainer>,
}

impl Journal {
    /// Of a goal that nobody has begun.
    pub fn new(order: Order) -> Self {
        Self {
            order,
            standing: Standing::Open,
            steps: None,
            spent_s: 0.0,
            trainer: None,
        }
    }

    /// What lies in the directory of a run, if anything.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(out: &Path) -> Result<Option<Self>, String> {
        let path = out.join(JOURNAL);
        match files::read_text(&path, files::CONFIGURATION) {
            Ok(text) => serde_json::from_str(&text)
                .map(Some)
                .map_err(|e| format!("{}: {e}; remove it, or name another out", path.display())),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(format!("cannot read {}: {e}", path.display())),
        }
    }

    /// Writes it down, and in `runs` whether it is unfinished.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write(&self, runs: &Path) -> Result<(), String> {
        let text = serde_json::to_string_pretty(self).map_err(|e| e.to_string())?;
        replace(&self.order.out.join(JOURNAL), &(text + "\n"))?;
        let pointer = runs.join(UNFINISHED);
        if self.standing == Standing::Open {
            return replace(&pointer, &self.order.out.to_string_lossy());
        }
        match std::fs::remove_file(&pointer) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(format!("cannot remove {}: {e}", pointer.display()))
            }
            _ => Ok(()),
        }
    }

    /// The goal that a node before this one did not finish.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn unfinished(runs: &Path) -> Result<Option<Self>, String> {
        let Ok(out) = files::read_text(&runs.join(UNFINISHED), files::CONFIGURATION) else {
            return Ok(None);
        };
        let found = Self::read(&PathBuf::from(out))?;
        Ok(found.filter(|journal| journal.standing == Standing::Open))
    }
}

impl Trainer {
    /// The process of this id, if it runs.
    pub fn of(pid: u32) -> Option<Self> {
        let pid = i32::try_from(pid).ok()?;
        let started = started(pid)?;
        Some(Self { pid, started })
    }

    /// Whether it runs still.
    pub fn is_alive(&self) -> bool {
        let known = Pid::from_raw(self.pid).is_some_and(|pid| test_kill_process(pid).is_ok());
        known && started(self.pid).as_ref() == Some(&self.started)
    }

    /// Signals it, if it runs still.
    pub fn signal(&self, signal: Signal) {
        if let Some(pid) = Pid::from_raw(self.pid).filter(|_| self.is_alive()) {
            // It may end in this moment.
            let _ = kill_process(pid, signal);
        }
    }
}

/// Start time of a process that is no zombie, in ticks since the machine started.
fn started(pid: i32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in brackets and may hold anything.
    let mut fields = stat.rsplit_once(") ")?.1.split_whitespace();
    let state = fields.next()?;
    (state != "Z").then(|| fields.nth(18).map(str::to_owned))?
}

/// Writes a file whole or not at all.
fn replace(path: &Path, text: &str) -> Result<(), String> {
    let failed = |e: std::io::Error| format!("cannot write {}: {e}", path.display());
    let aside = path.with_extension("new");
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    std::fs::write(&aside, text).map_err(failed)?;
    std::fs::rename(&aside, path).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ros::finetune::order::{Length, Mode};

    #[test]
    fn only_an_open_goal_is_taken_up_again() {
        let runs = tempfile::tempdir().unwrap();
        let mut journal = Journal::new(Order {
            checkpoint: "start".into(),
            datasets: vec!["data".into()],
            out: runs.path().join("mine"),
            mode: Mode::Added,
            length: Length::Minutes(2.5),
            validation_share: 0.1,
        });
        assert_eq!(Journal::unfinished(runs.path()).unwrap(), None);
        journal.write(runs.path()).unwrap();
        assert_eq!(Journal::unfinished(runs.path()).unwrap().as_ref(), Some(&journal));
        journal.standing = Standing::Cancelled;
        journal.write(runs.path()).unwrap();
        assert_eq!(Journal::unfinished(runs.path()).unwrap(), None);
        assert_eq!(Journal::read(&journal.order.out).unwrap(), Some(journal));
    }

    #[test]
    fn a_process_is_known_by_its_start_as_well() {
        let mut own = Trainer::of(std::process::id()).unwrap();
        assert!(own.is_alive());
        own.started += "1";
        assert!(!own.is_alive());
    }
}
