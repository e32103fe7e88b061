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
use crate::model::variant::chosen;

use super::batch::{Counts, VlaBatch, VlmBatch};
use super::checkpoint::{HeldOutText, Notes, Saved, Shelf};
use super::config::TrainingConfig;
use super::curves;
use super::data::feed::{Feed, Teachers};
use super::data::loader::{Loader, Turns};
use super::data::mixture::Mixture;
use super::error::StepError;
use super::events::Events;
use super::geometry;
use super::language::{self, Language};
use super::method::Method;
use super::metrics::{Metrics, Scalars};
use super::optimiser::Optimiser;
use super::privileged::Words;
use super::ranks::Ranks;
use super::run_error::RunError;
use super::schedule::Schedule;
use super::settings::Distill;
use super::validation::Validation;

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
    /// Geometry targets that had to be made; all others were on disk.
    pub targets_made: u64,
    /// Whether it was stopped before its last step.
    pub interrupted: bool,
    /// Loss of held-out answers.
    pub text: HeldOutText,
}

/// Batches of a step on their way.
struct Loaders {
    demonstrations: Loader<VlaBatch>,
    answers: Option<Loader<VlmBatch>>,
}

/// A run at some step.
pub struct Run {
    config: TrainingConfig,
    method: Method,
    optimiser: Optimiser,
    schedule: Schedule,
    feed: Arc<Feed>,
    language: Option<Language>,
    contract: Contract,
    tokenizer: Tokenizer,
    began_with: String,
    shelf: Shelf,
    /// Kept by the leading process alone.
    metrics: Option<Metrics>,
    ranks: Ranks,
    step: u64,
    held_out: Option<f64>,
    /// What is known about each task, with privileged information.
    words: Option<Words>,
    text: HeldOutText,
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
        let ranks = Ranks::of_environment()?;
        let placement = Placement {
            device: ranks.place(config.device().map_err(refuse)?.resolve()?),
            compute: config.compute,
        };
        let shelf = Shelf::open(&config.out, config.checkpoints.keep)?;
        let last = shelf.steps()?.last().copied();
        if last.is_some() && !resume {
            let message = "expected a directory without checkpoints; go on with --resume, or name another with --out";
            return Err(RunError::file("begin in", &config.out)(message));
        }
        let manifest = Manifest::read(&config.checkpoint, &Options::default())?;
        let network = chosen(manifest.config()?, &config.choices())?;
        let mixture = Mixture::open(&config.data.datasets, manifest.contract()?)?;
        let samplers = mixture.samplers(config.seed, config.validation.share)?;
        let mut contract = mixture.contract().clone();
        contract.model = Some(Model {
            chunk_len: network.thinkvla.chunk_len as usize,
            weights: config.name.clone(),
        });
        let prompter = Prompter::new(manifest.tokenizer.clone(), &network)?;
        let aligned = network.thinkvla.geometry.as_ref();
        let aligned = aligned.filter(|_| config.method.geometry_weight != 0.0);
        let geometry = aligned.map(|of| geometry::open(&config.geometry, of.width, placement, file));
        let geometry = geometry.transpose()?;
        let reasoning = match config.method.distill {
            Distill::None | Distill::Privileged => false,
            Distill::Anchor => network.thinkvla.reasoning.as_ref().is_some_and(|of| of.adapter),
        };
        let drawn = (config.data.clone(), config.seed);
        let teachers = Teachers { reasoning, geometry };
        let feed = Feed::new((mixture, samplers), (prompter, &network), drawn, teachers);
        let selected = (&config.selection, config.seed);
        let words = match config.method.distill {
            Distill::Privileged if ranks.size() > 1 => {
                let message = format!(
                    "method.distill: expected none or anchor with {} processes, since each would ask about other scenes, \
                     found privileged",
                    ranks.size()
                );
                return Err(refuse(message));
            }
            Distill::Privileged => Some(Words::new(
                (&config.checkpoint, &manifest.tokenizer),
                &network,
                &config.method,
            )?),
            Distill::None | Distill::Anchor => None,
        };
        let built = manifest.trainable_as(&network, placement, selected)?;
        let language = Language::open(&config, &manifest, &network)?;
        let method = Method::new(built, network, config.method.clone())?;
        if let Some(language) = &language {
            language.check(&method, file)?;
        }
        let optimiser = Optimiser::new(method.parameters(), config.optimiser.clone())?;
        let rates = &config.optimiser.learning_rates;
        let mut run = Self {
            schedule: Schedule::new(&config.schedule, rates, config.steps),
            feed: Arc::new(feed),
            began_with: manifest.files.hash(),
            tokenizer: manifest.tokenizer,
            metrics: ranks
                .leads()
                .then(|| Metrics::open(&config.out, last.unwrap_or(0)))
                .transpose()?,
            ranks,
            step: 0,
            held_out: None,
            words,
            text: HeldOutText::default(),
            language,
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
        let (was, is) = (
            notes.ranks * notes.config.data.accumulate,
            self.ranks.size() * self.config.data.accumulate,
        );
        if was != is {
            let message = format!(
                "expected processes times data.accumulate to be {was}, as when the run began, found {} times {}",
                self.ranks.size(),
                self.config.data.accumulate
            );
            return Err(RunError::file("resume", &path)(message));
        }
        if let Some(field) = differs(&notes.config, &self.config) {
            let message = format!("{field} is not what it was; resume with the configuration that began the run");
            return Err(RunError::file("resume", &path)(message));
        }
        self.shelf.restore(step, &self.method, &mut self.optimiser)?;
        (self.step, self.held_out, self.text) = (notes.step, notes.held_out, notes.text);
        if let Some(words) = &mut self.words {
            words.restore(notes.words);
        }
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
        self.train_until(max_steps, &|| false)
    }

    /// The step that a run ends at.
    pub fn end(&self, max_steps: Option<u64>) -> u64 {
        max_steps.map_or(self.config.steps, |max| max.min(self.config.steps))
    }

    /// [`Self::train`], until `stop` says so: the step it is at is ended and saved.
    ///
    /// # Errors
    /// As there.
    pub fn train_until(&mut self, max_steps: Option<u64>, stop: &dyn Fn() -> bool) -> Result<Outcome, RunError> {
        let end = self.end(max_steps);
        let data = &self.config.data;
        let turns = self.turns();
        let mut loaders = Loaders {
            demonstrations: Loader::start(&self.feed, turns, data.workers, data.ahead),
            answers: self.language.as_ref().and_then(|language| language.start(turns)),
        };
        let (leads, out) = (self.ranks.leads(), self.config.out.clone());
        let validation = &self.config.validation;
        let against = (leads && validation.share > 0.0)
            .then(|| Validation::new(&self.feed, validation.batches))
            .transpose()?;
        if leads && self.step == 0 {
            self.text.before = self.measure_text()?;
        }
        let bar = if leads {
            progress(end, self.step)
        } else {
            ProgressBar::hidden()
        };
        let mut events = leads.then(|| Events::create(&out)).transpose()?;
        let (mut waited, begun, mut saved) = (Duration::ZERO, Instant::now(), Instant::now());
        let mut last = self.shelf.steps()?.last().copied();
        let mut stopping = self.ranks.any(stop())?;
        while self.step < end && !stopping {
            let mut scalars = self.advance(&mut loaders)?;
            waited += Duration::from_secs_f64(scalars.data_wait_s);
            let validation = &self.config.validation;
            let due = self.step.is_multiple_of(validation.every_steps) || self.step == end;
            if let Some(against) = against.as_ref().filter(|_| due) {
                let found = against.measure(&self.feed, &self.method, self.step)?;
                self.held_out = Some(found.action);
                scalars.held_out = Some(found.action);
                scalars.held_out_shuffled = Some(found.shuffled);
                scalars.held_out_constant = Some(found.constant);
            }
            if leads && due {
                self.text.now = self.measure_text()?;
                scalars.held_out_text = self.text.now;
            }
            if let (Some(metrics), Some(events)) = (&mut self.metrics, &mut events) {
                metrics.add(&scalars)?;
                events.add(self.step, &scalars.named())?;
            }
            bar.set_position(self.step);
            bar.set_message(format!("loss {:.4}  {:.2} s a step", scalars.total, scalars.seconds));
            let settings = &self.config.checkpoints;
            let minutes = saved.elapsed().as_secs_f64() / 60.0;
            let late = settings.every_minutes > 0.0 && minutes >= settings.every_minutes;
            stopping = self.ranks.any(stop())?;
            let due = self.step.is_multiple_of(settings.every_steps) || late || self.step == end || stopping;
            if leads && due {
                self.save()?;
                last = Some(self.step);
                saved = Instant::now();
            }
        }
        bar.finish();
        if let Some(metrics) = &self.metrics {
            let path = self.config.out.join(curves::CURVES);
            curves::draw(&metrics.all()?, &path).map_err(RunError::file("draw", &path))?;
        }
        Ok(Outcome {
            step: self.step,
            checkpoint: self.shelf.path(last.unwrap_or(self.step)),
            data_wait: waited.as_secs_f64() / begun.elapsed().as_secs_f64().max(f64::MIN_POSITIVE),
            held_out: self.held_out,
            interrupted: self.step < end,
            targets_made: self.feed.targets_made(),
            text: self.text,
        })
    }

    fn advance(&mut self, loaders: &mut Loaders) -> Result<Scalars, RunError> {
        let begun = Instant::now();
        let number = self.config.data.accumulate;
        let mut batches: Vec<VlaBatch> = (0..number)
            .map(|_| loaders.demonstrations.take())
            .collect::<Result<_, _>>()?;
        let answers: Vec<VlmBatch> = match &mut loaders.answers {
            Some(answers) => (0..number).map(|_| answers.take()).collect::<Result<_, _>>()?,
            None => Vec::new(),
        };
        let wait = begun.elapsed();
        let at = self.step;
        let failed = |source: StepError| RunError::Step { step: at, source };
        let turns = self.turns();
        if let Some(words) = &mut self.words {
            words.forget_old(at);
            for (batch, turn) in batches.iter_mut().zip(0..) {
                let number = turns.first + turn * turns.every;
                words.teach(&self.method, (&self.feed, number), batch)?;
            }
        }
        let mut totals = Counts::default();
        for batch in &batches {
            totals = totals + batch.counts()?;
        }
        totals = answers.iter().fold(totals, |totals, batch| totals + batch.counts());
        let totals = self.ranks.count(totals)?;
        let mut scalars = Scalars::default();
        for batch in &batches {
            let losses = self.method.vla(batch, &totals).map_err(failed)?;
            self.method.differentiate(&losses).map_err(failed)?;
            scalars.action += value(&losses.action)?;
            scalars.total += value(&losses.total)?;
            if let Some(loss) = &losses.geometry {
                *scalars.geometry.get_or_insert(0.0) += value(loss)?;
            }
            if let Some(loss) = &losses.reasoning {
                *scalars.reasoning.get_or_insert(0.0) += value(loss)?;
            }
            // Of the last of the step's batches.
            scalars.cosine = losses.diagnostics.cosine;
            scalars.teacher_variance = losses.diagnostics.teacher_variance;
        }
        for answers in &answers {
            let learned = language::learn(&self.method, answers, &totals).map_err(failed)?;
            *scalars.text.get_or_insert(0.0) += learned.cross_entropy;
            scalars.total += learned.total;
        }
        self.ranks.gradients(self.method.parameters())?;
        self.sum_losses(&mut scalars)?;
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

    /// Which batches are this process's: with N processes each takes every N-th.
    fn turns(&self) -> Turns {
        let size = self.ranks.size() as u64;
        Turns {
            first: self.step * self.config.data.accumulate as u64 * size + self.ranks.rank() as u64,
            every: size,
        }
    }

    /// Losses were divided by the counts of the whole, so that those of the whole are sums over the processes.
    fn sum_losses(&self, scalars: &mut Scalars) -> Result<(), RunError> {
        let there = |loss: Option<f64>| f64::from(u8::from(loss.is_some()));
        let mut sums = [
            scalars.action,
            scalars.total,
            scalars.geometry.unwrap_or_default(),
            there(scalars.geometry),
            scalars.reasoning.unwrap_or_default(),
            there(scalars.reasoning),
            scalars.text.unwrap_or_default(),
        ];
        self.ranks.sum(&mut sums)?;
        let [action, total, geometry, aligned, reasoning, distilled, text] = sums;
        (scalars.action, scalars.total) = (action, total);
        scalars.geometry = (aligned > 0.0).then_some(geometry);
        scalars.reasoning = (distilled > 0.0).then_some(reasoning);
        scalars.text = scalars.text.map(|_| text);
        Ok(())
    }

    /// Mean cross-entropy of held-out answers' tokens, always the same rows; nothing where none are held out.
    ///
    /// # Errors
    /// When a row cannot be read, or the loss is not a number.
    pub fn measure_text(&self) -> Result<Option<f64>, RunError> {
        let language = self.language.as_ref();
        let measured = language.map(|language| language.measure(&self.method, self.step));
        Ok(measured.transpose()?.flatten())
    }

    fn save(&self) -> Result<PathBuf, RunError> {
        let notes = Notes {
            step: self.step,
            held_out: self.held_out,
            text: self.text,
            began_with: self.began_with.clone(),
            ranks: self.ranks.size(),
            words: self.words.as_ref().map(Words::said).unwrap_or_default(),
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
        ("network", was.network == is.network),
        ("selection", was.selection == is.selection),
        ("method", was.method == is.method),
        ("geometry.vggt", was.geometry.vggt == is.geometry.vggt),
        ("geometry.compute", was.geometry.compute == is.geometry.compute),
        ("geometry.rule", was.geometry.rule == is.geometry.rule),
        ("optimiser", was.optimiser == is.optimiser),
        ("schedule", was.schedule == is.schedule),
        ("data.datasets", was.data.datasets == is.data.datasets),
        ("data.batch", was.data.batch == is.data.batch),
        ("data.learn_padding", was.data.learn_padding == is.data.learn_padding),
        ("data.drop_geometry", was.data.drop_geometry == is.data.drop_geometry),
        ("data.drop_reasoning", was.data.drop_reasoning == is.data.drop_reasoning),
        ("text", was.text.learned() == is.text.learned()),
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
