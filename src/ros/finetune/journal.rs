//! Journal of a goal in the directory of its run, from which a restarted node continues.

use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde::{Deserialize, Serialize};

use super::error::FinetuneError;
use super::goal::TrainingGoal;
use crate::files;

/// File name of the journal, in the directory of a run.
const JOURNAL: &str = "finetune.json";
/// File name of the pointer to the unfinished run, in the directory of all runs.
const UNFINISHED: &str = ".unfinished";

/// State of a goal in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GoalState {
    /// In progress, or was so when the node ended.
    Open,
    /// Finished.
    Succeeded,
    /// Cancelled; the same goal sent again continues it.
    Cancelled,
    /// Failed; the same goal sent again retries it.
    Failed,
}

/// Identity of a training process, which may outlive a node that is killed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trainer {
    pid: i32,
    /// Start time in clock ticks of the system; it distinguishes a later process with the same id.
    started: String,
}

/// Record of one goal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Journal {
    /// The goal.
    #[serde(rename = "order")]
    pub goal: TrainingGoal,
    /// Its state.
    pub standing: GoalState,
    /// Number of steps of the run; `None` until it is known.
    pub steps: Option<u64>,
    /// Time spent on it so far, over all attempts (s).
    pub spent_s: f64,
    /// The training process, if one runs.
    pub trainer: Option<Trainer>,
}

impl Journal {
    /// Creates the record of a new goal.
    pub fn new(goal: TrainingGoal) -> Self {
        Self {
            goal,
            standing: GoalState::Open,
            steps: None,
            spent_s: 0.0,
            trainer: None,
        }
    }

    /// Reads the journal in the directory of a run; `None` when there is none.
    ///
    /// # Errors
    /// When it cannot be read or parsed.
    pub fn read(out: &Path) -> Result<Option<Self>, FinetuneError> {
        let path = out.join(JOURNAL);
        match files::read_text(&path, files::CONFIGURATION) {
            Ok(text) => serde_json::from_str(&text)
                .map(Some)
                .map_err(|source| FinetuneError::Journal { path, source }),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(FinetuneError::file("read", &path, e)),
        }
    }

    /// Writes the journal, and the pointer in `runs` while the goal is open; otherwise removes the pointer.
    ///
    /// # Errors
    /// When a file cannot be written or removed.
    pub fn write(&self, runs: &Path) -> Result<(), FinetuneError> {
        let text = serde_json::to_string_pretty(self).map_err(FinetuneError::JournalText)?;
        replace(&self.goal.out.join(JOURNAL), &(text + "\n"))?;
        let pointer = runs.join(UNFINISHED);
        if self.standing == GoalState::Open {
            return replace(&pointer, &self.goal.out.to_string_lossy());
        }
        match std::fs::remove_file(&pointer) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(FinetuneError::file("remove", &pointer, e)),
            _ => Ok(()),
        }
    }

    /// Reads the journal of the goal that an earlier node did not finish; `None` when there is none.
    ///
    /// # Errors
    /// When it cannot be read or parsed.
    pub fn unfinished(runs: &Path) -> Result<Option<Self>, FinetuneError> {
        let Ok(out) = files::read_text(&runs.join(UNFINISHED), files::CONFIGURATION) else {
            return Ok(None);
        };
        let found = Self::read(&PathBuf::from(out))?;
        Ok(found.filter(|journal| journal.standing == GoalState::Open))
    }
}

impl Trainer {
    /// Identifies the running process of this id; `None` when there is none.
    pub fn of(pid: u32) -> Option<Self> {
        let pid = i32::try_from(pid).ok()?;
        let started = started(pid)?;
        Some(Self { pid, started })
    }

    /// Returns whether the process still runs.
    pub fn is_alive(&self) -> bool {
        let known = Pid::from_raw(self.pid).is_some_and(|pid| test_kill_process(pid).is_ok());
        known && started(self.pid).as_ref() == Some(&self.started)
    }

    /// Sends it a signal, if it still runs.
    pub fn signal(&self, signal: Signal) {
        if let Some(pid) = Pid::from_raw(self.pid).filter(|_| self.is_alive()) {
            // It may end at this very moment.
            let _ = kill_process(pid, signal);
        }
    }
}

/// Start time of a process in clock ticks since boot; `None` when there is none or it is a zombie.
fn started(pid: i32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in parentheses and may contain any character.
    let mut fields = stat.rsplit_once(") ")?.1.split_whitespace();
    let state = fields.next()?;
    (state != "Z").then(|| fields.nth(18).map(str::to_owned))?
}

/// Replaces a file atomically, by renaming.
fn replace(path: &Path, text: &str) -> Result<(), FinetuneError> {
    let failed = |e: std::io::Error| FinetuneError::write(path, &e);
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
    use crate::ros::finetune::goal::{Length, Mode};

    #[test]
    fn only_an_open_goal_is_taken_up_again() {
        let runs = tempfile::tempdir().unwrap();
        let mut journal = Journal::new(TrainingGoal {
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
        journal.standing = GoalState::Cancelled;
        journal.write(runs.path()).unwrap();
        assert_eq!(Journal::unfinished(runs.path()).unwrap(), None);
        assert_eq!(Journal::read(&journal.goal.out).unwrap(), Some(journal));
    }

    #[test]
    fn a_process_is_known_by_its_start_as_well() {
        let mut own = Trainer::of(std::process::id()).unwrap();
        assert!(own.is_alive());
        own.started += "1";
        assert!(!own.is_alive());
    }
}
