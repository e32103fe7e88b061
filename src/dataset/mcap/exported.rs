//! Metadata of an exported recording: the topics of each column, stored ahead of the messages. The import finds the
//! columns by it, whatever their topics are called.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use mcap::records::Metadata;
use serde::{Deserialize, Serialize};

use super::import::{ColumnSource, ImportOptions, SourceTopic};
use super::{BagError, bag};
use crate::dataset::schema::PICTURES;

/// Name of the metadata record.
const NAME: &str = "thinkvla.columns";

/// Topics of the columns of a recording, by the name of the column.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Exported {
    columns: BTreeMap<String, ExportedColumn>,
}

/// Topics and values of a column.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct ExportedColumn {
    /// Topics, in the order of the values.
    topics: Vec<String>,
    /// Names of the values in the dataset's order; empty for a camera.
    values: Vec<String>,
}

impl Exported {
    /// Records that a column is on this topic, possibly among others.
    pub fn add(&mut self, column: &str, values: &[String], topic: &str) {
        let known = self.columns.entry(column.to_owned()).or_default();
        known.topics.push(topic.to_owned());
        known.values = values.to_vec();
    }

    /// Returns the metadata record.
    ///
    /// # Errors
    /// Never in practice: texts can always be written as JSON.
    pub fn to_notes(&self) -> Result<Metadata, serde_json::Error> {
        let columns = self
            .columns
            .iter()
            .map(|(name, column)| Ok((name.clone(), serde_json::to_string(column)?)));
        Ok(Metadata {
            name: NAME.into(),
            metadata: columns.collect::<Result<_, serde_json::Error>>()?,
        })
    }

    /// Reads the metadata of the first file of a recording; empty in recordings of other programs.
    ///
    /// # Errors
    /// When the file is not a recording, or the metadata is damaged.
    pub fn of(files: &[PathBuf]) -> Result<Self, BagError> {
        let Some(first) = files.first() else {
            return Ok(Self::default());
        };
        let columns = bag::notes(first, NAME)?.into_iter().map(|(name, column)| {
            let column = serde_json::from_str(&column);
            let column = column.map_err(|e| BagError::content(first, format!("its note about column {name}: {e}")))?;
            Ok((name, column))
        });
        Ok(Self {
            columns: columns.collect::<Result<_, BagError>>()?,
        })
    }

    /// Names of a column's values in the order of the exported dataset.
    pub fn values(&self, column: &str) -> Option<Vec<String>> {
        self.columns.get(column).map(|column| column.values.clone())
    }

    /// Returns the options with the topics of columns that were named without any.
    ///
    /// # Errors
    /// When the recording does not say where such a column is.
    pub fn locate(&self, options: &ImportOptions, recording: &Path) -> Result<ImportOptions, BagError> {
        let mut options = options.clone();
        for source in &mut options.vectors {
            let column = source.name.clone();
            self.fill_in(source, &column, recording)?;
        }
        for source in &mut options.cameras {
            let column = format!("{PICTURES}{}", source.name);
            self.fill_in(source, &column, recording)?;
        }
        Ok(options)
    }

    fn fill_in(&self, source: &mut ColumnSource, column: &str, recording: &Path) -> Result<(), BagError> {
        if !source.topics.is_empty() {
            return Ok(());
        }
        let Some(known) = self.columns.get(column) else {
            let problem = format!(
                "{0}: expected {0}=TOPIC, as {1} does not say where that is; columns it knows: {2:?}",
                source.name,
                recording.display(),
                self.columns.keys().collect::<Vec<_>>()
            );
            return Err(BagError::Request(problem));
        };
        let whole = |topic: &String| SourceTopic {
            name: topic.clone(),
            values: Vec::new(),
        };
        source.topics = known.topics.iter().map(whole).collect();
        Ok(())
    }
}
