//! Where goals are worked on, one at a time, by one thread; whoever sends the same goal watches the same work.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::budget;
use super::child::{Start, Training, end_left_behind};
use super::journal::{Journal, Standing};
use super::order::{Length, Order};
use super::progress::{Progress, Reader};
use super::settings::Settings;
use crate::contract::FILE_NAME;
use crate::ros::runtime::Shutdown;
use crate::training::checkpoint::Shelf;
use crate::training::config::TrainingConfig;
use crate::training::metrics::METRICS;

/// Time between two looks at training.
const LOOK: Duration = Duration::from_millis(100);
/// Configuration of a run, in its directory.
const CONFIG: &str = "train.yaml";
/// Where the pace is measured, in the directory of a run.
const PACE: &str = ".pace";
/// Steps of that; the first sets libtorch up and is not counted.
const PACE_STEPS: u64 = 4;

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nothing has been asked for.
    Idle,
    /// How long a step takes, for a goal in minutes.
    Measuring,
    /// Steps are taken.
    Training,
    /// Training was asked to end.
    Ending,
    /// The last goal, done.
    Succeeded,
    /// The last goal, cancelled.
    Cancelled,
    /// The last goal, failed or refused.
    Failed,
}

impl State {
    /// As messages say it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Measuring => "measuring",
            Self::Training => "training",
            Self::Ending => "ending",
            Self::Succeeded => "succeeded",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
        }
    }
}

/// What is known of the present goal, or the last one.
#[derive(Debug, Clone)]
pub struct Shown {
    /// What is being done.
    pub state: State,
    /// For people.
    pub message: String,
    /// Directory of the run.
    pub out: PathBuf,
    /// Its last checkpoint.
    pub checkpoint: Option<PathBuf>,
    /// Steps of the whole run.
    pub steps: u64,
    /// Samples of a step.
    pub samples: u64,
    /// What its metrics say.
    pub progress: Progress,
    /// Memory of the training process [MB].
    pub memory_mb: f64,
    /// When it was taken up.
    pub begun: Option<Instant>,
}

impl Default for Shown {
    fn default() -> Self {
        Self {
            state: State::Idle,
            message: String::new(),
            out: PathBuf::new(),
            checkpoint: None,
            steps: 0,
            samples: 0,
            progress: Progress::default(),
            memory_mb: 0.0,
            begun: None,
        }
    }
}

impl Shown {
    /// Time to the end [s]; NaN before the first step.
    pub fn eta_s(&self) -> f64 {
        let left = self.steps.saturating_sub(self.progress.step()) as f64;
        self.progress.step_s().map_or(f64::NAN, |seconds| left * seconds)
    }

    /// Samples that are learned in a second; 0 before the first step.
    pub fn samples_per_second(&self) -> f64 {
        self.progress
            .step_s()
            .map_or(0.0, |seconds| self.samples as f64 / seconds)
    }
}

/// How a goal ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// Succeeded, cancelled or failed; [`State::Ending`] when the node ends first.
    pub state: State,
    /// Why.
    pub message: String,
}

struct Job {
    order: Order,
    cancelled: bool,
    ended: Option<Ended>,
}

/// The node's own state.
pub struct Bench {
    settings: Settings,
    shutdown: Shutdown,
    job: Mutex<Option<Job>>,
    called: Condvar,
    shown: Mutex<Shown>,
}

/// Who ended a run of the training process.
enum End {
    Itself(std::process::ExitStatus, String),
    Cancelled,
    Node,
    Time,
}

impl Bench {
    /// A bench on which nothing lies, or what a node before this one did not finish.
    pub fn new(settings: Settings, shutdown: Shutdown) -> Self {
        let unfinished = Journal::unfinished(&settings.runs).unwrap_or_else(|problem| {
            tracing::warn!("what was unfinished cannot be taken up: {problem}");
            None
        });
        let job = unfinished.map(|journal| {
            tracing::info!("{}: unfinished, going on", journal.order.out.display());
            Job {
                order: journal.order,
                cancelled: false,
                ended: None,
            }
        });
        Self {
            settings,
            shutdown,
            job: Mutex::new(job),
            called: Condvar::new(),
            shown: Mutex::default(),
        }
    }

    /// Parameters.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What is going on.
    pub fn shown(&self) -> Shown {
        lock(&self.shown).clone()
    }

    /// Begins a goal, or joins it where it is worked on already.
    ///
    /// # Errors
    /// When another goal is.
    pub fn take(&self, order: &Order) -> Result<(), String> {
        let mut job = lock(&self.job);
        match &*job {
            Some(present) if present.ended.is_none() && present.order == *order && !present.cancelled => return Ok(()),
            Some(present) if present.ended.is_none() => {
                return Err(format!(
                    "expected no other goal, found one in {}; wait for its end or cancel it",
                    present.order.out.display()
                ));
            }
            _ => {}
        }
        *job = Some(Job {
            order: order.clone(),
            cancelled: false,
            ended: None,
        });
        self.called.notify_all();
        Ok(())
    }

    /// Ends a goal; what it learned stays.
    pub fn cancel(&self, order: &Order) {
        if let Some(job) = lock(&self.job).as_mut().filter(|job| job.order == *order) {
            job.cancelled = true;
        }
    }

    /// How a goal ended, if it has.
    pub fn ended(&self, order: &Order) -> Option<Ended> {
        let job = lock(&self.job);
        let same = job.as_ref().filter(|job| job.order == *order);
        same.map_or_else(
            || {
                Some(Ended {
                    state: State::Ending,
                    message: "another goal was taken up".to_owned(),
                })
            },
            |job| job.ended.clone(),
        )
    }

    /// Works on goals until the node ends.
    pub fn work(&self) {
        while let Some(order) = self.next() {
            *lock(&self.shown) = Shown {
                state: State::Training,
                out: order.out.clone(),
                begun: Some(Instant::now()),
                ..Shown::default()
            };
            let ended = self.one(&order).unwrap_or_else(|problem| Ended {
                state: State::Failed,
                message: problem,
            });
            let say = format!("{}: {}: {}", order.out.display(), ended.state.label(), ended.message);
            match ended.state {
                State::Failed => tracing::error!("{say}"),
                _ => tracing::info!("{say}"),
            }
            self.show(|shown| {
                (shown.state, shown.message) = (ended.state, ended.message.clone());
                shown.memory_mb = 0.0;
            });
            if let Some(job) = lock(&self.job).as_mut() {
                job.ended = Some(ended);
            }
        }
    }

    /// Waits for a goal; nothing when the node ends.
    fn next(&self) -> Option<Order> {
        let mut job = lock(&self.job);
        loop {
            if self.shutdown.is_requested() {
                return None;
            }
            if let Some(open) = job.as_ref().filter(|job| job.ended.is_none()) {
                return Some(open.order.clone());
            }
            let waited = self.called.wait_timeout(job, LOOK);
            job = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn one(&self, order: &Order) -> Result<Ended, String> {
        let mut journal = match Journal::read(&order.out)? {
            Some(journal) if journal.order != *order => {
                return Err(format!(
                    "out: expected a new directory or the goal that began {}, found another goal there; name another \
                     out, or send that goal again",
                    order.out.display()
                ));
            }
            Some(journal) => journal,
            None => Journal::new(order.clone()),
        };
        if let Some(left) = journal.trainer.take() {
            end_left_behind(&left, self.settings.grace);
        }
        let guess = journal.steps.unwrap_or(PACE_STEPS);
        let fits = budget::fits(&order.configuration(&self.settings, guess), &self.settings)?;
        tracing::info!("{}: needs {fits}", order.out.display());
        std::fs::create_dir_all(&order.out).map_err(|e| format!("out: cannot make {}: {e}", order.out.display()))?;
        journal.standing = Standing::Open;
        journal.write(&self.settings.runs)?;
        let ended = self.steps(&mut journal).and_then(|steps| match steps {
            Ok(steps) => self.train(&mut journal, steps),
            Err(ended) => Ok(ended),
        });
        journal.trainer = None;
        journal.standing = match ended.as_ref().map(|ended| ended.state) {
            Ok(State::Succeeded) => Standing::Succeeded,
            Ok(State::Cancelled) => Standing::Cancelled,
            Ok(_) => Standing::Open,
            Err(_) => Standing::Failed,
        };
        journal.write(&self.settings.runs)?;
        ended
    }

    /// Steps of the whole run; for a goal in minutes by the pace of a few of them. Or how it ended meanwhile.
    fn steps(&self, journal: &mut Journal) -> Result<Result<u64, Ended>, String> {
        let minutes = match (journal.steps, journal.order.length) {
            (Some(steps), _) | (None, Length::Steps(steps)) => {
                journal.steps = Some(steps);
                return Ok(Ok(steps));
            }
            (None, Length::Minutes(minutes)) => minutes,
        };
        self.show(|shown| shown.state = State::Measuring);
        let mut config = journal.order.configuration(&self.settings, PACE_STEPS);
        config.out = journal.order.out.join(PACE);
        config.validation.share = 0.0;
        let remove = |path: &Path| match std::fs::remove_dir_all(path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(format!("cannot remove {}: {e}", path.display())),
            _ => Ok(()),
        };
        remove(&config.out)?;
        let begun = Instant::now();
        match self.run(&config, journal, None)? {
            End::Itself(status, _) if status.success() => {}
            end => return self.interrupted(end, journal).map(Err),
        }
        let lines: Vec<f64> = self.shown().progress.recent_s().collect();
        self.show(|shown| shown.progress = Progress::default());
        remove(&config.out)?;
        let counted = lines.get(1..).unwrap_or_default();
        let step_s = counted.iter().sum::<f64>() / counted.len().max(1) as f64;
        let took = begun.elapsed().as_secs_f64();
        journal.spent_s += took;
        // The run loads the checkpoint and saves once more.
        let beside = took - lines.iter().sum::<f64>();
        let left = minutes * 60.0 - journal.spent_s - beside;
        if !(step_s > 0.0 && left >= step_s) {
            return Err(format!(
                "minutes: expected time for at least one step, found {minutes}: loading takes {beside:.0} s and a step \
                 {step_s:.1} s; give more"
            ));
        }
        let steps = (left / step_s) as u64;
        tracing::info!("{step_s:.2} s a step: {steps} steps in {minutes} minutes");
        journal.steps = Some(steps);
        journal.write(&self.settings.runs)?;
        Ok(Ok(steps))
    }

    fn train(&self, journal: &mut Journal, steps: u64) -> Result<Ended, String> {
        let config = journal.order.configuration(&self.settings, steps);
        self.show(|shown| {
            shown.state = State::Training;
            shown.steps = steps;
            shown.samples = (config.data.batch * config.data.accumulate) as u64;
        });
        let until = match journal.order.length {
            Length::Steps(_) => None,
            Length::Minutes(minutes) => {
                let left = (minutes * 60.0 - journal.spent_s).max(0.0);
                Some(Instant::now() + Duration::from_secs_f64(left))
            }
        };
        let begun = Instant::now();
        let end = self.run(&config, journal, until);
        journal.spent_s += begun.elapsed().as_secs_f64();
        let end = end?;
        let step = self.shown().progress.step();
        let saved = last_checkpoint(&journal.order.out);
        self.show(|shown| shown.checkpoint.clone_from(&saved));
        match end {
            End::Itself(status, _) if status.success() => Ok(Ended {
                state: State::Succeeded,
                message: format!("{step} steps"),
            }),
            End::Time if saved.is_some() => Ok(Ended {
                state: State::Succeeded,
                message: format!("the time was over after {step} of {steps} steps"),
            }),
            End::Time => Err("the time was over before the first checkpoint; give more".into()),
            end => self.interrupted(end, journal),
        }
    }

    /// What becomes of a goal whose training did not end well by itself.
    fn interrupted(&self, end: End, journal: &Journal) -> Result<Ended, String> {
        let saved = match last_checkpoint(&journal.order.out) {
            Some(path) => format!("the same goal goes on from {}", path.display()),
            None => "nothing was saved yet: the same goal begins anew".to_owned(),
        };
        match end {
            End::Itself(_, words) => Err(format!("{words}\n{saved}")),
            End::Cancelled => Ok(Ended {
                state: State::Cancelled,
                message: format!("cancelled; {saved}"),
            }),
            End::Time | End::Node => Ok(Ended {
                state: State::Ending,
                message: "the node ends; started again it goes on".to_owned(),
            }),
        }
    }

    /// Runs the training process to its end, or until somebody or the time ends it.
    fn run(&self, config: &TrainingConfig, journal: &mut Journal, until: Option<Instant>) -> Result<End, String> {
        let out = &config.out;
        let file = out.join(CONFIG);
        let text = serde_saphyr::to_string(config).map_err(|e| format!("cannot write {}: {e}", file.display()))?;
        let written = std::fs::create_dir_all(out).and_then(|()| std::fs::write(&file, text));
        written.map_err(|e| format!("cannot write {}: {e}", file.display()))?;
        let mut training = Training::start(&Start {
            config: &file,
            out,
            niceness: self.settings.niceness,
        })?;
        journal.trainer.clone_from(&training.trainer);
        journal.write(&self.settings.runs)?;
        let mut reader = Reader::new(&out.join(METRICS));
        let end = loop {
            self.show(|shown| {
                reader.read(&mut shown.progress);
                shown.memory_mb = training.memory_mb().unwrap_or(shown.memory_mb);
                if shown.state == State::Training {
                    shown.checkpoint = last_checkpoint(out);
                }
            });
            if let Some(status) = training.ended()? {
                let words = training.last_words(status);
                break End::Itself(status, words);
            }
            let cancelled = lock(&self.job).as_ref().is_some_and(|job| job.cancelled);
            let over = until.is_some_and(|until| Instant::now() >= until);
            let end = match (self.shutdown.is_requested(), cancelled, over) {
                (true, ..) => End::Node,
                (_, true, _) => End::Cancelled,
                (.., true) => End::Time,
                _ => {
                    std::thread::sleep(LOOK);
                    continue;
                }
            };
            self.show(|shown| shown.state = State::Ending);
            training.end(self.settings.grace);
            break end;
        };
        self.show(|shown| reader.read(&mut shown.progress));
        journal.trainer = None;
        Ok(end)
    }

    fn show(&self, change: impl FnOnce(&mut Shown)) {
        change(&mut lock(&self.shown));
    }
}

/// The newest checkpoint of a run.
pub fn last_checkpoint(out: &Path) -> Option<PathBuf> {
    let shelf = Shelf::at(out);
    let last = *shelf.steps().ok()?.last()?;
    Some(shelf.path(last))
}

/// The contract beside a checkpoint.
pub fn contract_of(checkpoint: &Path) -> PathBuf {
    checkpoint.join(FILE_NAME)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where the node hangs its thread.
pub fn start(bench: &Arc<Bench>, shutdown: &Shutdown) {
    let bench = Arc::clone(bench);
    shutdown.run_beside::<std::convert::Infallible>(move || {
        bench.work();
        Ok(())
    });
}
