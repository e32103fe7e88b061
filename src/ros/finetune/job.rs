//! Work on one goal: memory check, number of steps, the training process, and the journal.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use super::budget;
use super::error::FinetuneError;
use super::goal::{Length, TrainingGoal};
use super::job_queue::JobQueue;
use super::job_status::{JobOutcome, JobState, last_checkpoint};
use super::journal::{GoalState, Journal};
use super::progress::{Progress, Reader};
use super::train_process::{TrainOptions, TrainProcess, end_orphan};
use crate::training::config::TrainingConfig;
use crate::training::metrics::METRICS;

/// Polling period of the training process.
const POLL_PERIOD: Duration = Duration::from_millis(100);
/// Period in which the time spent on a goal is written to the journal.
const JOURNAL_PERIOD: Duration = Duration::from_secs(10);
/// File name of the training configuration, in the directory of a run.
const CONFIG: &str = "train.yaml";
/// Directory of the step time measurement, in the directory of a run.
const STEP_TIME_DIR: &str = ".pace";
/// Number of steps of that measurement; the first initialises libtorch and is not counted.
const PACE_STEPS: u64 = 4;

/// Cause of the end of the training process.
enum End {
    Itself(ExitStatus, String),
    Cancelled,
    Node,
    Time,
}

impl JobQueue {
    /// Works on a goal to its end.
    ///
    /// # Errors
    /// The reason why the goal is refused or has failed.
    pub(super) fn run_job(&self, goal: &TrainingGoal) -> Result<JobOutcome, FinetuneError> {
        let mut journal = match Journal::read(&goal.out)? {
            Some(journal) if journal.goal != *goal => {
                return Err(FinetuneError::OtherGoal { out: goal.out.clone() });
            }
            Some(journal) => journal,
            None => Journal::new(goal.clone()),
        };
        if let Some(left) = journal.trainer.take() {
            end_orphan(&left, self.settings().grace);
        }
        let guess = journal.steps.unwrap_or(PACE_STEPS);
        let fits = budget::fits(&goal.configuration(self.settings(), guess), self.settings())?;
        tracing::info!("{}: needs {fits}", goal.out.display());
        std::fs::create_dir_all(&goal.out).map_err(|source| FinetuneError::Out {
            path: goal.out.clone(),
            source,
        })?;
        journal.standing = GoalState::Open;
        journal.write(&self.settings().runs)?;
        let ended = self.steps(&mut journal).and_then(|steps| match steps {
            Ok(steps) => self.train(&mut journal, steps),
            Err(ended) => Ok(ended),
        });
        journal.trainer = None;
        journal.standing = match ended.as_ref().map(|ended| ended.state) {
            Ok(JobState::Succeeded) => GoalState::Succeeded,
            Ok(JobState::Cancelled) => GoalState::Cancelled,
            Ok(_) => GoalState::Open,
            Err(_) => GoalState::Failed,
        };
        journal.write(&self.settings().runs)?;
        ended
    }

    /// Number of steps of the whole run; for a goal in minutes computed from the measured step time. The inner error is the
    /// end of the goal when it came during the measurement.
    fn steps(&self, journal: &mut Journal) -> Result<Result<u64, JobOutcome>, FinetuneError> {
        let minutes = match (journal.steps, journal.goal.length) {
            (Some(steps), _) | (None, Length::Steps(steps)) => {
                journal.steps = Some(steps);
                return Ok(Ok(steps));
            }
            (None, Length::Minutes(minutes)) => minutes,
        };
        self.update(|status| status.state = JobState::Measuring);
        let mut config = journal.goal.configuration(self.settings(), PACE_STEPS);
        config.out = journal.goal.out.join(STEP_TIME_DIR);
        config.validation.share = 0.0;
        let remove = |path: &Path| match std::fs::remove_dir_all(path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(FinetuneError::file("remove", path, e)),
            _ => Ok(()),
        };
        remove(&config.out)?;
        let begun = Instant::now();
        match self.run(&config, journal, None)? {
            End::Itself(status, _) if status.success() => {}
            end => return self.interrupted(end, journal).map(Err),
        }
        let lines: Vec<f64> = self.status().progress.recent_s().collect();
        self.update(|status| status.progress = Progress::default());
        remove(&config.out)?;
        let counted = lines.get(1..).unwrap_or_default();
        let step_s = counted.iter().sum::<f64>() / counted.len().max(1) as f64;
        let took = begun.elapsed().as_secs_f64();
        // The run will load the checkpoint and save once more, as the measurement did.
        let beside = took - lines.iter().sum::<f64>();
        let left = minutes * 60.0 - journal.spent_s - beside;
        if !(step_s > 0.0 && left >= step_s) {
            return Err(FinetuneError::Minutes {
                minutes,
                loading_s: beside,
                step_s,
            });
        }
        let steps = (left / step_s) as u64;
        tracing::info!("{step_s:.2} s a step: {steps} steps in {minutes} minutes");
        journal.steps = Some(steps);
        journal.write(&self.settings().runs)?;
        Ok(Ok(steps))
    }

    fn train(&self, journal: &mut Journal, steps: u64) -> Result<JobOutcome, FinetuneError> {
        let config = journal.goal.configuration(self.settings(), steps);
        self.update(|status| {
            status.state = JobState::Training;
            status.steps = steps;
            status.samples = (config.data.batch * config.data.accumulate) as u64;
        });
        let until = match journal.goal.length {
            Length::Steps(_) => None,
            Length::Minutes(minutes) => {
                let left = (minutes * 60.0 - journal.spent_s).max(0.0);
                Some(Instant::now() + Duration::from_secs_f64(left))
            }
        };
        let end = self.run(&config, journal, until)?;
        let step = self.status().progress.step();
        let saved = last_checkpoint(&journal.goal.out);
        self.update(|status| status.checkpoint.clone_from(&saved));
        match end {
            End::Itself(status, _) if status.success() => Ok(JobOutcome {
                state: JobState::Succeeded,
                message: format!("{step} steps"),
            }),
            End::Time if saved.is_some() => Ok(JobOutcome {
                state: JobState::Succeeded,
                message: format!("the time was over after {step} of {steps} steps"),
            }),
            End::Time => Err(FinetuneError::TimeOver),
            end => self.interrupted(end, journal),
        }
    }

    /// Result of a goal whose training was ended early or failed.
    fn interrupted(&self, end: End, journal: &Journal) -> Result<JobOutcome, FinetuneError> {
        let saved = match last_checkpoint(&journal.goal.out) {
            Some(path) => format!("the same goal goes on from {}", path.display()),
            None => "nothing was saved yet: the same goal begins anew".to_owned(),
        };
        match end {
            End::Itself(_, output) => Err(FinetuneError::Training { output, saved }),
            End::Cancelled => Ok(JobOutcome {
                state: JobState::Cancelled,
                message: format!("cancelled; {saved}"),
            }),
            End::Time | End::Node => Ok(JobOutcome {
                state: JobState::Ending,
                message: "the node ends; started again it goes on".to_owned(),
            }),
        }
    }

    /// Runs the training process until it ends, the goal is cancelled, the node shuts down, or `until` has passed.
    fn run(
        &self,
        config: &TrainingConfig,
        journal: &mut Journal,
        until: Option<Instant>,
    ) -> Result<End, FinetuneError> {
        let out = &config.out;
        let mut process = TrainProcess::start(&TrainOptions {
            config: &write_configuration(config)?,
            out,
            niceness: self.settings().niceness,
        })?;
        journal.trainer.clone_from(&process.trainer);
        journal.write(&self.settings().runs)?;
        let mut reader = Reader::new(&out.join(METRICS));
        let mut progress = self.status().progress;
        let (begun, before) = (Instant::now(), journal.spent_s);
        let mut noted = begun;
        let end = loop {
            journal.spent_s = before + begun.elapsed().as_secs_f64();
            if noted.elapsed() > JOURNAL_PERIOD {
                journal.write(&self.settings().runs)?;
                noted = Instant::now();
            }
            // Files are read without the lock, which callbacks take too.
            reader.read(&mut progress);
            let (memory_mb, checkpoint) = (process.memory_mb(), last_checkpoint(out));
            self.update(|status| {
                status.progress.clone_from(&progress);
                status.memory_mb = memory_mb.unwrap_or(status.memory_mb);
                if status.state == JobState::Training {
                    status.checkpoint = checkpoint;
                }
            });
            if let Some(status) = process.ended()? {
                let words = process.final_output(status);
                break End::Itself(status, words);
            }
            let cancelled = self.is_cancelled();
            let over = until.is_some_and(|until| Instant::now() >= until);
            let end = match (self.is_ending(), cancelled, over) {
                (true, ..) => End::Node,
                (_, true, _) => End::Cancelled,
                (.., true) => End::Time,
                _ => {
                    std::thread::sleep(POLL_PERIOD);
                    continue;
                }
            };
            self.update(|status| status.state = JobState::Ending);
            process.end(self.settings().grace);
            break end;
        };
        reader.read(&mut progress);
        self.update(|status| status.progress = progress);
        journal.trainer = None;
        Ok(end)
    }
}

/// Writes a training configuration into the directory of its run, which is created if needed; returns the file.
fn write_configuration(config: &TrainingConfig) -> Result<PathBuf, FinetuneError> {
    let file = config.out.join(CONFIG);
    let text = serde_saphyr::to_string(config).map_err(|e| FinetuneError::write(&file, &e))?;
    let written = std::fs::create_dir_all(&config.out).and_then(|()| std::fs::write(&file, text));
    written.map_err(|e| FinetuneError::write(&file, &e))?;
    Ok(file)
}
