//! Checks the statistics by which actions are un-normalised.

use crate::contract::{DimensionStatistics, Normalisation};

use super::CheckReport;

pub(super) fn check(dimensions: &[DimensionStatistics], constant: &[String], report: &mut CheckReport) {
    for of in dimensions {
        match failure(of, constant.contains(&of.name)) {
            Some(failure) => report.fail(format!("statistics of {}: {failure}", of.name)),
            None => report.fact(format!("  {}", of.name), describe(of)),
        }
    }
}

fn describe(of: &DimensionStatistics) -> String {
    let range = format!(
        "{:.4} to {:.4}, quantiles {:.4} to {:.4}",
        of.min, of.max, of.q01, of.q99
    );
    format!("{range}, {:.4} ± {:.4}, {:?}", of.mean, of.std, of.normalisation)
}

fn failure(of: &DimensionStatistics, may_be_constant: bool) -> Option<String> {
    let numbers = [
        ("min", of.min),
        ("max", of.max),
        ("mean", of.mean),
        ("std", of.std),
        ("q01", of.q01),
        ("q99", of.q99),
    ];
    if let Some((name, value)) = numbers.iter().find(|(_, value)| !value.is_finite()) {
        return Some(format!(
            "{name}: expected a finite number, found {value}; compute the statistics anew"
        ));
    }
    let (low, high, names) = match of.normalisation {
        Normalisation::MinMax => (of.min, of.max, "min < max"),
        Normalisation::Q99 => (of.q01, of.q99, "q01 < q99"),
        Normalisation::MeanStd => (0.0, of.std, "std > 0"),
        Normalisation::None | Normalisation::Binary => return None,
    };
    if low < high {
        return None;
    }
    let found = match of.normalisation {
        Normalisation::MeanStd => format!("{high}"),
        _ => format!("{low} and {high}"),
    };
    // With equal quantiles the reference returns the network's own number as metres or radians.
    if low == high && may_be_constant && of.normalisation != Normalisation::Q99 {
        return None;
    }
    let what = match low == high {
        true => "constant in the training data",
        false => "the wrong way round",
    };
    Some(format!(
        "expected {names}, found {found}: {what}; train on data in which it moves, or name it in --allow-constant"
    ))
}
