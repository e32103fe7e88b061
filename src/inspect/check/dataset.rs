//! Compares a data set with a checkpoint's training data: contracts and statistics.

use std::path::Path;

use crate::contract::{Contract, DimensionStatistics, FILE_NAME, SettingDifference, step_differences};
use crate::dataset::column_mapping::ColumnMapping;
use crate::dataset::episode_stats;
use crate::dataset::info::{Info, STATS};
use crate::dataset::schema::action_column;
use crate::dataset::statistics::Statistics;

use super::CheckReport;

/// Relative difference below which two rates count as equal; both are measured.
const SAME_RATE: f64 = 0.01;
/// Largest accepted share of a data set outside the checkpoint's quantiles q01 and q99, of which 2 % are expected.
const OUTSIDE: f64 = 0.10;

/// Quantiles that LeRobot writes, with their cumulative shares.
const QUANTILES: [(&str, f64); 7] = [
    ("min", 0.0),
    ("q01", 0.01),
    ("q10", 0.10),
    ("q50", 0.50),
    ("q90", 0.90),
    ("q99", 0.99),
    ("max", 1.0),
];

pub(super) fn check(checkpoint: &Contract, directory: &Path, report: &mut CheckReport) {
    let read = "contract.yaml, meta/info.json and meta/stats.json; no frame was read";
    report.fact("data set", format!("{}: {read}", directory.display()));
    let Some(info) = report.take(Info::load(directory)) else {
        return;
    };
    if info.total_episodes == 0 && !directory.join(STATS).exists() {
        report.fail("data set: expected episodes, found none: nothing has been recorded yet");
        return;
    }
    if directory.join(FILE_NAME).exists() {
        if let Some(recorded) = report.take(Contract::load(directory)) {
            compare(checkpoint, &recorded, report);
        }
    } else {
        report.note("data set: without contract.yaml it says nothing of robot, frames and units");
        same_rate(checkpoint.data.fps, info.fps, report);
    }
    let column = action_column(checkpoint.data.action_space);
    let Some(mapping) = column_mapping(checkpoint, &info, report) else {
        return;
    };
    report.fact(format!("  {column}"), mapping.to_string());
    let Some(mut stats) = report.take(episode_stats::load(directory)) else {
        return;
    };
    let stats = stats.remove(column).unwrap_or_default();
    for (place, of) in mapping.places.iter().zip(&checkpoint.data.statistics) {
        inside(of, &stats, *place, report);
    }
}

/// Returns the places of the checkpoint's actions in a data set, or reports why there are none.
fn column_mapping(checkpoint: &Contract, info: &Info, report: &mut CheckReport) -> Option<ColumnMapping> {
    let column = action_column(checkpoint.data.action_space);
    let wanted: Vec<&str> = checkpoint.data.statistics.iter().map(|of| of.name.as_str()).collect();
    let feature = info.features.get(column);
    let found = feature.map_or(Err("expected it, found none".to_owned()), |feature| {
        ColumnMapping::find(feature, &wanted)
    });
    found
        .map_err(|problem| report.fail(format!("data set, column {column}: {problem}")))
        .ok()
}

/// Compares the distribution of one value with the checkpoint's.
fn inside(of: &DimensionStatistics, stats: &Statistics, place: usize, report: &mut CheckReport) {
    match outside(of, stats, place) {
        Ok(Some(share)) => {
            let percent = 100.0 * share;
            report.fact(
                format!("  {}", of.name),
                format!("{percent:.1} % outside q01 to q99, by its quantiles"),
            );
            if share > OUTSIDE {
                report.fail(format!(
                    "data set, {}: expected at most {:.0} % of it outside the checkpoint's q01 to q99 ({} to {}), found \
                     {percent:.0} %; the checkpoint was trained on other data",
                    of.name,
                    100.0 * OUTSIDE,
                    of.q01,
                    of.q99
                ));
            }
        }
        Ok(None) => report.note(format!("{STATS} has no quantiles: {} was not compared", of.name)),
        Err(found) => report.fail(format!("data set, {STATS} of action, {}: {found}", of.name)),
    }
}

fn same_rate(trained: f64, found: f64, report: &mut CheckReport) {
    if (trained - found).abs() > SAME_RATE * trained {
        report.fail(format!(
            "data set, data.fps: expected {trained}, the checkpoint's, found {found}; steps of another length are other \
             motions"
        ));
    }
}

fn compare(checkpoint: &Contract, recorded: &Contract, report: &mut CheckReport) {
    report.take(checkpoint.robot.require_same(&recorded.robot));
    let (trained, data) = (&checkpoint.data, &recorded.data);
    same_rate(trained.fps, data.fps, report);
    for SettingDifference { field, expected, found } in step_differences(trained, data) {
        report.fail(format!(
            "data set, data.{field}: expected {expected}, the checkpoint's, found {found}"
        ));
    }
    // Datasets store pictures as recorded, and training resizes them by the checkpoint's rule.
    if trained.resize != data.resize {
        report.note(format!(
            "data set, data.resize: {:?}, in place of which the checkpoint's is used, {:?}",
            data.resize, trained.resize
        ));
    }
}

/// Error of a data set's quantiles.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
enum QuantileError {
    /// A quantile is NaN or infinite.
    #[error("expected a finite {name}, found {found}")]
    NotFinite {
        /// Name of the quantile.
        name: &'static str,
        /// Value found.
        found: f64,
    },
    /// A quantile lacks the dimension.
    #[error("expected a value of {name}, found {count} values")]
    Missing {
        /// Name of the quantile.
        name: &'static str,
        /// Number of its values.
        count: usize,
    },
}

/// Returns the share of the data outside the checkpoint's quantiles, by linear interpolation of the data's own
/// quantiles.
fn outside(of: &DimensionStatistics, stats: &Statistics, place: usize) -> Result<Option<f64>, QuantileError> {
    let mut points = Vec::new();
    for (name, share) in QUANTILES {
        let named = stats.named().find(|(own, values)| *own == name && !values.is_empty());
        let Some((_, column)) = named else {
            continue;
        };
        match column.get(place) {
            Some(value) if value.is_finite() => points.push((*value, share)),
            Some(found) => return Err(QuantileError::NotFinite { name, found: *found }),
            None => {
                let count = column.len();
                return Err(QuantileError::Missing { name, count });
            }
        }
    }
    if !points.iter().any(|(_, share)| *share == 0.5) && points.len() < 4 {
        return Ok(None);
    }
    Ok(Some(
        below(&points, of.q01, Side::Under) + 1.0 - below(&points, of.q99, Side::UpTo),
    ))
}

/// Whether values exactly at the bound count as below it.
#[derive(Clone, Copy, PartialEq)]
enum Side {
    Under,
    UpTo,
}

/// Returns the share of the data below `value`.
fn below(points: &[(f64, f64)], value: f64, side: Side) -> f64 {
    let reached = |at: f64| at < value || (side == Side::UpTo && at == value);
    let mut share = 0.0;
    for pair in points.windows(2) {
        let [(from, low), (to, high)] = pair else {
            continue;
        };
        if reached(*to) {
            share = *high;
        } else if *from < value {
            share = low + (high - low) * (value - from) / (to - from);
        }
    }
    share
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A uniform distribution between 0 and 1.
    const EVEN: [(f64, f64); 3] = [(0.0, 0.0), (0.5, 0.5), (1.0, 1.0)];

    #[test]
    fn shares_are_read_off_between_quantiles() {
        for (value, expected) in [
            (-1.0, 0.0),
            (0.0, 0.0),
            (0.25, 0.25),
            (0.75, 0.75),
            (1.0, 1.0),
            (9.0, 1.0),
        ] {
            assert_eq!(below(&EVEN, value, Side::UpTo), expected, "{value}");
        }
    }

    #[test]
    fn a_gripper_that_is_0_or_1_is_inside_0_to_1() {
        let steps = [(0.0, 0.0), (0.0, 0.5), (1.0, 0.9), (1.0, 1.0)];
        assert_eq!(below(&steps, 0.0, Side::Under), 0.0);
        assert_eq!(below(&steps, 1.0, Side::UpTo), 1.0);
    }
}
