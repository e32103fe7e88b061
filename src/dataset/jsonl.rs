//! Reads lists of LeRobot v2: one JSON object per line.

use std::path::Path;

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize as _, Deserializer};
use serde_json::Value;

use super::error::DatasetError;
use super::info::whole;
use crate::files::{self, json};

/// Reads all lines; blank ones are skipped.
///
/// # Errors
/// When the file is missing or a line is not JSON of this kind; the error names the line.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, DatasetError> {
    let text = files::read_text(path, files::LINES).map_err(DatasetError::io("read", path))?;
    let lines = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
    lines
        .map(|(line, number)| json::parse(line).map_err(|e| DatasetError::content(path, format!("line {number}: {e}"))))
        .collect()
}

/// Reads a whole number, which may have a fraction of 0.
pub fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    whole(deserializer)?.ok_or_else(|| D::Error::custom("expected a whole number, found null"))
}

/// Reads a list of texts; one text is a list of one, and null an empty one.
pub fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(Vec::new()),
        Value::String(text) => Ok(vec![text]),
        list => serde_json::from_value(list).map_err(D::Error::custom),
    }
}
