//! Values of a YAML file that parse but cannot work, and the lines they stand on.

use std::fmt::Display;

/// Value of a field that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: expected {expected}, found {found}")]
pub struct InvalidValue {
    /// Field with its parents, e.g. `limits.margin_rad` or `input.joy.axes[2].gain`.
    pub field: String,
    /// Values that would work, in words.
    pub expected: String,
    /// Value found.
    pub found: String,
}

impl InvalidValue {
    /// Creates the error of a field.
    pub fn new(field: impl Into<String>, expected: impl Into<String>, found: impl Display) -> Self {
        Self {
            field: field.into(),
            expected: expected.into(),
            found: found.to_string(),
        }
    }

    /// Returns the line of the field in `text`, from 1, for block-style YAML; that of the nearest parent if the field is not
    /// on a line of its own.
    pub fn line_in(&self, text: &str) -> usize {
        let mut found = 1;
        let mut lines = text.lines().enumerate();
        for part in self.field.split(['.', '[']) {
            let line = match part.strip_suffix(']').and_then(|index| index.parse::<usize>().ok()) {
                Some(index) => lines
                    .by_ref()
                    .filter(|(_, line)| line.trim_start().starts_with("- "))
                    .nth(index),
                None => lines.clone().find(|(_, line)| names(line, part)),
            };
            let Some((index, _)) = line else { break };
            found = index + 1;
            // A nested field may be on the same line.
            lines = text.lines().enumerate();
            lines.by_ref().take(index).for_each(drop);
        }
        found
    }
}

/// Whether a line of YAML begins with this key, bare or quoted.
fn names(line: &str, key: &str) -> bool {
    let line = line.trim_start().trim_start_matches("- ").trim_start_matches('{');
    let bare = line.strip_prefix(key);
    let quoted = |q: char| line.strip_prefix(q)?.strip_prefix(key)?.strip_prefix(q);
    bare.or_else(|| quoted('"'))
        .or_else(|| quoted('\''))
        .is_some_and(|rest| rest.trim_start().starts_with(':'))
}

/// Refuses a value outside of `low` to `high`, bounds included, and NaN.
///
/// # Errors
/// Names the field and the bounds.
pub fn between(field: impl Into<String>, value: f64, low: f64, high: f64) -> Result<(), InvalidValue> {
    if value.is_finite() && value >= low && value <= high {
        return Ok(());
    }
    Err(InvalidValue::new(
        field,
        format!("a number from {low} to {high}"),
        value,
    ))
}

/// Refuses a value that is not above 0 and at most `high`.
///
/// # Errors
/// Names the field and the bound.
pub fn positive(field: impl Into<String>, value: f64, high: f64) -> Result<(), InvalidValue> {
    if value.is_finite() && value > 0.0 && value <= high {
        return Ok(());
    }
    Err(InvalidValue::new(
        field,
        format!("a positive number up to {high}"),
        value,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_on_its_line_or_its_parents() {
        let text = "a: 1\nlist:\n  - {x: 1, y: 2}\n  - x: 3\n    'y': 4\nother:\n  x: 5\n";
        for (field, line) in [
            ("a", 1),
            ("list[0].x", 3),
            ("list[1].x", 4),
            ("list[1].y", 5),
            ("other.x", 7),
            ("other.missing", 6),
            ("missing", 1),
        ] {
            assert_eq!(InvalidValue::new(field, "", "").line_in(text), line, "{field}");
        }
    }
}
