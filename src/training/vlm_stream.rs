//! Second stream of a run: questions and answers, so that the network keeps its language.

use std::path::Path;
use std::sync::Arc;

use crate::model::checkpoint::Manifest;
use crate::model::checkpoint::weights::is_backbone;
use crate::model::config::Config;

use super::batch::{LossCounts, VlmBatch};
use super::config::TrainingConfig;
use super::data::loader::{BatchSequence, Batches, Loader};
use super::data::preflight;
use super::data::text::vlm_batches::VlmBatches;
use super::data::vla_batches::Side;
use super::error::RunError;
use super::error::StepError;
use super::objective::Objective;

/// Stream of questions and answers.
#[derive(Debug)]
pub struct VlmStream {
    batch_source: Arc<VlmBatches>,
    /// Whether answers are learned; otherwise they are only measured.
    learned: bool,
    /// Number of batches of a measurement.
    measured: u64,
    workers: usize,
    ahead: usize,
}

/// Losses of a batch of answers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AnswerLosses {
    /// Cross-entropy, a mean over the tokens that are learned.
    pub cross_entropy: f64,
    /// Weighted cross-entropy.
    pub total: f64,
}

impl VlmStream {
    /// Opens the sources of a configuration; `None` if it has none.
    ///
    /// # Errors
    /// When a source cannot be used.
    pub fn open(config: &TrainingConfig, manifest: &Manifest, network: &Config) -> Result<Option<Self>, RunError> {
        let settings = &config.text;
        if settings.sources.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self {
            batch_source: Arc::new(VlmBatches::open(settings, config.seed, manifest, network)?),
            learned: config.method.text_weight != 0.0,
            measured: settings.held_out_batches,
            workers: settings.workers,
            ahead: settings.ahead,
        }))
    }

    /// Refuses a run that would learn answers without trained weights or sources for it; `file` is the configuration,
    /// for messages.
    ///
    /// # Errors
    /// When it would; says what to change.
    pub fn check(&self, objective: &Objective, file: &Path) -> Result<(), RunError> {
        let speaks = objective.parameters().trained().any(|one| is_backbone(&one.key));
        let message = match (self.learned, speaks, self.batch_source.rows(Side::Trained)) {
            (true, false, _) => {
                "method.text_weight: expected 0, since the selection trains nothing of Qwen3-VL that answers could \
                 change, found another; train everything, differences of low rank or a part of the language model"
            }
            (true, true, 0) => {
                "text.sources: expected one that is trained on, since method.text_weight is not 0, found only sources \
                 that are held out"
            }
            _ => return Ok(()),
        };
        Err(RunError::config(file, message))
    }

    /// Checks every conversation.
    ///
    /// # Errors
    /// When some cannot be learned from; names them.
    pub fn require_answers(&self) -> Result<(), RunError> {
        preflight::require_answers(&self.batch_source)
    }

    /// Starts a loader with one batch for each batch of demonstrations; `None` if answers are only measured. Batch
    /// numbers are all that is needed to resume.
    pub fn start(&self, turns: BatchSequence) -> Option<Loader<VlmBatch>> {
        self.learned
            .then(|| Loader::start(&self.batch_source, turns, self.workers, self.ahead))
    }

    /// Mean cross-entropy of the tokens of held-out answers, always on the same rows; `None` if none are held out.
    ///
    /// # Errors
    /// When a row cannot be read, or the loss is not finite.
    pub fn measure(&self, objective: &Objective, step: u64) -> Result<Option<f64>, RunError> {
        if self.batch_source.rows(Side::HeldOut) == 0 {
            return Ok(None);
        }
        let _no_grad = tch::no_grad_guard();
        let mut readers = self.batch_source.readers()?;
        let (mut sum, mut count) = (0.0, 0.0);
        for number in 0..self.measured {
            let batch = self.batch_source.batch(Side::HeldOut, number, &mut readers)?;
            let counts = batch.counts();
            let failed = |source| RunError::Step { step, source };
            let loss = objective.vlm(&batch, &counts).map_err(failed)?;
            sum += loss.cross_entropy.f_double_value(&[])? * counts.tokens;
            count += counts.tokens;
        }
        Ok(Some(sum / count))
    }
}

/// Adds the gradients of answers to the existing ones; means are over `totals`, the counts of the whole step.
///
/// # Errors
/// When the batch does not fit the network, or the loss is not finite.
pub fn learn(objective: &Objective, batch: &VlmBatch, totals: &LossCounts) -> Result<AnswerLosses, StepError> {
    let loss = objective.vlm(batch, totals)?;
    // Text without images changes nothing if only the vision tower is trained.
    if loss.total.requires_grad() {
        objective.differentiate_text(&loss)?;
    }
    Ok(AnswerLosses {
        cross_entropy: loss.cross_entropy.f_double_value(&[])?,
        total: loss.total.f_double_value(&[])?,
    })
}
