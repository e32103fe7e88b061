//! Checkpoints that a run can be resumed from: directories that are written atomically.
//!
//! ```text
//! OUT/step-00001000/
//!     config.json  tokenizer.json  contract.yaml  model.safetensors    a checkpoint that can act
//!     training.safetensors                                             optimiser, and weights that learn
//!     training.json                                                    step, configuration, version, held-out error
//! ```
//!
//! Samples and dropped conditions depend on seed and step alone, so the step is their whole state.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tch::Tensor;
use tokenizers::Tokenizer;

use crate::contract::Contract;
use crate::files;
use crate::model::checkpoint::{CHAT_TEMPLATE, TOKENIZER, TOKENIZER_CONFIG, WEIGHTS};
use crate::writer_lock::WriterLock;

use super::config::TrainingConfig;
use super::data::mixture::HeldOutEpisodes;
use super::error::RunError;
use super::objective::Objective;
use super::optimiser::Optimiser;

/// File of trained weights and optimiser state.
const STATE: &str = "training.safetensors";
/// File of everything else that a run needs to resume.
const NOTES: &str = "training.json";
/// Prefix of the directories of checkpoints.
const STEP: &str = "step-";
/// Prefix of directories that are being written or removed.
const OPEN: &str = ".open-";
/// Suffix of the names of weights in [`STATE`].
const VALUE: &str = ".value";

/// State of a run, besides its tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notes {
    /// Number of steps taken.
    pub step: u64,
    /// Mean held-out action error, normalised, if it was measured.
    pub held_out: Option<f64>,
    /// Loss of held-out answers, if there are any.
    #[serde(default)]
    pub text: HeldOutText,
    /// SHA-256 of the initial weights.
    pub began_with: String,
    /// Number of processes that trained together.
    #[serde(default = "one")]
    pub ranks: usize,
    /// Text that the network generated about each task, with privileged information.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub words: BTreeMap<String, String>,
    /// Version of this program.
    pub version: String,
    /// Configuration of the run.
    pub config: TrainingConfig,
}

impl Notes {
    /// Reads the notes of a checkpoint that a run has written.
    ///
    /// # Errors
    /// When its directory has none, or another version wrote them.
    pub fn read(directory: &Path) -> Result<Self, RunError> {
        let path = directory.join(NOTES);
        let text = files::read_text(&path, files::TABLE).map_err(RunError::file("read", &path))?;
        serde_json::from_str(&text).map_err(RunError::file("read", &path))
    }

    /// Returns the held-out episodes of a dataset; `None` if the run did not train on it.
    pub fn held_out_of(&self, dataset: &Path) -> Option<HeldOutEpisodes> {
        let same = |path: &Path| match (path.canonicalize(), dataset.canonicalize()) {
            (Ok(a), Ok(b)) => a == b,
            _ => path == dataset,
        };
        let number = self.config.data.datasets.iter().position(|share| same(&share.path))?;
        Some(HeldOutEpisodes {
            number: number as u64,
            seed: self.config.seed,
            share: self.config.validation.share,
        })
    }
}

fn one() -> usize {
    1
}

/// Loss of held-out answers, a mean over tokens: it shows whether a network keeps its language.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeldOutText {
    /// Before the first step.
    pub before: Option<f64>,
    /// At the last measurement.
    pub now: Option<f64>,
}

/// Content of a checkpoint that is saved.
#[derive(Debug, Clone, Copy)]
pub struct CheckpointContent<'a> {
    /// State of the run.
    pub notes: &'a Notes,
    /// The network.
    pub objective: &'a Objective,
    /// The optimiser.
    pub optimiser: &'a Optimiser,
    /// Contract of the network.
    pub contract: &'a Contract,
    /// Tokenizer of the network.
    pub tokenizer: &'a Tokenizer,
}

/// Directory of a run's checkpoints.
#[derive(Debug)]
pub struct CheckpointDir {
    out: PathBuf,
    keep: usize,
    _lock: Option<WriterLock>,
}

impl CheckpointDir {
    /// Opens the directory, created if needed, for this run alone. What a killed run was writing is removed.
    ///
    /// # Errors
    /// When another run uses it, or the file system refuses.
    pub fn open(out: &Path, keep: usize) -> Result<Self, RunError> {
        fs::create_dir_all(out).map_err(RunError::file("make", out))?;
        let lock = WriterLock::acquire(out)?;
        for entry in fs::read_dir(out).map_err(RunError::file("read", out))?.flatten() {
            if entry.file_name().to_string_lossy().starts_with(OPEN) {
                fs::remove_dir_all(entry.path()).map_err(RunError::file("remove", &entry.path()))?;
            }
        }
        Ok(Self {
            out: out.to_owned(),
            keep,
            _lock: Some(lock),
        })
    }

    /// Opens the directory for reading only: another process may be writing there.
    pub fn at(out: &Path) -> Self {
        Self {
            out: out.to_owned(),
            keep: usize::MAX,
            _lock: None,
        }
    }

    /// Returns the directory of a step.
    pub fn path(&self, step: u64) -> PathBuf {
        self.out.join(format!("{STEP}{step:08}"))
    }

    /// Returns the steps that can be resumed from, in order; empty if there is no directory yet.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn steps(&self) -> Result<Vec<u64>, RunError> {
        let entries = match fs::read_dir(&self.out) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(RunError::file("read", &self.out))?,
        };
        let step = |entry: fs::DirEntry| entry.file_name().to_str()?.strip_prefix(STEP)?.parse().ok();
        let mut steps: Vec<u64> = entries.flatten().filter_map(step).collect();
        steps.sort_unstable();
        Ok(steps)
    }

    /// Reads the notes of a step.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn notes(&self, step: u64) -> Result<Notes, RunError> {
        Notes::read(&self.path(step))
    }

    /// Refuses a disk without room for the checkpoints that exist at once: those that are kept, the best, and the one
    /// that is being written. `still` is the number of checkpoints that will be written.
    ///
    /// # Errors
    /// When there is too little; the error has the required and the available space.
    pub fn require_room(&self, objective: &Objective, optimiser: &Optimiser, still: u64) -> Result<(), RunError> {
        let parameters = objective.parameters().all().iter().map(|one| bytes(&one.tensor));
        let state = optimiser.state();
        let one = parameters.sum::<u64>() + state.iter().map(|(_, tensor)| bytes(tensor)).sum::<u64>();
        let there = self.steps()?.len() as u64;
        let most = (self.keep as u64).saturating_add(2).saturating_sub(there).max(1);
        let needed = one.saturating_mul(most.min(still));
        let found = rustix::fs::statvfs(&self.out).map_err(RunError::file("look at", &self.out))?;
        let free = found.f_bavail.saturating_mul(found.f_frsize);
        if needed <= free {
            return Ok(());
        }
        let gb = |bytes: u64| bytes as f64 / 1e9;
        let message = format!(
            "expected {:.2} GB of free space for checkpoints of {:.2} GB each, found {:.2} GB; free space, lower \
             checkpoints.keep or name another directory with --out",
            gb(needed),
            gb(one),
            gb(free)
        );
        Err(RunError::file("begin in", &self.out)(message))
    }

    /// Writes a checkpoint and removes those that are not kept.
    ///
    /// # Errors
    /// When writing fails; earlier checkpoints are then unchanged.
    pub fn save(&self, saved: &CheckpointContent) -> Result<PathBuf, RunError> {
        let step = saved.notes.step;
        let (open, path) = (self.out.join(format!("{OPEN}{step:08}")), self.path(step));
        let refused = |at: &Path, message: String| RunError::Save {
            step,
            path: at.to_owned(),
            message,
        };
        let written = write(&open, saved).and_then(|()| {
            if path.exists() {
                fs::remove_dir_all(&path).map_err(|e| (path.clone(), e.to_string()))?;
            }
            fs::rename(&open, &path).map_err(|e| (path.clone(), e.to_string()))?;
            sync(&self.out)
        });
        if let Err((at, message)) = written {
            // A partial checkpoint takes space, which may be what is missing.
            let _ = fs::remove_dir_all(&open);
            return Err(refused(&at, message));
        }
        self.remove_unfinished()?;
        Ok(path)
    }

    fn remove_unfinished(&self) -> Result<(), RunError> {
        let steps = self.steps()?;
        let errors = steps
            .iter()
            .filter_map(|step| Some((*step, self.notes(*step).ok()?.held_out?)));
        let best = errors.min_by(|(_, a), (_, b)| a.total_cmp(b)).map(|(step, _)| step);
        for step in steps.iter().rev().skip(self.keep).filter(|step| Some(**step) != best) {
            let path = self.path(*step);
            // Renamed first: a directory that is removed in part is not a checkpoint.
            let aside = self.out.join(format!("{OPEN}{step:08}"));
            fs::rename(&path, &aside).map_err(RunError::file("remove", &path))?;
            fs::remove_dir_all(&aside).map_err(RunError::file("remove", &aside))?;
        }
        Ok(())
    }

    /// Loads weights and optimiser state of a step; `method` must hold the network that training began with.
    ///
    /// # Errors
    /// When the files do not fit the weights that are trained.
    pub fn restore(&self, step: u64, objective: &Objective, optimiser: &mut Optimiser) -> Result<(), RunError> {
        let path = self.path(step).join(STATE);
        files::open(&path).map_err(RunError::file("read", &path))?;
        let tensors = Tensor::read_safetensors(&path).map_err(RunError::file("read", &path))?;
        let tensors: HashMap<String, Tensor> = tensors.into_iter().collect();
        let _no_grad = tch::no_grad_guard();
        for one in objective.parameters().trained() {
            if let Some(value) = tensors.get(&format!("{}{VALUE}", one.key)) {
                if value.size() != one.tensor.size() {
                    let message = format!(
                        "{}: expected {:?}, found {:?}; resume with the configuration that wrote it",
                        one.key,
                        one.tensor.size(),
                        value.size()
                    );
                    return Err(RunError::file("use", &path)(message));
                }
                one.tensor.f_detach()?.f_copy_(value)?;
            }
        }
        Ok(optimiser.restore(&tensors)?)
    }
}

fn bytes(tensor: &Tensor) -> u64 {
    (tensor.numel() * tensor.kind().elt_size_in_bytes()) as u64
}

/// File that failed, and the reason.
type Failure = (PathBuf, String);

fn write(folder: &Path, saved: &CheckpointContent) -> Result<(), Failure> {
    let failed = |path: &Path, e: &dyn ToString| (path.to_owned(), e.to_string());
    fs::create_dir_all(folder).map_err(|e| failed(folder, &e))?;
    saved.objective.config().save(folder).map_err(|e| failed(folder, &e))?;
    saved.contract.save(folder).map_err(|e| failed(folder, &e))?;
    let path = folder.join(TOKENIZER);
    saved.tokenizer.save(&path, false).map_err(|e| failed(&path, &e))?;
    for name in [TOKENIZER_CONFIG, CHAT_TEMPLATE] {
        let from = saved.notes.config.checkpoint.join(name);
        if from.exists() {
            files::copy(&from, &folder.join(name)).map_err(|e| failed(&folder.join(name), &e))?;
        }
    }
    let path = folder.join(WEIGHTS);
    let weights = || -> Result<(), RunError> {
        let merged = saved.objective.parameters().merged()?;
        Tensor::write_safetensors(&merged, &path).map_err(RunError::file("write", &path))
    };
    saved.optimiser.with_average(weights).map_err(|e| failed(&path, &e))?;
    let path = folder.join(STATE);
    let mut state = saved.optimiser.state();
    // Master weights in the optimiser hold the same values in more bits.
    let mastered: std::collections::HashSet<String> = state
        .iter()
        .filter_map(|(key, _)| key.strip_suffix(".master").map(str::to_owned))
        .collect();
    let trained = saved.objective.parameters().trained();
    let plain = trained.filter(|one| !mastered.contains(&one.key));
    state.extend(plain.map(|one| (format!("{}{VALUE}", one.key), one.tensor.detach())));
    Tensor::write_safetensors(&state, &path).map_err(|e| failed(&path, &e))?;
    let path = folder.join(NOTES);
    let notes = serde_json::to_string_pretty(saved.notes).map_err(|e| failed(&path, &e))?;
    fs::write(&path, notes + "\n").map_err(|e| failed(&path, &e))?;
    for entry in fs::read_dir(folder).map_err(|e| failed(folder, &e))?.flatten() {
        sync(&entry.path())?;
    }
    sync(folder)
}

/// Syncs a file, or the names in a folder, to disk.
fn sync(path: &Path) -> Result<(), Failure> {
    let synced = File::open(path).and_then(|file| file.sync_all());
    synced.map_err(|e| (path.to_owned(), e.to_string()))
}
