//! Finds the contract's actions among a dataset's values by their names, and checks that their ranges fit the units.

use crate::contract::{ActionSpace, Data, FILE_NAME};
use crate::dataset::Dataset;
use crate::dataset::column_mapping::ColumnMapping;
use crate::training::error::RunError;

/// Maximum speed of a tool (m/s), and of turning (rad/s); what looks faster are poses instead of steps, or other units.
const FASTEST_M_S: f64 = 2.0;
const FASTEST_RAD_S: f64 = 4.0 * std::f64::consts::PI;
/// Maximum distance of a tool from the base (m).
const FARTHEST: f32 = 2.0;
/// Maximum angle of a step, a joint or a pose (rad).
const LARGEST_ANGLE: f32 = 2.0 * std::f32::consts::PI;
/// Tolerance of a gripper's values beyond 0 and 1.
const GRIPPER_SLACK: f32 = 0.02;

/// Returns the positions of the contract's action values in a row of `column`, and logs the mapping.
///
/// # Errors
/// When there is no such column, a name is missing or occurs twice, or a column without names has another number of
/// values.
pub fn actions(dataset: &Dataset, column: &str, data: &Data) -> Result<Vec<usize>, RunError> {
    let wanted: Vec<&str> = data.statistics.iter().map(|of| of.name.as_str()).collect();
    let wrong = |problem: String| RunError::data(dataset.root(), format!("column {column}: {problem}"));
    let feature = dataset.info().features.get(column);
    let feature = feature.ok_or_else(|| {
        wrong(format!(
            "expected the values {}, found no such column",
            wanted.join(", ")
        ))
    })?;
    let mapping = ColumnMapping::find(feature, &wanted).map_err(wrong)?;
    let root = dataset.root().display();
    match mapping.is_named() {
        true => tracing::info!("{root}: {column}: {mapping}"),
        false => tracing::warn!("{root}: {column}: {mapping}"),
    }
    Ok(mapping.places)
}

/// Refuses actions that cannot be in the contract's units. A dataset with its own contract is not checked: that has the
/// units.
///
/// # Shapes
/// rows: (n, action dimension)
///
/// # Errors
/// When a value is out of range; names the value, its range and the unit.
pub fn require_units(dataset: &Dataset, data: &Data, rows: &[f32]) -> Result<(), RunError> {
    let dim = data.statistics.len();
    let fps = dataset.info().fps;
    let kind = |at: usize| match (data.action_space, at + 1 == dim) {
        (_, true) => gripper(),
        (ActionSpace::Ee7, _) if at < 3 => metres(fps),
        (ActionSpace::Ee7, _) => turn(fps),
        (ActionSpace::Joint8, _) => angle(),
    };
    let names = data.statistics.iter().map(|of| of.name.as_str());
    let expected = names.enumerate().map(|(at, name)| (name, Some(kind(at))));
    require(dataset, "action", expected.collect(), rows)
}

/// Refuses states that cannot be in the contract's units, in the same way.
///
/// # Shapes
/// rows: (n, values that the contract names)
///
/// # Errors
/// As [`require_units`].
pub fn require_state_units(dataset: &Dataset, data: &Data, rows: &[f32]) -> Result<(), RunError> {
    let kind = |name: &str| match name {
        "gripper" => Some(gripper()),
        "x" | "y" | "z" => Some((-FARTHEST, FARTHEST, "a position in metres".to_owned())),
        "rx_down" | "ry_down" | "rz_down" => Some(angle()),
        joint if joint.starts_with("joint") => Some(angle()),
        _ => None,
    };
    let names = data.state.iter().map(|of| of.name.as_str());
    require(dataset, "state", names.map(|name| (name, kind(name))).collect(), rows)
}

/// Minimum and maximum value, and a description.
type ValueRange = (f32, f32, String);

fn gripper() -> ValueRange {
    let what = "a gripper, 0 closed to 1 open";
    (-GRIPPER_SLACK, 1.0 + GRIPPER_SLACK, what.to_owned())
}

fn metres(fps: f64) -> ValueRange {
    let most = (FASTEST_M_S / fps) as f32;
    let what = format!("a step in metres (at {fps} rows a second at most {most:.3})");
    (-most, most, what)
}

fn turn(fps: f64) -> ValueRange {
    let most = LARGEST_ANGLE.min((FASTEST_RAD_S / fps) as f32);
    let what = format!("a step as rotation vector in radians (at {fps} rows a second at most {most:.3})");
    (-most, most, what)
}

fn angle() -> ValueRange {
    (-LARGEST_ANGLE, LARGEST_ANGLE, "an angle in radians".to_owned())
}

fn require(
    dataset: &Dataset,
    of: &str,
    expected: Vec<(&str, Option<ValueRange>)>,
    rows: &[f32],
) -> Result<(), RunError> {
    if dataset.root().join(FILE_NAME).exists() {
        return Ok(());
    }
    let width = expected.len().max(1);
    for (at, (name, kind)) in expected.into_iter().enumerate() {
        let Some((least, most, unit)) = kind else { continue };
        let values = rows.iter().skip(at).step_by(width);
        let (low, high) = values.fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), value| {
            (low.min(*value), high.max(*value))
        });
        if low < least || high > most {
            let message = format!(
                "{of} {name}: expected {unit}, found values from {low} to {high}; convert the dataset, or give it a \
                 {FILE_NAME} if they are right"
            );
            return Err(RunError::data(dataset.root(), message));
        }
    }
    Ok(())
}
