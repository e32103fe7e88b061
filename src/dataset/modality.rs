//! `meta/modality.json`, as far as it says what holds behind the end of an episode.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::error::DatasetError;
use super::info::{MODALITY, read_json};
use super::layout::ACTION;
use crate::files;

/// Which values of actions are steps.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
pub struct Modality {
    #[serde(default)]
    action: BTreeMap<String, Part>,
}

/// Values that belong together.
#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Part {
    #[serde(default)]
    start: usize,
    #[serde(default)]
    end: usize,
    /// Whether it holds until another is given; so it does unless something else is said.
    #[serde(default = "yes")]
    absolute: bool,
    /// The column, `action` unless something else is said.
    original_key: Option<String>,
}

fn yes() -> bool {
    true
}

impl Modality {
    /// Reads it; a dataset need not have one.
    ///
    /// # Errors
    /// When there is one that is malformed.
    pub fn load(root: &Path) -> Result<Self, DatasetError> {
        let path = root.join(MODALITY);
        if !path.exists() {
            return Ok(Self::default());
        }
        read_json(&path, files::CONFIGURATION)
    }

    /// Makes the last row of a column what holds after it: steps are 0.
    pub fn end(&self, column: &str, values: &mut [f32]) {
        let of_column = |part: &&Part| part.original_key.as_deref().unwrap_or(ACTION) == column && !part.absolute;
        for part in self.action.values().filter(of_column) {
            if let Some(steps) = values.get_mut(part.start..part.end) {
                steps.fill(0.0);
            }
        }
    }
}
