//! Parameters of the fine-tuning node.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::ros::node::parameters::{NodeParameters, Number, ParameterError, Text};
use crate::ros::node::runtime::Runtime;
use crate::ros::node::share;
use crate::training::config::TrainingConfig;
use crate::training::error::RunError;

/// Error in the parameters.
#[derive(Debug, thiserror::Error)]
pub enum FinetuneSettingsError {
    /// Invalid parameter.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    /// Invalid training configuration.
    #[error("parameter template: {0}")]
    Template(#[from] RunError),
    /// The directory of runs cannot be used.
    #[error("parameter runs: cannot use {path}: {source}")]
    Runs {
        /// The directory.
        path: PathBuf,
        /// Error of the operating system.
        source: std::io::Error,
    },
}

/// Parameters of the node, read once at start.
pub struct FinetuneSettings {
    /// Directory in which a goal's relative `out` is resolved; the node keeps the pointer to its unfinished run there.
    pub runs: PathBuf,
    /// Training configuration for everything that a goal does not set.
    pub template: TrainingConfig,
    /// CPU threads of one operation of training.
    pub threads: u16,
    /// Niceness of the training process.
    pub niceness: i32,
    /// Largest estimated memory of a run (bytes); `None` for no limit but free memory.
    pub memory_limit: Option<f64>,
    /// Free memory that a run leaves to other processes (bytes).
    pub memory_reserve: f64,
    /// Time training has to end cleanly before it is killed.
    pub grace: Duration,
    /// Name of the diagnostic status that contains the policy's latency.
    pub policy: String,
    _declared: NodeParameters,
}

impl FinetuneSettings {
    /// Declares the parameters.
    ///
    /// # Errors
    /// When a value cannot work; the message names it.
    pub fn declare(runtime: &Runtime) -> Result<Self, FinetuneSettingsError> {
        let mut declared = NodeParameters::of(runtime);
        let mut text = |name, default, about| {
            declared.fixed(Text {
                name,
                default,
                choices: &[],
                about,
            })
        };
        let runs: PathBuf = text(
            "runs",
            "runs",
            "Directory that a goal's relative out lies in; the node remembers there what it has not finished.",
        )?
        .into();
        let template = text(
            "template",
            "",
            "Training configuration that holds what a goal does not say; empty takes the shipped \
             config/train/finetune.yaml.",
        )?;
        let policy = text(
            "policy",
            "policy_node: policy",
            "Status of /diagnostics that tells the latency of the policy beside which this node trains.",
        )?;
        let mut number = |name, default, range, unit, about| {
            declared.fixed(Number {
                name,
                default,
                range,
                unit,
                about,
            })
        };
        let threads: i64 = number(
            "threads",
            0,
            0..=256,
            "",
            "CPU threads of one operation of training; 0 takes half of the machine's cores.",
        )?;
        let niceness: i64 = number(
            "niceness",
            10,
            0..=19,
            "",
            "How far training stands back behind other processes; the policy runs at 0.",
        )?;
        let mut amount = |name, default, range, unit, about| {
            declared.fixed(Number {
                name,
                default,
                range,
                unit,
                about,
            })
        };
        let limit: f64 = amount(
            "memory_limit",
            0.0,
            0.0..=1e7,
            "MB",
            "Largest memory a run may be estimated to need; 0 takes what the machine has free.",
        )?;
        let reserve = amount(
            "memory_reserve",
            1000.0,
            0.0..=1e7,
            "MB",
            "Free memory that a run leaves to the other processes.",
        )?;
        let grace = amount(
            "grace",
            120.0,
            1.0..=3600.0,
            "s",
            "Time training has to end its step and save when it is cancelled; then it is killed.",
        )?;
        let template = match template.as_str() {
            "" => share::file("config/train/finetune.yaml"),
            path => path.into(),
        };
        Ok(Self {
            runs: absolute(&runs)?,
            template: TrainingConfig::load(&template)?,
            threads: u16::try_from(threads).ok().filter(|t| *t > 0).unwrap_or_else(half),
            niceness: i32::try_from(niceness).unwrap_or_default(),
            memory_limit: (limit > 0.0).then_some(limit * 1e6),
            memory_reserve: reserve * 1e6,
            grace: Duration::from_secs_f64(grace),
            policy,
            _declared: declared.complete()?,
        })
    }
}

/// Half of the cores.
fn half() -> u16 {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    u16::try_from((cores / 2).max(1)).unwrap_or(u16::MAX)
}

/// Creates the directory if needed, and returns its absolute path, so that it does not depend on the working directory.
fn absolute(path: &Path) -> Result<PathBuf, FinetuneSettingsError> {
    let made = std::fs::create_dir_all(path).and_then(|()| std::fs::canonicalize(path));
    made.map_err(|source| FinetuneSettingsError::Runs {
        path: path.to_owned(),
        source,
    })
}
