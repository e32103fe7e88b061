//! Errors of a fine-tuning node that has started.

use std::io;
use std::path::{Path, PathBuf};

use crate::model::error::ModelError;

/// Error of a goal: it is refused, or work on it fails.
#[derive(Debug, thiserror::Error)]
pub enum FinetuneError {
    /// A field of the goal is invalid.
    #[error("{field}: expected {expected}, found {found}")]
    Field {
        /// Name of the field.
        field: &'static str,
        /// Valid values.
        expected: &'static str,
        /// Value found.
        found: String,
    },
    /// Another goal is being worked on, or the same one is being cancelled.
    #[error("expected no other goal, found one in {out}; wait for its end or cancel it", out = out.display())]
    Occupied {
        /// Directory of its run.
        out: PathBuf,
    },
    /// The directory of the run holds another goal.
    #[error(
        "out: expected a new directory or the goal that began {out}, found another goal there; name another out, or send \
         that goal again",
        out = out.display()
    )]
    OtherGoal {
        /// The directory.
        out: PathBuf,
    },
    /// The duration of the goal is too short for a step.
    #[error(
        "minutes: expected time for at least one step, found {minutes}: loading takes {loading_s:.0} s and a step \
         {step_s:.1} s; give more"
    )]
    Minutes {
        /// Duration of the goal (min).
        minutes: f64,
        /// Measured time for loading (s).
        loading_s: f64,
        /// Measured time of a step (s).
        step_s: f64,
    },
    /// The run does not fit into memory.
    #[error(
        "memory: expected {needed} to fit, found {allowed_gb:.2} GB (free, less the parameter memory_reserve, and at most \
         memory_limit); train less (mode ADDED, or LORA), lower data.batch and raise data.accumulate in the template, or \
         end other processes"
    )]
    Memory {
        /// Estimated need, in words.
        needed: String,
        /// Memory that the run may take (GB).
        allowed_gb: f64,
    },
    /// The checkpoint cannot be read.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The time was over before anything was saved.
    #[error("the time was over before the first checkpoint; give more")]
    TimeOver,
    /// Training failed.
    #[error("{output}\n{saved}")]
    Training {
        /// Exit status and last lines of the log.
        output: String,
        /// What has been saved, and how to go on.
        saved: String,
    },
    /// The journal of a run cannot be parsed.
    #[error("{path}: {source}; remove it, or name another out", path = path.display())]
    Journal {
        /// The file.
        path: PathBuf,
        /// Error of the parser.
        source: serde_json::Error,
    },
    /// The journal cannot be serialised.
    #[error("{0}")]
    JournalText(serde_json::Error),
    /// The directory of the run cannot be created.
    #[error("out: cannot make {path}: {source}", path = path.display())]
    Out {
        /// The directory.
        path: PathBuf,
        /// Error of the operating system.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {path}: {message}", path = path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Error of the serialiser or the operating system.
        message: String,
    },
    /// A file cannot be read, opened or removed.
    #[error("cannot {action} {path}: {source}", path = path.display())]
    File {
        /// Operation, e.g. `read`.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Error of the operating system.
        source: io::Error,
    },
    /// The path of this program is not known.
    #[error("cannot find this program: {0}")]
    OwnProgram(io::Error),
    /// The training process cannot be started.
    #[error("cannot start {program}: {source}; install it beside finetune_node", program = program.display())]
    Start {
        /// Program of the process.
        program: PathBuf,
        /// Error of the operating system.
        source: io::Error,
    },
    /// The state of the training process is not known.
    #[error("{0}")]
    Wait(io::Error),
}

impl FinetuneError {
    /// Adds operation and path to an error of the file system.
    pub fn file(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::File {
            action,
            path: path.to_owned(),
            source,
        }
    }

    /// Adds the path to an error of writing.
    pub fn write(path: &Path, error: &dyn std::fmt::Display) -> Self {
        Self::Write {
            path: path.to_owned(),
            message: error.to_string(),
        }
    }
}
