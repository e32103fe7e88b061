//! Where goals are worked on, one at a time, by one thread; whoever sends the same goal watches the same work.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::journal::Journal;
use super::order::Order;
use super::settings::Settings;
use super::shown::{Ended, Shown, State};
use crate::ros::lock::lock;
use crate::ros::runtime::Shutdown;

/// Time between two looks at whether the node ends.
const LOOK: Duration = Duration::from_millis(100);

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

    /// Whether the node ends.
    pub(super) fn is_ending(&self) -> bool {
        self.shutdown.is_requested()
    }

    /// Whether somebody has cancelled the present goal.
    pub(super) fn is_cancelled(&self) -> bool {
        lock(&self.job).as_ref().is_some_and(|job| job.cancelled)
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

    /// Changes what is known of the present goal.
    pub(super) fn show(&self, change: impl FnOnce(&mut Shown)) {
        change(&mut lock(&self.shown));
    }
}

/// Where the node hangs its thread.
pub fn start(bench: &Arc<Bench>, shutdown: &Shutdown) {
    let bench = Arc::clone(bench);
    shutdown.run_beside::<std::convert::Infallible>(move || {
        bench.work();
        Ok(())
    });
}
