//! JSON files of a checkpoint.

use std::path::Path;

use serde::de::DeserializeOwned;

use crate::files;

use super::error::ModelError;

/// Reads a file of at most `limit` bytes.
///
/// # Errors
/// When it is missing, empty, truncated, or not of the expected form.
pub(super) fn read<T: DeserializeOwned>(path: &Path, limit: u64) -> Result<T, ModelError> {
    let text = files::read_text(path, limit).map_err(|e| ModelError::read(path, e))?;
    parse(path, text.as_bytes())
}

/// Parses the text of a file without its byte order mark, as [`files::read_text`] returns it.
///
/// # Errors
/// When it is empty, truncated, or not of the expected form.
pub(super) fn parse<T: DeserializeOwned>(path: &Path, text: &[u8]) -> Result<T, ModelError> {
    serde_json::from_slice(text).map_err(|e| refuse(path, text, &e))
}

/// Returns the error of a file's text.
pub(super) fn refuse(path: &Path, text: &[u8], error: &serde_json::Error) -> ModelError {
    let not_a_number = std::str::from_utf8(text).ok().and_then(files::json::not_a_number);
    if let Some((name, line)) = not_a_number.filter(|(_, line)| error.is_syntax() && error.line() == *line) {
        let message = format!(
            "expected finite numbers, found {name} in line {line}; write the number that was meant, or fetch the file \
             again"
        );
        return ModelError::read(path, message);
    }
    ModelError::read(path, files::json::explain(text, error))
}
