//! Job queue of length one: a thread works on one goal at a time; clients that send the same goal share its job.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::error::FinetuneError;
use super::goal::TrainingGoal;
use super::job_status::{JobOutcome, JobState, JobStatus};
use super::journal::Journal;
use super::settings::FinetuneSettings;
use crate::ros::node::lock::lock;
use crate::ros::node::runtime::Shutdown;

/// Longest time until the thread notices that the node ends.
const POLL_PERIOD: Duration = Duration::from_millis(100);

struct Job {
    goal: TrainingGoal,
    cancelled: bool,
    ended: Option<JobOutcome>,
}

/// The present job and its status, shared by callbacks and worker thread.
pub struct JobQueue {
    settings: FinetuneSettings,
    shutdown: Shutdown,
    job: Mutex<Option<Job>>,
    called: Condvar,
    status: Mutex<JobStatus>,
}

impl JobQueue {
    /// Creates a queue without a job, or with the one that an earlier node left unfinished in `runs`.
    pub fn new(settings: FinetuneSettings, shutdown: Shutdown) -> Self {
        let unfinished = Journal::unfinished(&settings.runs).unwrap_or_else(|problem| {
            tracing::warn!("what was unfinished cannot be taken up: {problem}");
            None
        });
        let job = unfinished.map(|journal| {
            tracing::info!("{}: unfinished, going on", journal.goal.out.display());
            Job {
                goal: journal.goal,
                cancelled: false,
                ended: None,
            }
        });
        Self {
            settings,
            shutdown,
            job: Mutex::new(job),
            called: Condvar::new(),
            status: Mutex::default(),
        }
    }

    /// Parameters of the node.
    pub fn settings(&self) -> &FinetuneSettings {
        &self.settings
    }

    /// Returns whether the node is shutting down.
    pub(super) fn is_ending(&self) -> bool {
        self.shutdown.is_requested()
    }

    /// Returns whether the present goal has been cancelled.
    pub(super) fn is_cancelled(&self) -> bool {
        lock(&self.job).as_ref().is_some_and(|job| job.cancelled)
    }

    /// Status of the present job.
    pub fn status(&self) -> JobStatus {
        lock(&self.status).clone()
    }

    /// Starts a job for a goal, or joins the present job when it has the same goal.
    ///
    /// # Errors
    /// When another goal is being worked on, or the same one is being cancelled.
    pub fn take(&self, goal: &TrainingGoal) -> Result<(), FinetuneError> {
        let mut job = lock(&self.job);
        match &*job {
            Some(present) if present.ended.is_none() && present.goal == *goal && !present.cancelled => return Ok(()),
            Some(present) if present.ended.is_none() => {
                return Err(FinetuneError::Occupied {
                    out: present.goal.out.clone(),
                });
            }
            _ => {}
        }
        *job = Some(Job {
            goal: goal.clone(),
            cancelled: false,
            ended: None,
        });
        self.called.notify_all();
        Ok(())
    }

    /// Cancels a goal; what has been saved of it stays.
    pub fn cancel(&self, goal: &TrainingGoal) {
        if let Some(job) = lock(&self.job).as_mut().filter(|job| job.goal == *goal) {
            job.cancelled = true;
        }
    }

    /// Returns how a goal ended, or `None` while it is being worked on.
    pub fn ended(&self, goal: &TrainingGoal) -> Option<JobOutcome> {
        let job = lock(&self.job);
        let same = job.as_ref().filter(|job| job.goal == *goal);
        same.map_or_else(
            || {
                Some(JobOutcome {
                    state: JobState::Ending,
                    message: "another goal was taken up".to_owned(),
                })
            },
            |job| job.ended.clone(),
        )
    }

    /// Works on goals until the node shuts down.
    pub fn run_jobs(&self) {
        while let Some(goal) = self.next() {
            *lock(&self.status) = JobStatus {
                state: JobState::Training,
                out: goal.out.clone(),
                begun: Some(Instant::now()),
                ..JobStatus::default()
            };
            let ended = self.run_job(&goal).unwrap_or_else(|error| JobOutcome {
                state: JobState::Failed,
                message: error.to_string(),
            });
            // Logged as well: the client that sent the goal may have gone with an earlier node.
            let summary = format!("{}: {}: {}", goal.out.display(), ended.state.label(), ended.message);
            match ended.state {
                JobState::Failed => tracing::error!("{summary}"),
                _ => tracing::info!("{summary}"),
            }
            self.update(|status| {
                (status.state, status.message) = (ended.state, ended.message.clone());
                status.memory_mb = 0.0;
            });
            if let Some(job) = lock(&self.job).as_mut() {
                job.ended = Some(ended);
            }
        }
    }

    /// Waits for a goal; returns `None` when the node shuts down.
    fn next(&self) -> Option<TrainingGoal> {
        let mut job = lock(&self.job);
        loop {
            if self.shutdown.is_requested() {
                return None;
            }
            if let Some(open) = job.as_ref().filter(|job| job.ended.is_none()) {
                return Some(open.goal.clone());
            }
            let waited = self.called.wait_timeout(job, POLL_PERIOD);
            job = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Changes the status of the present job.
    pub(super) fn update(&self, change: impl FnOnce(&mut JobStatus)) {
        change(&mut lock(&self.status));
    }
}

/// Starts the worker thread; the node waits for it on shutdown.
pub fn start(jobs: &Arc<JobQueue>, shutdown: &Shutdown) {
    let jobs = Arc::clone(jobs);
    shutdown.run_beside::<std::convert::Infallible>(move || {
        jobs.run_jobs();
        Ok(())
    });
}
