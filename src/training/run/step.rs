//! One step of a run: batches, losses, gradients of all processes, an update.

use std::time::Instant;

use tch::Tensor;

use crate::training::batch::{LossCounts, VlaBatch, VlmBatch};
use crate::training::data::loader::{BatchSequence, Loader};
use crate::training::error::RunError;
use crate::training::error::StepError;
use crate::training::metrics::Scalars;
use crate::training::objective::Losses;
use crate::training::projection_similarity::Similarity;
use crate::training::vlm_stream;

use super::TrainingRun;

/// Loaders of the batches of a step.
pub(super) struct Loaders {
    pub(super) demonstrations: Loader<VlaBatch>,
    pub(super) answers: Option<Loader<VlmBatch>>,
}

impl TrainingRun {
    pub(super) fn advance(&mut self, loaders: &mut Loaders) -> Result<Scalars, RunError> {
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
                words.teach(&self.objective, &self.batch_source, number, batch)?;
            }
        }
        let mut totals = LossCounts::default();
        for batch in &batches {
            totals = totals + batch.counts()?;
        }
        totals = answers.iter().fold(totals, |totals, batch| totals + batch.counts());
        let totals = self.ranks.count(totals)?;
        let mut scalars = Scalars {
            similarity: self.compare(&batches, &answers)?,
            ..Scalars::default()
        };
        for batch in &batches {
            let losses = self.objective.vla(batch, &totals).map_err(failed)?;
            self.objective.differentiate(&losses).map_err(failed)?;
            add(&losses, &mut scalars)?;
        }
        for answers in &answers {
            let learned = vlm_stream::learn(&self.objective, answers, &totals).map_err(failed)?;
            *scalars.text.get_or_insert(0.0) += learned.cross_entropy;
            scalars.total += learned.total;
        }
        self.ranks.gradients(self.objective.parameters())?;
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

    /// Compares the gradients of the two streams when it is due, on the first batches of the leading process.
    fn compare(&self, batches: &[VlaBatch], answers: &[VlmBatch]) -> Result<Option<Similarity>, RunError> {
        let every = self.config.validation.similarity_every;
        let due = self.ranks.leads() && every > 0 && self.step.is_multiple_of(every);
        let (Some(acting), Some(speaking), true) = (batches.first(), answers.first(), due) else {
            return Ok(None);
        };
        let similarity = self.objective.similarity(acting, speaking);
        similarity.map(Some).map_err(|source| RunError::Step {
            step: self.step,
            source,
        })
    }

    /// Returns the batches of this process: with N processes each takes every N-th.
    pub(super) fn turns(&self) -> BatchSequence {
        let size = self.ranks.size() as u64;
        BatchSequence {
            first: self.step * self.config.data.accumulate as u64 * size + self.ranks.rank() as u64,
            every: size,
        }
    }

    /// Sums the losses over the processes; they were divided by the counts of the whole step.
    fn sum_losses(&self, scalars: &mut Scalars) -> Result<(), RunError> {
        let there = |loss: Option<f64>| f64::from(u8::from(loss.is_some()));
        let mut sums = [
            scalars.action.unwrap_or_default(),
            scalars.total,
            scalars.geometry.unwrap_or_default(),
            there(scalars.geometry),
            scalars.reasoning.unwrap_or_default(),
            there(scalars.reasoning),
            scalars.text.unwrap_or_default(),
        ];
        self.ranks.sum(&mut sums)?;
        let [action, total, geometry, aligned, reasoning, distilled, text] = sums;
        (scalars.action, scalars.total) = (scalars.action.map(|_| action), total);
        scalars.geometry = (aligned > 0.0).then_some(geometry);
        scalars.reasoning = (distilled > 0.0).then_some(reasoning);
        scalars.text = scalars.text.map(|_| text);
        Ok(())
    }
}

/// Adds the losses of a batch to the metrics of its step.
fn add(losses: &Losses, scalars: &mut Scalars) -> Result<(), tch::TchError> {
    if let Some(loss) = &losses.action {
        *scalars.action.get_or_insert(0.0) += value(loss)?;
    }
    scalars.total += value(&losses.total)?;
    if let Some(loss) = &losses.geometry {
        *scalars.geometry.get_or_insert(0.0) += value(loss)?;
    }
    if let Some(loss) = &losses.reasoning {
        *scalars.reasoning.get_or_insert(0.0) += value(loss)?;
    }
    // Diagnostics are those of the step's last batch.
    scalars.cosine = losses.diagnostics.cosine;
    scalars.teacher_variance = losses.diagnostics.teacher_variance;
    Ok(())
}

fn value(loss: &Tensor) -> Result<f64, tch::TchError> {
    loss.f_double_value(&[])
}
