//! The part of `meta/modality.json` that says which values are steps, and so 0 after the end of an episode.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::error::DatasetError;
use super::info::{MODALITY, read_json};
use super::schema::ACTION;
use crate::files;

/// Groups of the values of actions.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
pub struct Modality {
    #[serde(default)]
    action: BTreeMap<String, Part>,
}

/// Group of values.
#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Part {
    start: Option<usize>,
    end: Option<usize>,
    /// Whether values are absolute, so that each holds until the next; the default.
    absolute: Option<bool>,
    /// Column of the values; `action` by default.
    original_key: Option<String>,
}

impl Modality {
    /// Reads the file; empty if the dataset has none.
    ///
    /// # Errors
    /// When it is malformed.
    pub fn load(root: &Path) -> Result<Self, DatasetError> {
        let path = root.join(MODALITY);
        if !path.exists() {
            return Ok(Self::default());
        }
        read_json(&path, files::CONFIGURATION)
    }

    /// Turns the last row of a column into the values after the end of the episode: steps become 0.
    pub fn end(&self, column: &str, values: &mut [f32]) {
        let of_column =
            |part: &&Part| part.original_key.as_deref().unwrap_or(ACTION) == column && part.absolute == Some(false);
        for part in self.action.values().filter(of_column) {
            let range = part.start.unwrap_or_default()..part.end.unwrap_or_default();
            if let Some(steps) = values.get_mut(range) {
                steps.fill(0.0);
            }
        }
    }
}
