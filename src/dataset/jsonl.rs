//! Reads lists of LeRobot v2: one JSON object per line.

use std::path::Path;

use serde::de::DeserializeOwned;

use super::error::DatasetError;
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
