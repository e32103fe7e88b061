//! Adapts an action head to the statistics of other data without changing its physical actions.
//!
//! The head's output y stands for `a + b y` by the statistics a checkpoint was trained with, and `a' + b' y'` by those
//! of the data that it is trained on next. Its last layer is linear, so `y' = (a - a')/b' + (b/b') y` is the same layer
//! with other weights: training begins with the actions that the checkpoint has learned, instead of learning new units.

use tch::Tensor;

use crate::contract::DimensionStatistics;
use crate::model::thinkvla::actions::{normalised, physical};

use super::error::StepError;
use crate::model::trainable::NetworkParameters;

/// Last layer of the head.
const LAST: &str = "action_model.model.fc2";

/// Rescales the last layer of the action head from one set of statistics to another; returns whether it was changed.
///
/// # Errors
/// When libtorch fails.
pub fn rescale(
    parameters: &NetworkParameters,
    from: &[DimensionStatistics],
    to: &[DimensionStatistics],
) -> Result<bool, StepError> {
    if from == to {
        return Ok(false);
    }
    let [weight, bias] = ["weight", "bias"].map(|part| parameters.get(&format!("{LAST}.{part}")));
    let (Some(weight), Some(bias)) = (weight, bias) else {
        return Ok(false);
    };
    let maps: Vec<[f64; 2]> = from.iter().zip(to).map(|(from, to)| between(from, to)).collect();
    if maps.iter().all(|map| *map == [0.0, 1.0]) {
        return Ok(false);
    }
    let _no_grad = tch::no_grad_guard();
    let part = |nth: usize| -> Result<Tensor, tch::TchError> {
        let values: Vec<f64> = maps.iter().filter_map(|map| map.get(nth).copied()).collect();
        Tensor::f_from_slice(&values)?
            .f_to_device(weight.device())?
            .f_to_kind(weight.f_kind()?)
    };
    let (offset, factor) = (part(0)?, part(1)?);
    let mut own = weight.f_detach()?;
    let _ = own.f_mul_(&factor.f_unsqueeze(1)?)?;
    let mut own = bias.f_detach()?;
    let _ = own.f_mul_(&factor)?.f_add_(&offset)?;
    Ok(true)
}

/// Returns offset and factor from one normalisation to another. A value that never moves stays the same in both.
fn between(from: &DimensionStatistics, to: &DimensionStatistics) -> [f64; 2] {
    use crate::contract::Normalisation::{Binary, None};
    if from == to || matches!(to.normalisation, Binary | None) && from.normalisation == to.normalisation {
        return [0.0, 1.0];
    }
    // Both are linear, except for the clipping beyond quantiles, so two points within the range of the data determine
    // the map.
    let [low, high] = [-0.5, 0.5].map(|value| normalised(physical(value, from), to));
    [0.5 * (low + high), high - low]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Normalisation;

    fn of(normalisation: Normalisation, [min, max]: [f64; 2]) -> DimensionStatistics {
        DimensionStatistics {
            name: "x".into(),
            normalisation,
            min,
            max,
            mean: 0.5 * (min + max),
            std: 0.25 * (max - min),
            q01: min,
            q99: max,
        }
    }

    #[test]
    fn the_same_action_is_said_in_other_statistics() {
        let wide = of(Normalisation::MinMax, [-0.025, 0.025]);
        let narrow = of(Normalisation::MinMax, [-0.015, 0.009]);
        let [offset, factor] = between(&wide, &narrow);
        for value in [-0.9, -0.1, 0.0, 0.7] {
            let there = physical(offset + factor * value, &narrow);
            assert!((there - physical(value, &wide)).abs() < 1e-12, "{there}");
        }
    }

    #[test]
    fn what_never_moved_and_what_is_not_normalised_stay() {
        let still = of(Normalisation::MinMax, [0.0, 0.0]);
        let moving = of(Normalisation::MinMax, [-0.1, 0.3]);
        let [offset, factor] = between(&still, &moving);
        assert_eq!(factor, 0.0);
        assert!(physical(offset, &moving).abs() < 1e-12);
        let plain = |range| of(Normalisation::None, range);
        assert_eq!(between(&plain([0.0, 1.0]), &plain([0.2, 0.9])), [0.0, 1.0]);
    }
}
