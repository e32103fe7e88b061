//! Errors on held-out episodes, and their baselines.

use tch::Tensor;

use super::batch::{Pictures, VlaBatch};
use super::data::vla_batches::{Side, VlaBatches};
use super::error::RunError;
use super::error::StepError;
use super::losses;
use super::objective::Objective;

/// Number of batches of trained episodes from which the best constant chunk is taken.
const BASELINE_BATCHES: u64 = 64;

/// Mean errors of normalised actions, |Â − A|, on the same held-out rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HeldOutErrors {
    /// Error of the network.
    pub action: f64,
    /// Error of the network when every sample is shown the images of another: much larger for a policy that uses
    /// images.
    pub shuffled: f64,
    /// Error of the best constant chunk.
    pub constant: f64,
}

/// Measurement on held-out episodes, with a baseline.
#[derive(Debug)]
pub struct Validation {
    batches: u64,
    /// Medians of trained actions, the constant with the smallest mean error: (K, action dimension).
    constant: Tensor,
}

impl Validation {
    /// Creates a measurement on this many batches.
    ///
    /// # Errors
    /// When a row cannot be read.
    pub fn new(batch_source: &VlaBatches, batches: u64) -> Result<Self, RunError> {
        let constant = batch_source.constant(Side::Trained, BASELINE_BATCHES)?;
        Ok(Self { batches, constant })
    }

    /// Measures a network.
    ///
    /// # Errors
    /// When a sample cannot be read, or an error is not finite.
    pub fn measure(
        &self,
        batch_source: &VlaBatches,
        objective: &Objective,
        step: u64,
    ) -> Result<HeldOutErrors, RunError> {
        let _no_grad = tch::no_grad_guard();
        let failed = |source: StepError| RunError::Step { step, source };
        let mut readers = batch_source.readers()?;
        let (mut sums, mut count) = ([0.0; 3], 0.0);
        for number in 0..self.batches {
            let mut batch = batch_source.batch(Side::HeldOut, number, &mut readers)?;
            let counts = batch.counts()?;
            let error = |batch: &VlaBatch| -> Result<f64, RunError> {
                Ok(objective.action_error(batch, &counts).map_err(failed)? * counts.actions)
            };
            let own = error(&batch)?;
            let constant = self.constant.f_expand_as(&batch.actions)?;
            let constant = losses::actions(&constant, &batch.actions, &batch.valid)?.f_double_value(&[])?;
            shift(&mut batch.pictures, batch.student.len())?;
            for (sum, value) in sums.iter_mut().zip([own, error(&batch)?, constant]) {
                *sum += value;
            }
            count += counts.actions;
        }
        let [action, shuffled, constant] = sums.map(|sum| sum / count);
        Ok(HeldOutErrors {
            action,
            shuffled,
            constant,
        })
    }
}

/// Gives every sample the images of the one before it. All samples of a mixture have images of the same sizes.
fn shift(pictures: &mut Pictures, samples: usize) -> Result<(), tch::TchError> {
    if let Some(kept) = &pictures.kept {
        let (blocks, _, channels) = kept.size3()?;
        let by_sample = kept.f_reshape([blocks, samples as i64, -1, channels])?;
        pictures.kept = Some(by_sample.f_roll([1i64], [1i64])?.f_reshape([blocks, -1, channels])?);
        return Ok(());
    }
    let values = pictures.pixels.size().last().copied().unwrap_or(1);
    let by_sample = pictures.pixels.f_reshape([samples as i64, -1, values])?;
    pictures.pixels = by_sample.f_roll([1i64], [0i64])?.f_reshape([-1, values])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;

    #[test]
    fn every_sample_gets_the_pictures_of_another() {
        let pixels = Tensor::arange(24, (Kind::Float, tch::Device::Cpu)).reshape([12, 2]);
        let mut pictures = Pictures {
            pixels: pixels.shallow_clone(),
            grids: Vec::new(),
            kept: None,
        };
        shift(&mut pictures, 3).unwrap();
        let expected = Tensor::cat(&[pixels.narrow(0, 8, 4), pixels.narrow(0, 0, 8)], 0);
        assert!(pictures.pixels.equal(&expected));
    }
}
