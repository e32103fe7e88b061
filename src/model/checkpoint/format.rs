//! Whose layout a checkpoint has.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde_json::Value;

use super::shards::{is_pickle, refuse_pickle};
use super::starvla;
use crate::model::config::FILE_NAME;
use crate::model::error::ModelError;

/// Layouts that are read and written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Ours: Hugging Face's files with a `thinkvla` object and a contract.
    Thinkvla,
    /// Hugging Face's Qwen3-VL.
    HuggingFace,
    /// A run directory of StarVLA's Qwen3-VL-OFT.
    Starvla,
}

impl Format {
    /// The layout of a directory, or of the run a weights file belongs to.
    ///
    /// # Errors
    /// When it is none of them.
    pub fn of(path: &Path) -> Result<Self, ModelError> {
        if path.is_file() {
            return match is_pickle(path) {
                true => Err(refuse_pickle(path)),
                false => Ok(Self::Starvla),
            };
        }
        if starvla::is_run(path) {
            return Ok(Self::Starvla);
        }
        let file = path.join(FILE_NAME);
        let text = std::fs::read_to_string(&file).map_err(|e| ModelError::read(&file, e))?;
        let config: Value = serde_json::from_str(&text).map_err(|e| ModelError::read(&file, e))?;
        Ok(match config.get("thinkvla") {
            Some(_) => Self::Thinkvla,
            None => Self::HuggingFace,
        })
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Thinkvla => "thinkvla",
            Self::HuggingFace => "hf",
            Self::Starvla => "starvla",
        })
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::Thinkvla, Self::HuggingFace, Self::Starvla];
        all.into_iter()
            .find(|format| format.to_string() == text)
            .ok_or_else(|| format!("expected thinkvla, hf or starvla, found {text}"))
    }
}
