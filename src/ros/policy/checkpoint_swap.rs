//! Replacement of the active checkpoint: another one is loaded, warmed up and checked beside it, then takes over between
//! two chunks.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use super::active_checkpoint::LoadedCheckpoint;
use super::backend::InferenceBackend;
use super::contract_check::{ArmFacts, compare};
use super::error::PolicyError;
use super::inference_loop::InferenceContext;
use super::settings::PolicySettings;
use crate::ros::node::lock::lock;

/// Niceness of the thread that loads a checkpoint while another one is active.
const NICENESS: i32 = 10;

/// Function that loads the checkpoint in a directory.
pub type Load = Box<dyn Fn(&PolicySettings, &Path) -> Result<Box<dyn InferenceBackend>, PolicyError> + Send + Sync>;
/// Function that checks a checkpoint's files, and optionally a dataset against them: a report, or the reason for refusal.
pub type Check = Box<dyn Fn(&PolicySettings, &Path, Option<&Path>) -> Result<String, PolicyError> + Send + Sync>;
/// Function that runs a backend on moments of a recorded episode.
pub type Replay = Box<dyn Fn(&mut dyn InferenceBackend, &Path) -> Result<SelfTest, PolicyError> + Send + Sync>;

/// Functions applied to checkpoints before they become active.
pub struct Checkpoints {
    /// Loads a checkpoint.
    pub load: Load,
    /// Checks the files of a checkpoint.
    pub check: Check,
    /// Runs the self-test of a checkpoint.
    pub replay: Replay,
}

/// Result of a self-test: mean |Â − A| on a recorded episode, normalised by the checkpoint's statistics.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SelfTest {
    /// Number of moments tested.
    pub moments: usize,
    /// Mean error of the backend.
    pub error: f64,
    /// Mean error of the best constant chunk.
    pub constant: f64,
}

impl fmt::Display for SelfTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            moments,
            error,
            constant,
        } = self;
        write!(
            f,
            "self-test on {moments} moments: action error {error:.4}, the best constant chunk's {constant:.4}"
        )?;
        match error < constant {
            true => Ok(()),
            false => write!(f, "; note: it is no better than a constant on this episode"),
        }
    }
}

/// A checkpoint loaded while another one is active.
#[derive(Debug, Clone, PartialEq)]
pub struct SwapCandidate {
    /// SHA-256 of its weights.
    pub hash: String,
    /// Report of the checks.
    pub report: String,
    /// Result of the self-test on a recorded episode, if a dataset was given.
    pub self_test: Option<SelfTest>,
}

/// The active, the waiting and the previous checkpoint.
pub struct CheckpointSwap {
    settings: Arc<PolicySettings>,
    checkpoints: Checkpoints,
    busy: AtomicBool,
    state: Mutex<SwapState>,
}

#[derive(Default)]
struct SwapState {
    /// Present while the node is configured.
    configured: Option<Configured>,
    waiting: Option<Arc<LoadedCheckpoint>>,
    previous: Option<Arc<LoadedCheckpoint>>,
}

#[derive(Clone)]
struct Configured {
    context: Arc<InferenceContext>,
    facts: ArmFacts,
}

impl CheckpointSwap {
    /// Creates the state without any checkpoint.
    pub fn new(settings: Arc<PolicySettings>, checkpoints: Checkpoints) -> Self {
        Self {
            settings,
            checkpoints,
            busy: AtomicBool::new(false),
            state: Mutex::default(),
        }
    }

    /// Loads and warms up the checkpoint that the parameters name.
    ///
    /// # Errors
    /// The reason why it cannot become active.
    pub fn first(&self) -> Result<Arc<LoadedCheckpoint>, PolicyError> {
        let path = &self.settings.checkpoint;
        if path.as_os_str().is_empty() {
            return Err(PolicyError::NoCheckpoint);
        }
        let backend = (self.checkpoints.load)(&self.settings, path)?;
        LoadedCheckpoint::warm_up(backend, path, self.settings.replan_steps.get()).map(Arc::new)
    }

    /// Begins a configured state, with the workplace whose checkpoint is to be replaced.
    pub fn begin(&self, context: Arc<InferenceContext>, facts: ArmFacts) {
        self.state().configured = Some(Configured { context, facts });
    }

    /// Ends the configured state; all checkpoints are dropped.
    pub fn end(&self) {
        *self.state() = SwapState::default();
    }

    /// Directory in which checkpoints are listed when a request names none.
    pub fn directory(&self) -> PathBuf {
        let (named, first) = (&self.settings.checkpoints, &self.settings.checkpoint);
        match named.as_os_str().is_empty() {
            false => named.clone(),
            true => first
                .parent()
                .filter(|p| !p.as_os_str().is_empty())
                .unwrap_or(Path::new("."))
                .to_owned(),
        }
    }

    /// The active checkpoint.
    pub fn running(&self) -> Option<Arc<LoadedCheckpoint>> {
        self.state()
            .configured
            .as_ref()
            .map(|configured| configured.context.active.get())
    }

    /// The checkpoint that `switch` makes active.
    pub fn waiting(&self) -> Option<Arc<LoadedCheckpoint>> {
        self.state().waiting.clone()
    }

    /// The checkpoint that `switch_back` makes active.
    pub fn previous(&self) -> Option<Arc<LoadedCheckpoint>> {
        self.state().previous.clone()
    }

    /// Loads, checks and warms up a checkpoint while the active one continues. It then waits for `switch`, and replaces one
    /// that was waiting.
    ///
    /// # Errors
    /// The reason why it must not become active here.
    pub fn load(&self, path: &Path, dataset: Option<&Path>) -> Result<SwapCandidate, PolicyError> {
        if self.busy.swap(true, Ordering::AcqRel) {
            return Err(PolicyError::Loading);
        }
        let loaded = self.load_alone(path, dataset);
        self.busy.store(false, Ordering::Release);
        loaded
    }

    fn load_alone(&self, path: &Path, dataset: Option<&Path>) -> Result<SwapCandidate, PolicyError> {
        let Some(Configured { context, facts }) = self.state().configured.clone() else {
            return Err(PolicyError::NotConfigured);
        };
        // The niceness applies to this thread, which ends with the load, and to those that libtorch starts from it.
        let _ = rustix::process::setpriority_process(None, NICENESS);
        // A checkpoint that still waits would be the third in memory.
        self.state().waiting = None;
        let mut report = (self.checkpoints.check)(&self.settings, path, dataset)?;
        let mut backend = (self.checkpoints.load)(&self.settings, path)?;
        let self_test = dataset
            .map(|dataset| (self.checkpoints.replay)(&mut *backend, dataset))
            .transpose()?;
        if let Some(self_test) = &self_test {
            report = format!("{report}\n{self_test}");
        }
        let checkpoint = LoadedCheckpoint::warm_up(backend, path, self.settings.replan_steps.get())?;
        let robot = &checkpoint.contract.robot;
        let other_robot = |error: PolicyError| PolicyError::OtherRobot {
            path: path.to_owned(),
            source: Box::new(error),
        };
        // The subscriptions follow the camera order of the active checkpoint.
        let running = context.active.get();
        let same = running.contract.robot.require_same(robot);
        same.map_err(|e| other_robot(e.into()))?;
        if context.slots.iter().all(|slot| slot.latest().is_some()) {
            let tolerance = self.settings.rate_tolerance;
            compare(robot, &facts.with_status(&context.arm), &context.slots, tolerance).map_err(other_robot)?;
            report.push_str("\narm and cameras are those of its contract");
        } else {
            report.push_str("\nnote: not every camera has been seen yet, they are compared at activation");
        }
        let hash = checkpoint.hash.clone();
        let mut state = self.state();
        if !state
            .configured
            .as_ref()
            .is_some_and(|now| Arc::ptr_eq(&now.context, &context))
        {
            return Err(PolicyError::CleanedUp);
        }
        state.waiting = Some(Arc::new(checkpoint));
        Ok(SwapCandidate {
            hash,
            report,
            self_test,
        })
    }

    /// Makes the waiting checkpoint active from the next chunk on; returns a message with its name.
    ///
    /// # Errors
    /// When none waits.
    pub fn switch(&self) -> Result<String, PolicyError> {
        let mut state = self.state();
        let context = state.context()?;
        let next = state.waiting.take().ok_or(PolicyError::NothingLoaded)?;
        Ok(state.swap_in(&context, next))
    }

    /// Makes the previous checkpoint active again; returns a message with its name.
    ///
    /// # Errors
    /// When there is none.
    pub fn switch_back(&self) -> Result<String, PolicyError> {
        let mut state = self.state();
        let context = state.context()?;
        let next = state.previous.take().ok_or(PolicyError::NothingBefore)?;
        Ok(state.swap_in(&context, next))
    }

    fn state(&self) -> MutexGuard<'_, SwapState> {
        lock(&self.state)
    }
}

impl SwapState {
    fn context(&self) -> Result<Arc<InferenceContext>, PolicyError> {
        let configured = self.configured.as_ref().ok_or(PolicyError::NotConfigured)?;
        Ok(Arc::clone(&configured.context))
    }

    fn swap_in(&mut self, context: &InferenceContext, next: Arc<LoadedCheckpoint>) -> String {
        let message = format!("{} of {} acts from the next chunk on", next.name(), next.path.display());
        self.previous = Some(context.active.replace(next));
        message
    }
}
