//! Normalised actions, the network's output, and their conversion to physical units.

use tch::{Device, Kind, Tensor};

use crate::contract::{Contract, DimensionStatistics, Normalisation};
use crate::control::chunk::PhysicalActions;

use crate::model::error::ModelError;

/// A chunk of normalised actions. [`Self::unnormalise`] is the only conversion.
#[derive(Debug, Clone, PartialEq)]
pub struct NormalisedActions {
    values: Vec<f32>,
}

impl NormalisedActions {
    /// Copies the chunk of one sequence to the CPU.
    ///
    /// # Shapes
    /// (K, action dimension)
    pub(in crate::model) fn from_tensor(chunk: &Tensor) -> Result<Self, ModelError> {
        let chunk = chunk.f_to_device(Device::Cpu)?.f_to_kind(Kind::Float)?.f_contiguous()?;
        let mut values = vec![0.0; chunk.numel()];
        let count = values.len();
        chunk.f_copy_data(&mut values, count)?;
        Ok(Self { values })
    }

    /// Converts to metres, radians and gripper opening, by the statistics of the training data.
    ///
    /// # Errors
    /// When the values do not divide into the contract's steps, or one is not finite.
    pub fn unnormalise(&self, contract: &Contract) -> Result<PhysicalActions, ModelError> {
        let statistics = contract.data.statistics.iter().cycle();
        let values = self
            .values
            .iter()
            .zip(statistics)
            .map(|(value, dimension)| physical(f64::from(*value), dimension))
            .collect();
        Ok(PhysicalActions::new(contract.data.action_space, values)?)
    }
}

/// Inverse of the training data's normalisation for one value.
pub(crate) fn physical(value: f64, of: &DimensionStatistics) -> f64 {
    let between = |low: f64, high: f64| 0.5 * (value + 1.0) * (high - low) + low;
    match of.normalisation {
        Normalisation::MinMax => between(of.min, of.max),
        // As in the reference, a dimension with two equal quantiles is not scaled.
        Normalisation::Q99 if of.q01 == of.q99 => value,
        Normalisation::Q99 => between(of.q01, of.q99),
        Normalisation::MeanStd => value * of.std + of.mean,
        Normalisation::None => value,
        // NaN is kept, so that the chunk is refused rather than read as a closed gripper.
        Normalisation::Binary if value.is_nan() => value,
        Normalisation::Binary => f64::from(u8::from(value > 0.5)),
    }
}

/// Normalises a value as the reference's training data. A constant dimension becomes 0, or stays as it is with equal
/// quantiles.
pub(crate) fn normalised(value: f64, of: &DimensionStatistics) -> f64 {
    match of.normalisation {
        Normalisation::Q99 if of.q01 != of.q99 => scaled(value, of).clamp(-1.0, 1.0),
        _ => scaled(value, of),
    }
}

/// Normalises without clamping values outside the quantiles.
pub(in crate::model) fn scaled(value: f64, of: &DimensionStatistics) -> f64 {
    let between = |low: f64, high: f64| 2.0 * (value - low) / (high - low) - 1.0;
    match of.normalisation {
        Normalisation::MinMax if of.min == of.max => 0.0,
        Normalisation::MinMax => between(of.min, of.max),
        Normalisation::Q99 if of.q01 == of.q99 => value,
        Normalisation::Q99 => between(of.q01, of.q99),
        Normalisation::MeanStd if of.std == 0.0 => 0.0,
        Normalisation::MeanStd => (value - of.mean) / of.std,
        Normalisation::None => value,
        Normalisation::Binary => f64::from(u8::from(value > 0.5)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn statistics(normalisation: Normalisation) -> DimensionStatistics {
        DimensionStatistics {
            name: "x".into(),
            normalisation,
            min: -0.02,
            max: 0.03,
            mean: 0.001,
            std: 0.004,
            q01: -0.01,
            q99: 0.015,
        }
    }

    proptest! {
        #[test]
        fn every_mode_undoes_what_training_did(x in -0.01..0.015f64) {
            use Normalisation::{MeanStd, MinMax, None, Q99};
            for mode in [MinMax, Q99, MeanStd, None] {
                let of = statistics(mode);
                prop_assert!((physical(normalised(x, &of), &of) - x).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn ends_of_the_range_are_the_ends_of_the_network_s() {
        let of = statistics(Normalisation::MinMax);
        assert!((normalised(of.min, &of) + 1.0).abs() < 1e-12 && (normalised(of.max, &of) - 1.0).abs() < 1e-12);
        let of = statistics(Normalisation::Q99);
        assert_eq!(
            [-0.02, 0.03].map(|x| normalised(x, &of)),
            [-1.0, 1.0],
            "beyond the quantiles"
        );
        let of = statistics(Normalisation::MeanStd);
        assert!((normalised(0.005, &of) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_gripper_that_was_not_normalised_is_untouched() {
        let of = statistics(Normalisation::None);
        assert_eq!([0.0, 0.37, 1.0].map(|g| physical(g, &of)), [0.0, 0.37, 1.0]);
    }

    #[test]
    fn a_binary_gripper_is_open_or_closed() {
        let of = statistics(Normalisation::Binary);
        assert_eq!([-3.0, 0.5, 0.51, 2.0].map(|g| physical(g, &of)), [0.0, 0.0, 1.0, 1.0]);
        assert!(physical(f64::NAN, &of).is_nan());
    }

    #[test]
    fn a_dimension_that_never_moved_stays_where_it_was() {
        let mut of = statistics(Normalisation::MinMax);
        (of.min, of.max) = (0.25, 0.25);
        assert_eq!(physical(0.7, &of), 0.25);
    }
}
