//! A training run: batches in, steps, measurements and checkpoints, until it is done or killed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use tch::Tensor;
use tokenizers::Tokenizer;

use crate::contract::{Contract, Model};
use crate::model::checkpoint::{Manifest, Options, Placement};
use crate::model::device::set_threads;
use crate::model::prompt::Prompter;

use super::batch::{Counts, VlaBatch};
use super::checkpoint::{Notes, Saved, Shelf};
use super::config::TrainingConfig;
use super::curves;
use super::data::feed::{Feed, Side};
use super::data::loader::Loader;
use super::data::mixture::Mixture;
use super::error::StepError;
use super::events::Events;
use super::method::Method;
use super::metrics::{Metrics, Scalars};
use super::optimiser::Optimiser;
use super::run_error::RunError;
use super::schedule::Schedule;
use super::settings::Distill;

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Steps taken in all.
    pub step: u64,
    /// The last checkpoint.
    pub checkpoint: PathBuf,
    /// Share of the time that was spent waiting for data.
    pub data_wait: f64,
    /// Last held-out action error, normalised.
    pub held_out: Option<f64>,
}

/// A run at some step.
pub struct Run {
    config: TrainingConfig,
    method: Method,
    optimiser: Optimiser,
    schedule: Schedule,
    feed: Arc<Feed>,
    contract: Contract,
    tokenizer: Tokenizer,
    began_with: String,
    shelf: Shelf,
    metrics: Metrics,
    step: u64,
    held_out: Option<f64>,
}

impl Run {
    /// Opens everything that the configuration names; `file` is what errors call it.
    ///
    /// # Errors
    /// When the configuration cannot work, the data does not fit the checkpoint, or `out` holds another run.
    pub fn open(config: TrainingConfig, file: &Path, resume: bool) -> Result<Self, RunError> {
        config.validate(file)?;
        let refuse = |message: String| RunError::Config {
            path: file.to_owned(),
            message,
        };
        if let Some(threads) = config.threads {
            set_threads(threads);
        }
        let placement = Placement {
            device: config.device().map_err(refuse)?.resolve()?,
            compute: config.compute,
        };
        let shelf = Shelf::open(&config.out, config.checkpoints.keep)?;
        let last = shelf.steps()?.last().copied();
        if last.is_some() && !resume {
            let message = "expected a directory without checkpoints; go on with --resume, or name another with --out";
            return Err(RunError::file("begin in", &config.out)(message));
        }
        let manifest = Manifest::read(&config.checkpoint, &Options::default())?;
        let network = manifest.config()?;
        if network.thinkvla.geometry.is_some() && config.method.geometry_weight != 0.0 {
            let found = config.method.geometry_weight;
            return Err(refuse(format!(
                "method.geometry_weight: expected 0, since this program makes no geometry targets to align with yet, \
                 found {found}"
            )));
        }
        let mixture = Mixture::open(&config.data.datasets, manifest.contract()?)?;
        let samplers = mixture.samplers(config.seed, config.validation.share)?;
        let mut contract = mixture.contract().clone();
        contract.model = Some(Model {
            chunk_len: network.thinkvla.chunk_len as usize,
            weights: config.name.clone(),
        });
        let prompter = Prompter::new(manifest.tokenizer.clone(), &network)?;
        let taught = match config.method.distill {
            Distill::None => false,
            Distill::Anchor => network.thinkvla.reasoning.as_ref().is_some_and(|of| of.adapter),
            Distill::Privileged => {
                let message = "method.distill: expected none or anchor, since datasets hold no words about their \
                               scenes, found privileged";
                return Err(refuse(message.into()));
            }
        };
        let drawn = (config.data.clone(), config.seed);
        let feed = Feed::new((mixture, samplers), (prompter, &network), drawn, taught);
        let built = manifest.trainable(placement, &config.selection, config.seed)?;
        let method = Method::new(built, network, config.method.clone())?;
        let optimiser = Optimiser::new(method.parameters(), config.optimiser.clone())?;
        let rates = &config.optimiser.learning_rates;
        let mut run = Self {
            schedule: Schedule::new(&config.schedule, rates, config.steps),
            feed: Arc::new(feed),
            began_with: manifest.files.hash(),
            tokenizer: manifest.tokenizer,
            metrics: Metrics::open(&config.out, last.unwrap_or(0))?,
            step: 0,
            held_out: None,
            config,
            method,
            optimiser,
            contract,
            shelf,
        };
        if let Some(last) = last {
            run.take_up(last)?;
        }
        Ok(run)
    }

    /// Goes on from a checkpoint of this run.
    fn take_up(&mut self, step: u64) -> Result<(), RunError> {
        let notes = self.shelf.notes(step)?;
        let path = self.shelf.path(step);
        if notes.began_with != self.began_with {
            let message = format!(
                "expected a run that began with the weights {}, found one of {}; name the same checkpoint",
                self.began_with, notes.began_with
            );
            return Err(RunError::file("resume", &path)(message));
        }
        if let Some(field) = differs(&notes.config, &self.config) {
            let message = format!("{field} is not what it was; resume with the configuration that began the run");
            return Err(RunError::file("resume", &path)(message));
        }
        self.shelf.restore(step, &self.method, &mut self.optimiser)?;
        (self.step, self.held_out) = (notes.step, notes.held_out);
        Ok(())
    }

    /// Steps taken.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// Trains, and saves at the end.
    ///
    /// # Errors
    /// When a sample cannot be read, a loss is not a number, or the disk refuses. What was saved stays.
    pub fn train(&mut self, max_steps: Option<u64>) -> Result<Outcome, RunError> {
        let end = max_steps.map_or(self.config.steps, |max| max.min(self.config.steps));
        let data = &self.config.data;
        let from = self.step * data.accumulate as u64;
        let mut loader = Loader::start(&self.feed, from, data.workers, data.ahead);
        let bar = progress(end, self.step);
        let mut events = Events::create(&self.config.out)?;
        let (mut waited, begun, mut saved) = (Duration::ZERO, Instant::now(), Instant::now());
        let mut last = self.shelf.steps()?.last().copied();
        while self.step < end {
            let mut scalars = self.advance(&mut loader)?;
            waited += Duration::from_secs_f64(scalars.data_wait_s);
            let validation = &self.config.validation;
            if validation.share > 0.0 && (self.step.is_multiple_of(validation.every_steps) || self.step == end) {
                self.held_out = Some(self.measure()?);
                scalars.held_out = self.held_out;
            }
            self.metrics.add(&scalars)?;
            events.add(self.step, &scalars.named())?;
            bar.set_position(self.step);
            bar.set_message(format!("loss {:.4}  {:.2} s a step", scalars.total, scalars.seconds));
            let settings = &self.config.checkpoints;
            let minutes = saved.elapsed().as_secs_f64() / 60.0;
            let late = settings.every_minutes > 0.0 && minutes >= settings.every_minutes;
            if self.step.is_multiple_of(settings.every_steps) || late || self.step == end {
                self.save()?;
                last = Some(self.step);
                saved = Instant::now();
            }
        }
        bar.finish();
        let path = self.config.out.join(curves::CURVES);
        curves::draw(&self.metrics.all()?, &path).map_err(RunError::file("draw", &path))?;
        Ok(Outcome {
            step: self.step,
            checkpoint: self.shelf.path(last.unwrap_or(self.step)),
            data_wait: waited.as_secs_f64() / begun.elapsed().as_secs_f64().max(f64::MIN_POSITIVE),
            held_out: self.held_out,
        })
    }

    fn advance(&mut self, loader: &mut Loader) -> Result<Scalars, RunError> {
        let begun = Instant::now();
        let number = self.config.data.accumulate;
        let batches: Vec<VlaBatch> = (0..number).map(|_| loader.take()).collect::<Result<_, _>>()?;
        let wait = begun.elapsed();
        let at = self.step;
        let failed = |source: StepError| RunError::Step { step: at, source };
        let mut totals = Counts::default();
        for batch in &batches {
            totals = totals + batch.counts()?;
        }
        let mut scalars = Scalars::default();
        for batch in &batches {
            let losses = self.method.vla(batch, &totals).map_err(failed)?;
            losses.total.f_backward()?;
            scalars.action += value(&losses.action)?;
            scalars.total += value(&losses.total)?;
            if let Some(loss) = &losses.reasoning {
                *scalars.reasoning.get_or_insert(0.0) += value(loss)?;
            }
            // Of the last of the step's batches.
            scalars.cosine = losses.diagnostics.cosine;
            scalars.teacher_variance = losses.diagnostics.teacher_variance;
        }
        let factor = self.schedule.factor(self.step);
        let norms = self.optimiser.step(factor).map_err(failed)?;
        self.step += 1;
        Ok(Scalars {
            step: self.step,
            gradient_norm: norms.total,
            gradient_norms: norms.groups,
            learning_rates: self.optimiser.rates(factor),
            seconds: begun.elapsed().as_secs_f64(),
            data_wait_s: wait.as_secs_f64(),
            ..scalars
        })
    }

    /// Mean error of normalised actions on held-out episodes: always the same rows.
    ///
    /// # Errors
    /// When a sample cannot be read, or the error is not a number.
    pub fn measure(&self) -> Result<f64, RunError> {
        let _no_grad = tch::no_grad_guard();
        let mut readers = self.feed.readers()?;
        let (mut sum, mut count) = (0.0, 0.0);
        for number in 0..self.config.validation.batches {
            let batch = self.feed.batch(Side::HeldOut, number, &mut readers)?;
            let counts = batch.counts()?;
            let losses = self.method.vla(&batch, &counts).map_err(|source| RunError::Step {
                step: self.step,
                source,
            })?;
            sum += value(&losses.action)? * counts.actions;
            count += counts.actions;
        }
        Ok(sum / count)
    }

    fn save(&self) -> Result<PathBuf, RunError> {
        let notes = Notes {
            step: self.step,
            held_out: self.held_out,
            began_with: self.began_with.clone(),
            version: env!("CARGO_PKG_VERSION").into(),
            config: self.config.clone(),
        };
        self.shelf.save(&Saved {
            notes: &notes,
            method: &self.method,
            optimiser: &self.optimiser,
            contract: &self.contract,
            tokenizer: &self.tokenizer,
        })
    }
}

fn value(loss: &Tensor) -> Result<f64, tch::TchError> {
    loss.f_double_value(&[])
}

/// The first part that decides what is learned and is not the same.
fn differs(was: &TrainingConfig, is: &TrainingConfig) -> Option<&'static str> {
    let parts = [
        ("steps", was.steps == is.steps),
        ("seed", was.seed == is.seed),
        ("compute", was.compute == is.compute),
        ("selection", was.selection == is.selection),
        ("method", was.method == is.method),
        ("optimiser", was.optimiser == is.optimiser),
        ("schedule", was.schedule == is.schedule),
        ("data.datasets", was.data.datasets == is.data.datasets),
        ("data.batch", was.data.batch == is.data.batch),
        ("data.accumulate", was.data.accumulate == is.data.accumulate),
        ("data.learn_padding", was.data.learn_padding == is.data.learn_padding),
        ("data.drop_geometry", was.data.drop_geometry == is.data.drop_geometry),
        ("data.drop_reasoning", was.data.drop_reasoning == is.data.drop_reasoning),
        ("validation.share", was.validation.share == is.validation.share),
    ];
    parts.into_iter().find(|(_, same)| !same).map(|(field, _)| field)
}

/// Drawn on terminals only.
fn progress(end: u64, at: u64) -> ProgressBar {
    let bar = ProgressBar::new(end).with_position(at);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len}  {msg}  {eta} left") {
        bar.set_style(style);
    }
    bar.reset_eta();
    bar
}
