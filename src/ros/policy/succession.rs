//! One checkpoint takes the place of another: loaded, warmed and checked beside it, then seated between two chunks.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use super::actor::Actor;
use super::brain::Brain;
use super::live::{ArmFacts, compare};
use super::planner::Workplace;
use super::settings::Settings;
use crate::ros::lock::lock;

/// How far a checkpoint that is being loaded stands back behind the one that acts.
const NICENESS: i32 = 10;

/// Loads the checkpoint of a directory.
pub type Load = Box<dyn Fn(&Settings, &Path) -> Result<Box<dyn Actor>, String> + Send + Sync>;
/// Looks at a checkpoint's files, and at a dataset it is to act as: what was found, or why it must not be run.
pub type Check = Box<dyn Fn(&Settings, &Path, Option<&Path>) -> Result<String, String> + Send + Sync>;
/// Lets an actor act on moments of a recorded episode.
pub type Replay = Box<dyn Fn(&mut dyn Actor, &Path) -> Result<Trial, String> + Send + Sync>;

/// What is done with checkpoints before they act.
pub struct Checkpoints {
    /// Loads one.
    pub load: Load,
    /// Checks one.
    pub check: Check,
    /// Tries one.
    pub replay: Replay,
}

/// How near to a recorded episode an actor comes: mean |Â − A|, normalised by the checkpoint's statistics.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trial {
    /// Moments that were tried.
    pub moments: usize,
    /// Of the actor.
    pub error: f64,
    /// Of the best chunk that does not depend on anything.
    pub constant: f64,
}

impl fmt::Display for Trial {
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

/// A checkpoint that was loaded beside the one in use.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// SHA-256 of its weights.
    pub hash: String,
    /// What was checked and found.
    pub report: String,
    /// How it did on a recorded episode.
    pub trial: Option<Trial>,
}

/// Who acts, who waits and who acted before.
pub struct Succession {
    settings: Arc<Settings>,
    checkpoints: Checkpoints,
    busy: AtomicBool,
    seats: Mutex<Seats>,
}

#[derive(Default)]
struct Seats {
    /// While configured.
    post: Option<(Arc<Workplace>, ArmFacts)>,
    waiting: Option<Arc<Brain>>,
    previous: Option<Arc<Brain>>,
}

impl Succession {
    /// Nobody acts yet.
    pub fn new(settings: Arc<Settings>, checkpoints: Checkpoints) -> Self {
        Self {
            settings,
            checkpoints,
            busy: AtomicBool::new(false),
            seats: Mutex::default(),
        }
    }

    /// Loads and warms the checkpoint that the parameters name.
    ///
    /// # Errors
    /// Why it cannot act.
    pub fn first(&self) -> Result<Arc<Brain>, String> {
        let path = &self.settings.checkpoint;
        if path.as_os_str().is_empty() {
            return Err("parameter checkpoint: expected a checkpoint directory, found nothing".to_owned());
        }
        let actor = (self.checkpoints.load)(&self.settings, path)?;
        Brain::awake(actor, path, self.settings.replan_steps.get()).map(Arc::new)
    }

    /// The node is configured: this is where seats are taken.
    pub fn begin(&self, workplace: Arc<Workplace>, facts: ArmFacts) {
        self.seats().post = Some((workplace, facts));
    }

    /// The node is cleaned up; all are forgotten.
    pub fn end(&self) {
        *self.seats() = Seats::default();
    }

    /// Where checkpoints are looked for unless somebody names another place.
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

    /// Who acts.
    pub fn running(&self) -> Option<Arc<Brain>> {
        self.seats().post.as_ref().map(|(work, _)| work.seat.brain())
    }

    /// Who takes the seat with `switch`.
    pub fn waiting(&self) -> Option<Arc<Brain>> {
        self.seats().waiting.clone()
    }

    /// Who takes it with `switch_back`.
    pub fn previous(&self) -> Option<Arc<Brain>> {
        self.seats().previous.clone()
    }

    /// Loads, checks and warms a checkpoint beside the one in use, which goes on acting. It waits for `switch`, in the
    /// place of one that waited before.
    ///
    /// # Errors
    /// Why it must not act here.
    pub fn load(&self, path: &Path, dataset: Option<&Path>) -> Result<Candidate, String> {
        if self.busy.swap(true, Ordering::AcqRel) {
            return Err("expected one load at a time, found another under way; wait for its answer".into());
        }
        let loaded = self.load_alone(path, dataset);
        self.busy.store(false, Ordering::Release);
        loaded
    }

    fn load_alone(&self, path: &Path, dataset: Option<&Path>) -> Result<Candidate, String> {
        let Some((work, facts)) = self.seats().post.clone() else {
            return Err(NOT_CONFIGURED.into());
        };
        // Of this thread alone, which ends with the load, and of those that libtorch starts for it.
        let _ = rustix::process::setpriority_process(None, NICENESS);
        // What waits would be the third in memory.
        self.seats().waiting = None;
        let mut report = (self.checkpoints.check)(&self.settings, path, dataset)?;
        let mut actor = (self.checkpoints.load)(&self.settings, path)?;
        let trial = dataset
            .map(|dataset| (self.checkpoints.replay)(&mut *actor, dataset))
            .transpose()?;
        if let Some(trial) = &trial {
            report = format!("{report}\n{trial}");
        }
        let brain = Brain::awake(actor, path, self.settings.replan_steps.get())?;
        let robot = &brain.contract.robot;
        let fault = |e: String| format!("{}: {e}", path.display());
        // The cameras are listened to in the order of the one in use.
        let running = work.seat.brain();
        let same = running.contract.robot.require_same(robot);
        same.map_err(|e| fault(e.to_string()))?;
        if work.slots.iter().all(|slot| slot.latest().is_some()) {
            let tolerance = self.settings.rate_tolerance;
            compare(robot, &facts.heard(&work.arm), &work.slots, tolerance).map_err(fault)?;
            report.push_str("\narm and cameras are those of its contract");
        } else {
            report.push_str("\nnote: not every camera has been seen yet, they are compared at activation");
        }
        let hash = brain.hash.clone();
        let mut seats = self.seats();
        if !seats.post.as_ref().is_some_and(|(now, _)| Arc::ptr_eq(now, &work)) {
            return Err(format!("{NOT_CONFIGURED}; it was cleaned up meanwhile"));
        }
        seats.waiting = Some(Arc::new(brain));
        Ok(Candidate { hash, report, trial })
    }

    /// Who waits takes the seat from the next chunk on; says who.
    ///
    /// # Errors
    /// When nobody waits.
    pub fn switch(&self) -> Result<String, String> {
        let mut seats = self.seats();
        let work = seats.work()?;
        let next = seats
            .waiting
            .take()
            .ok_or("expected a checkpoint that was loaded, found none; call load_checkpoint first")?;
        Ok(seats.seat(&work, next))
    }

    /// Who acted before takes the seat again; says who.
    ///
    /// # Errors
    /// When nobody did.
    pub fn switch_back(&self) -> Result<String, String> {
        let mut seats = self.seats();
        let work = seats.work()?;
        let next = seats
            .previous
            .take()
            .ok_or("expected a checkpoint that acted before, found none; nothing was switched yet")?;
        Ok(seats.seat(&work, next))
    }

    fn seats(&self) -> MutexGuard<'_, Seats> {
        lock(&self.seats)
    }
}

const NOT_CONFIGURED: &str = "expected a configured policy, found none; configure policy_node first";

impl Seats {
    fn work(&self) -> Result<Arc<Workplace>, String> {
        let post = self.post.as_ref().ok_or(NOT_CONFIGURED)?;
        Ok(Arc::clone(&post.0))
    }

    fn seat(&mut self, work: &Workplace, next: Arc<Brain>) -> String {
        let message = format!("{} of {} acts from the next chunk on", next.name(), next.path.display());
        self.previous = Some(work.seat.give(next));
        message
    }
}
