//! Training run: steps, measurements and checkpoints, until it is complete or stopped.

mod open;
pub mod stages;
mod step;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use tokenizers::Tokenizer;

use crate::contract::Contract;

use super::checkpoint::{CheckpointContent, CheckpointDir, HeldOutText, Notes};
use super::config::TrainingConfig;
use super::curves;
use super::data::loader::Loader;
use super::data::vla_batches::VlaBatches;
use super::distributed::ProcessGroup;
use super::error::RunError;
use super::metrics::{MetricsFile, Scalars};
use super::objective::Objective;
use super::optimiser::Optimiser;
use super::privileged_text::PrivilegedText;
use super::schedule::Schedule;
use super::tensorboard::TensorboardWriter;
use super::validation::Validation;
use super::vlm_stream::VlmStream;
use step::Loaders;

/// Result of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunOutcome {
    /// Number of steps taken in all.
    pub step: u64,
    /// Step at which it was to end.
    pub end: u64,
    /// Last checkpoint.
    pub checkpoint: PathBuf,
    /// Fraction of the time that was spent waiting for data.
    pub data_wait: f64,
    /// Last held-out action error, normalised.
    pub held_out: Option<f64>,
    /// Number of geometry targets that had to be computed; all others were on disk.
    pub targets_made: u64,
    /// Whether it was stopped before its last step.
    pub interrupted: bool,
    /// Loss of held-out answers.
    pub text: HeldOutText,
}

/// Run at some step.
pub struct TrainingRun {
    config: TrainingConfig,
    objective: Objective,
    optimiser: Optimiser,
    schedule: Schedule,
    batch_source: Arc<VlaBatches>,
    vlm_stream: Option<VlmStream>,
    contract: Contract,
    tokenizer: Tokenizer,
    began_with: String,
    checkpoint_dir: CheckpointDir,
    /// Only in the leading process.
    metrics: Option<MetricsFile>,
    ranks: ProcessGroup,
    step: u64,
    held_out: Option<f64>,
    /// Text about each task, with privileged information.
    words: Option<PrivilegedText>,
    text: HeldOutText,
}

impl TrainingRun {
    /// Returns the number of steps taken.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// Trains to the last step, and saves at the end.
    ///
    /// # Errors
    /// When a sample cannot be read, a loss is not finite, or writing fails. Saved checkpoints stay.
    pub fn train(&mut self, max_steps: Option<u64>) -> Result<RunOutcome, RunError> {
        self.train_until(max_steps, &|| false)
    }

    /// Returns the step at which a run ends.
    pub fn end(&self, max_steps: Option<u64>) -> u64 {
        max_steps.map_or(self.config.steps, |max| max.min(self.config.steps))
    }

    /// Trains like [`Self::train`], until `stop` returns true: the current step is then completed and saved.
    ///
    /// # Errors
    /// As for [`Self::train`].
    pub fn train_until(&mut self, max_steps: Option<u64>, stop: &dyn Fn() -> bool) -> Result<RunOutcome, RunError> {
        let end = self.end(max_steps);
        let data = &self.config.data;
        let turns = self.turns();
        let mut loaders = Loaders {
            demonstrations: Loader::start(&self.batch_source, turns, data.workers, data.ahead),
            answers: self.vlm_stream.as_ref().and_then(|vlm_stream| vlm_stream.start(turns)),
        };
        let (leads, out) = (self.ranks.leads(), self.config.out.clone());
        let validation = &self.config.validation;
        let against = (leads && validation.share > 0.0)
            .then(|| Validation::new(&self.batch_source, validation.batches))
            .transpose()?;
        if leads && self.step == 0 {
            self.text.before = self.measure_text()?;
        }
        let bar = if leads {
            progress(end, self.step)
        } else {
            ProgressBar::hidden()
        };
        let mut tensorboard = leads.then(|| TensorboardWriter::create(&out)).transpose()?;
        let (mut waited, begun, mut saved) = (Duration::ZERO, Instant::now(), Instant::now());
        let mut last = self.checkpoint_dir.steps()?.last().copied();
        let mut stopping = self.ranks.any(stop())?;
        while self.step < end && !stopping {
            let mut scalars = self.advance(&mut loaders)?;
            waited += Duration::from_secs_f64(scalars.data_wait_s);
            if self.step.is_multiple_of(self.config.validation.every_steps) || self.step == end {
                self.measure(against.as_ref(), &mut scalars)?;
            }
            if let (Some(metrics), Some(tensorboard)) = (&mut self.metrics, &mut tensorboard) {
                metrics.add(&scalars)?;
                tensorboard.add(self.step, &scalars.named())?;
            }
            bar.set_position(self.step);
            bar.set_message(format!("loss {:.4}  {:.2} s a step", scalars.total, scalars.seconds));
            stopping = self.ranks.any(stop())?;
            if leads && (self.checkpoint_due(saved.elapsed()) || self.step == end || stopping) {
                self.save()?;
                last = Some(self.step);
                saved = Instant::now();
            }
        }
        bar.finish();
        self.draw_curves()?;
        Ok(RunOutcome {
            step: self.step,
            end,
            checkpoint: self.checkpoint_dir.path(last.unwrap_or(self.step)),
            data_wait: waited.as_secs_f64() / begun.elapsed().as_secs_f64().max(f64::MIN_POSITIVE),
            held_out: self.held_out,
            interrupted: self.step < end,
            targets_made: self.batch_source.targets_made(),
            text: self.text,
        })
    }

    /// Measures held-out episodes, and held-out answers in the leading process.
    fn measure(&mut self, against: Option<&Validation>, scalars: &mut Scalars) -> Result<(), RunError> {
        if let Some(against) = against {
            let measure = || against.measure(&self.batch_source, &self.objective, self.step);
            let found = self.optimiser.with_average(measure)?;
            self.held_out = Some(found.action);
            scalars.held_out = Some(found.action);
            scalars.held_out_shuffled = Some(found.shuffled);
            scalars.held_out_constant = Some(found.constant);
        }
        if self.ranks.leads() {
            self.text.now = self.measure_text()?;
            scalars.held_out_text = self.text.now;
        }
        Ok(())
    }

    /// Returns whether the interval of checkpoints is over, this long after the last.
    fn checkpoint_due(&self, since_last: Duration) -> bool {
        let settings = &self.config.checkpoints;
        let minutes = since_last.as_secs_f64() / 60.0;
        let late = settings.every_minutes > 0.0 && minutes >= settings.every_minutes;
        late || self.step.is_multiple_of(settings.every_steps)
    }

    /// Draws the curves of all steps, in the leading process.
    fn draw_curves(&self) -> Result<(), RunError> {
        let Some(metrics) = &self.metrics else { return Ok(()) };
        let path = self.config.out.join(curves::CURVES);
        curves::draw(&metrics.all()?, &path).map_err(RunError::file("draw", &path))
    }

    /// Mean cross-entropy of the tokens of held-out answers, always on the same rows; `None` if none are held out.
    ///
    /// # Errors
    /// When a row cannot be read, or the loss is not finite.
    pub fn measure_text(&self) -> Result<Option<f64>, RunError> {
        let vlm_stream = self.vlm_stream.as_ref();
        let measured = vlm_stream.map(|vlm_stream| {
            let measure = || vlm_stream.measure(&self.objective, self.step);
            self.optimiser.with_average(measure)
        });
        Ok(measured.transpose()?.flatten())
    }

    fn save(&self) -> Result<PathBuf, RunError> {
        let notes = Notes {
            step: self.step,
            held_out: self.held_out,
            text: self.text,
            began_with: self.began_with.clone(),
            ranks: self.ranks.size(),
            words: self.words.as_ref().map(PrivilegedText::answers).unwrap_or_default(),
            version: env!("CARGO_PKG_VERSION").into(),
            config: self.config.clone(),
        };
        self.checkpoint_dir.save(&CheckpointContent {
            notes: &notes,
            objective: &self.objective,
            optimiser: &self.optimiser,
            contract: &self.contract,
            tokenizer: &self.tokenizer,
        })
    }
}

/// Progress bar, which is drawn on terminals only.
fn progress(end: u64, at: u64) -> ProgressBar {
    let bar = ProgressBar::new(end).with_position(at);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len}  {msg}  {eta} left") {
        bar.set_style(style);
    }
    bar.reset_eta();
    bar
}
