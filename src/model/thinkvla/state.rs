//! The robot's state for the network: as text, as StarVLA writes it after the instruction, or as numbers.

use std::fmt::Write as _;

use tch::{Device, Kind, TchError, Tensor};

use crate::contract::DimensionStatistics;

use super::actions::{normalised, scaled};
use crate::model::config::Proprio;
use crate::model::error::ModelError;

/// Number of steps into which -1 .. 1 is divided for text.
const BINS: f64 = 256.0;

/// A state as text: ` [STATE] 12 200 … [ACTION]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateText(String);

impl StateText {
    /// Normalises values by the contract's statistics and writes each as one of 256 steps over -1 .. 1. As in StarVLA
    /// (`state2str_transform`), values below are written as -1, and values above as the last step.
    ///
    /// # Errors
    /// When there is not one value for each dimension, or one is not finite.
    pub fn new(values: &[f64], statistics: &[DimensionStatistics]) -> Result<Self, ModelError> {
        let mut text = " [STATE]".to_owned();
        for value in each(values, statistics, scaled)? {
            let bin = (0.5 * BINS * (value + 1.0)).floor();
            // Writing to a `String` cannot fail.
            let _ = write!(text, " {}", bin.clamp(-1.0, BINS - 1.0));
        }
        Ok(Self(text + " [ACTION]"))
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// State in the form that a network reads; both parts are `None` for a network that reads none.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StateInput {
    /// Part of the prompt.
    pub text: Option<StateText>,
    /// Normalised values for the projector.
    pub numbers: Option<Vec<f64>>,
}

impl StateInput {
    /// Converts values to the form that `proprio` names, by the contract's statistics.
    ///
    /// # Errors
    /// When the network reads a state and there is not one value for each dimension, or one is not finite.
    pub fn new(proprio: Proprio, values: &[f64], statistics: &[DimensionStatistics]) -> Result<Self, ModelError> {
        Ok(match proprio {
            Proprio::None => Self::default(),
            Proprio::Text => Self {
                text: Some(StateText::new(values, statistics)?),
                numbers: None,
            },
            Proprio::Projected => Self {
                text: None,
                numbers: Some(normalised_state(values, statistics)?),
            },
        })
    }

    /// Returns the numbers as a batch of one, if there are any.
    ///
    /// # Shapes
    /// (1, values), in 32 bits
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn tensor(&self, device: Device) -> Result<Option<Tensor>, TchError> {
        let numbers = self.numbers.as_ref();
        numbers
            .map(|values| state_tensor(std::slice::from_ref(values), device))
            .transpose()
    }
}

/// Normalises values by the contract's statistics. Values outside the range of the training data are clamped to -1 or
/// 1.
///
/// # Errors
/// When there is not one value for each dimension, or one is not finite.
pub fn normalised_state(values: &[f64], statistics: &[DimensionStatistics]) -> Result<Vec<f64>, ModelError> {
    each(values, statistics, |value, of| normalised(value, of).clamp(-1.0, 1.0))
}

/// Normalises each value by its statistics.
fn each(
    values: &[f64],
    statistics: &[DimensionStatistics],
    by: impl Fn(f64, &DimensionStatistics) -> f64,
) -> Result<Vec<f64>, ModelError> {
    if values.len() != statistics.len() {
        let names: Vec<_> = statistics.iter().map(|of| of.name.as_str()).collect();
        return Err(ModelError::Observation {
            expected: format!("a state of {} values: {}", statistics.len(), names.join(", ")),
            found: format!("{} values", values.len()),
        });
    }
    let all = values.iter().zip(statistics);
    all.map(|(value, of)| match value.is_finite() {
        true => Ok(by(*value, of)),
        false => Err(ModelError::Observation {
            expected: format!("a finite value of {}", of.name),
            found: value.to_string(),
        }),
    })
    .collect()
}

/// Converts states to a tensor for a projector, in 32 bits.
///
/// # Shapes
/// (B, values)
///
/// # Errors
/// When libtorch fails.
pub fn state_tensor(states: &[Vec<f64>], device: Device) -> Result<Tensor, TchError> {
    Tensor::f_from_slice(&states.concat())?
        .f_reshape([states.len() as i64, -1])?
        .f_to_kind(Kind::Float)?
        .f_to_device(device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Normalisation;

    fn dimension(name: &str, normalisation: Normalisation) -> DimensionStatistics {
        DimensionStatistics {
            name: name.into(),
            normalisation,
            min: -2.0,
            max: 2.0,
            mean: 0.0,
            std: 1.0,
            q01: 0.0,
            q99: 4.0,
        }
    }

    fn text(values: &[f64]) -> Result<String, String> {
        let statistics = [
            dimension("joint1", Normalisation::MinMax),
            dimension("joint2", Normalisation::Q99),
            dimension("gripper", Normalisation::None),
        ];
        match StateText::new(values, &statistics) {
            Ok(text) => Ok(text.as_str().to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn values_are_told_in_256_steps_of_the_training_range() {
        // -1 and 1, the middle of the range, and 0.8, which is 1.8 / 2 of it.
        assert_eq!(text(&[-2.0, 4.0, 0.0]).unwrap(), " [STATE] 0 255 128 [ACTION]");
        assert_eq!(text(&[-1.0, 2.2, 0.8]).unwrap(), " [STATE] 64 140 230 [ACTION]");
    }

    /// The same as `numpy.digitize` over `linspace(-1, 1, 257)[:-1]`, minus one.
    #[test]
    fn what_lies_below_is_told_as_minus_one_and_what_lies_above_as_the_last_step() {
        assert_eq!(text(&[-9.0, 99.0, 1.0]).unwrap(), " [STATE] -1 255 255 [ACTION]");
        assert_eq!(text(&[-2.001, -0.1, -1.5]).unwrap(), " [STATE] -1 -1 -1 [ACTION]");
        assert_eq!(text(&[9.0, 0.0, -1.0]).unwrap(), " [STATE] 255 0 0 [ACTION]");
    }

    #[test]
    fn numbers_are_cut_off_at_the_ends_of_the_range() {
        let statistics = [
            dimension("x", Normalisation::MinMax),
            dimension("y", Normalisation::MinMax),
        ];
        assert_eq!(normalised_state(&[1.0, -9.0], &statistics).unwrap(), [0.5, -1.0]);
    }

    #[test]
    fn a_state_of_another_robot_is_refused() {
        let error = text(&[0.0, 0.0]).unwrap_err();
        assert!(error.contains("3 values: joint1, joint2, gripper, found 2"), "{error}");
        assert!(text(&[0.0, f64::NAN, 0.0]).unwrap_err().contains("joint2"));
    }
}
