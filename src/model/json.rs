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

/// Parses the text of a file; a byte order mark is skipped.
///
/// # Errors
/// When it is empty, truncated, or not of the expected form.
pub(super) fn parse<T: DeserializeOwned>(path: &Path, text: &[u8]) -> Result<T, ModelError> {
    let text = without_mark(text);
    serde_json::from_slice(text).map_err(|e| refuse(path, text, &e))
}

/// Returns a text without its byte order mark, which some editors of Windows write.
pub(super) fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)
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
