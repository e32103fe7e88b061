//! Trials on disk, written as they are made, so that an interrupted evaluation can continue.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::trials::{Setting, Trial, TrialResult};
use crate::files;
use crate::writer_lock::{LockError, WriterLock};

/// File name of the trials: the setting in the first line, then one JSON object per line.
pub const TRIALS: &str = "trials.jsonl";

/// Error of reading or writing trials.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file cannot be read or written.
    #[error("cannot {action} {path}: {source}")]
    File {
        /// `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Error of the operating system.
        source: std::io::Error,
    },
    /// Another process runs the same trials.
    #[error(transparent)]
    Busy(#[from] LockError),
    /// A complete line cannot be parsed.
    #[error("{path}, line {line}: {message}; name another folder, or remove the file to begin anew")]
    Line {
        /// The file.
        path: PathBuf,
        /// Line number, from 1.
        line: usize,
        /// Error of the line.
        message: String,
    },
    /// The folder holds another evaluation.
    #[error(
        "{path} holds trials of another evaluation: {field}: expected {expected}, found {found}; name another folder"
    )]
    Other {
        /// The file.
        path: PathBuf,
        /// Name of the setting that differs.
        field: String,
        /// Value of this evaluation.
        expected: String,
        /// Value in the folder.
        found: String,
    },
}

/// File of trials, locked against other processes.
#[derive(Debug)]
pub struct TrialJournal {
    path: PathBuf,
    file: File,
    done: Vec<TrialResult>,
    _lock: WriterLock,
}

impl TrialJournal {
    /// Opens the trials in a folder, which is created where it does not exist. Removes an incomplete last line.
    ///
    /// # Errors
    /// When the disk refuses, the file is damaged, or its trials were made in another setting.
    pub fn open(folder: &Path, setting: &Setting) -> Result<Self, JournalError> {
        let path = folder.join(TRIALS);
        let file = |action| {
            let path = path.clone();
            move |source| JournalError::File { action, path, source }
        };
        std::fs::create_dir_all(folder).map_err(file("write"))?;
        let lock = WriterLock::acquire(folder)?;
        let text = match files::read_text(&path, files::LINES) {
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            text => text.map_err(file("read"))?,
        };
        let opened = OpenOptions::new().append(true).create(true).open(&path);
        let trials = opened.map_err(file("write"))?;
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let mut lines = text.get(..whole).unwrap_or_default().lines().enumerate();
        let damaged = |(line, message): (usize, String)| JournalError::Line {
            path: path.clone(),
            line: line + 1,
            message,
        };
        let expected = line(setting).map_err(file("write"))?;
        let found = lines.next();
        if let Some((number, first)) = found
            && first != expected
        {
            let value = |text| serde_json::from_str::<Value>(text).map_err(|e| damaged((number, e.to_string())));
            return Err(other(&path, [&value(&expected)?, &value(first)?]));
        }
        let done = lines.map(|(line, text)| serde_json::from_str(text).map_err(|e| damaged((line, e.to_string()))));
        let done = done.collect::<Result<Vec<TrialResult>, _>>()?;
        let mut journal = Self {
            file: trials,
            done,
            path: path.clone(),
            _lock: lock,
        };
        journal.file.set_len(whole as u64).map_err(file("write"))?;
        if found.is_none() {
            journal.write(expected)?;
        }
        Ok(journal)
    }

    /// Returns the trials made so far, in the order in which they were made.
    pub fn done(&self) -> &[TrialResult] {
        &self.done
    }

    /// Reports whether a trial is done.
    pub fn holds(&self, trial: &Trial) -> bool {
        self.done.iter().any(|of| of.trial == *trial)
    }

    /// Adds a trial and writes it to disk; it is not lost after this returns.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn add(&mut self, result: &TrialResult) -> Result<(), JournalError> {
        let written = line(result).and_then(|text| {
            // Keep what a resumed evaluation would read: a number may lose its last digit in JSON.
            self.done.push(serde_json::from_str(&text)?);
            Ok(text)
        });
        self.write(written.map_err(|source| self.refused(source))?)
    }

    fn write(&mut self, line: String) -> Result<(), JournalError> {
        let written = self.file.write_all((line + "\n").as_bytes());
        let synced = written.and_then(|()| self.file.sync_data());
        synced.map_err(|source| self.refused(source))
    }

    fn refused(&self, source: std::io::Error) -> JournalError {
        JournalError::File {
            action: "write",
            path: self.path.clone(),
            source,
        }
    }
}

fn line(value: &impl serde::Serialize) -> Result<String, std::io::Error> {
    Ok(serde_json::to_string(value)?)
}

/// Builds the error that names the first field that differs.
fn other(path: &Path, [expected, found]: [&Value; 2]) -> JournalError {
    let fields = expected.as_object().into_iter().flatten();
    let absent = Value::Null;
    let field = fields
        .map(|(field, value)| (field.as_str(), value, found.get(field).unwrap_or(&absent)))
        .find(|(_, expected, found)| expected != found);
    let (field, expected, found) = field.unwrap_or(("setting", expected, found));
    JournalError::Other {
        path: path.to_owned(),
        field: field.to_owned(),
        expected: expected.to_string(),
        found: found.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::eval::smoothness::Smoothness;

    fn setting(policy: &str) -> Setting {
        Setting {
            policy: policy.into(),
            latency_ms: None,
            replan_steps: 8,
            time_limit_s: 20.0,
            shuffled_cameras: false,
            parameters: "0".into(),
        }
    }

    fn result(seed: u64) -> TrialResult {
        TrialResult {
            trial: Trial {
                task: "height".into(),
                variation: 0,
                seed,
            },
            success: true,
            detail: "inside: yes".into(),
            seconds: 0.25,
            chunks: 1,
            commands: 2,
            clamps: 3,
            refusals: 4,
            underruns: 5,
            events: BTreeMap::new(),
            smoothness: Smoothness::default(),
        }
    }

    #[test]
    fn trials_come_back_and_a_half_written_one_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = TrialJournal::open(folder.path(), &setting("a")).unwrap();
        journal.add(&result(1)).unwrap();
        journal.add(&result(2)).unwrap();
        drop(journal);
        let path = folder.path().join(TRIALS);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, &text[..text.len() - 10]).unwrap();
        let mut journal = TrialJournal::open(folder.path(), &setting("a")).unwrap();
        assert_eq!(journal.done(), [result(1)]);
        assert!(!journal.holds(&result(2).trial));
        journal.add(&result(2)).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }

    #[test]
    fn trials_of_another_policy_or_process_are_not_mixed_in() {
        let folder = tempfile::tempdir().unwrap();
        TrialJournal::open(folder.path(), &setting("a")).unwrap();
        let both = [(); 2].map(|()| TrialJournal::open(folder.path(), &setting("a")));
        assert!(matches!(both, [Ok(_), Err(JournalError::Busy { .. })]));
        drop(both);
        let error = TrialJournal::open(folder.path(), &setting("b"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("policy: expected \"b\", found \"a\""), "{error}");
    }

    #[test]
    fn a_damaged_line_is_named() {
        let folder = tempfile::tempdir().unwrap();
        TrialJournal::open(folder.path(), &setting("a"))
            .unwrap()
            .add(&result(1))
            .unwrap();
        let path = folder.path().join(TRIALS);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("\"success\":true", "\"success\":7")).unwrap();
        let error = TrialJournal::open(folder.path(), &setting("a"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("line 2"), "{error}");
    }
}
