//! `dataset_statistics.json` of StarVLA and OpenVLA-OFT: statistics of a data set's actions, by tag.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::contract::{DimensionStatistics, Normalisation};
use crate::files;
use crate::model::error::ModelError;
use crate::model::json;

/// File name inside a run directory.
pub const STATISTICS: &str = "dataset_statistics.json";

/// Statistics of robots, by tag.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DatasetStatistics(pub BTreeMap<String, RobotStatistics>);

/// Statistics of one robot's data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RobotStatistics {
    /// Statistics of the actions.
    pub action: Columns,
    /// Statistics of the robot's state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Columns>,
    /// Normalisation of the values. StarVLA does not write it; `convert` does, so that a run it writes needs no
    /// contract.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub normalisation: Option<Modes>,
    /// Number of frames.
    #[serde(default)]
    pub num_transitions: u64,
    /// Number of episodes.
    #[serde(default)]
    pub num_trajectories: u64,
}

/// Normalisation of all values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Modes {
    /// Normalisation of the actions.
    pub action: Vec<Named>,
    /// Normalisation of the robot's state.
    #[serde(default)]
    pub state: Vec<Named>,
}

/// Normalisation of one value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Named {
    /// Name, e.g. `x`.
    pub name: String,
    /// Normalisation.
    pub mode: Normalisation,
}

/// Statistics with one value for each dimension.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Columns {
    /// Mean.
    pub mean: Vec<f64>,
    /// Standard deviation.
    pub std: Vec<f64>,
    /// Maximum.
    pub max: Vec<f64>,
    /// Minimum.
    pub min: Vec<f64>,
    /// 1 % quantile.
    pub q01: Vec<f64>,
    /// 99 % quantile.
    pub q99: Vec<f64>,
    /// False where a dimension is 0 or 1; does not determine how the others were normalised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mask: Option<Vec<bool>>,
}

impl DatasetStatistics {
    /// Reads the file of a run directory.
    ///
    /// # Errors
    /// When it is missing or damaged, or a number in it is not finite.
    pub fn read(directory: &Path) -> Result<Self, ModelError> {
        let path = directory.join(STATISTICS);
        let text = files::read_text(&path, files::TABLE).map_err(|e| ModelError::read(&path, e))?;
        serde_json::from_str(&text).map_err(|e| {
            // Python writes NaN and Infinity, which are not JSON.
            let bad = (1..)
                .zip(text.lines())
                .find(|(_, line)| line.contains("NaN") || line.contains("Infinity"));
            match bad {
                Some((line, found)) => {
                    let found = found.trim();
                    ModelError::read(&path, format!("expected finite numbers, found {found} in line {line}"))
                }
                None => json::refuse(&path, text.as_bytes(), &e),
            }
        })
    }

    /// Returns the statistics of the given tag, or the only ones.
    ///
    /// # Errors
    /// When there is no such tag, or several and none is given; names the tags.
    pub fn choose<'a>(
        &'a self,
        directory: &Path,
        tag: Option<&str>,
    ) -> Result<(&'a str, &'a RobotStatistics), ModelError> {
        let tags = || self.0.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        let refuse = |expected: &str, found: &str| {
            let message = format!("expected {expected}, found {found}; choose one with --tag");
            ModelError::read(&directory.join(STATISTICS), message)
        };
        let mut all = self.0.iter();
        match (tag, all.next(), all.next()) {
            (Some(tag), ..) => self
                .0
                .get_key_value(tag)
                .map(|(tag, of)| (tag.as_str(), of))
                .ok_or_else(|| refuse(&format!("the tag {tag}"), &tags())),
            (None, Some((tag, of)), None) => Ok((tag, of)),
            (None, None, _) => Err(refuse("statistics of a robot", "none")),
            (None, Some(_), Some(_)) => Err(refuse("one tag", &tags())),
        }
    }
}

impl Modes {
    /// Creates the normalisation from the dimensions of a contract.
    pub fn of(action: &[DimensionStatistics], state: &[DimensionStatistics]) -> Self {
        let named = |of: &DimensionStatistics| Named {
            name: of.name.clone(),
            mode: of.normalisation,
        };
        Self {
            action: action.iter().map(named).collect(),
            state: state.iter().map(named).collect(),
        }
    }
}

/// Error of a run's statistics.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StatisticsError {
    /// The lists have other lengths than there are dimensions.
    #[error("expected {expected} values in each of mean, std, max, min, q01 and q99, found {found:?}")]
    Lengths {
        /// Number of dimensions.
        expected: usize,
        /// Lengths of the lists, in the order named.
        found: [usize; 6],
    },
    /// The normalisation of actions is not known.
    #[error(
        "it does not say how the {count} values of an action of {tag} were normalised; give --robot a contract whose \
         data.statistics name them and say so"
    )]
    Unknown {
        /// Number of values of an action.
        count: usize,
        /// Tag of the statistics.
        tag: String,
    },
    /// The normalisation of the state is not known.
    #[error(
        "the run is told the robot's state, {expected} values; give --robot a contract whose data.state names as many, \
         found {found}"
    )]
    State {
        /// Number of values of the run's state.
        expected: usize,
        /// Number of values of the contract's state.
        found: usize,
    },
    /// The run names the normalisation of another number of values.
    #[error("normalisation of {tag}: expected {expected} values of an action, found {found}")]
    Normalisation {
        /// Tag of the statistics.
        tag: String,
        /// Number of values of an action.
        expected: usize,
        /// Number of values that are named.
        found: usize,
    },
    /// The mask has another length than an action.
    #[error("mask of {tag}: expected {expected} values, found {found}")]
    Mask {
        /// Tag of the statistics.
        tag: String,
        /// Number of values of an action.
        expected: usize,
        /// Length of the mask.
        found: usize,
    },
}

impl Columns {
    /// Returns the number of dimensions.
    pub fn len(&self) -> usize {
        self.min.len()
    }

    /// Reports whether there are no dimensions.
    pub fn is_empty(&self) -> bool {
        self.min.is_empty()
    }

    /// Converts to the dimensions of a contract.
    ///
    /// # Errors
    /// When the lists differ in length.
    pub fn dimensions(
        &self,
        normalisations: &[(String, Normalisation)],
    ) -> Result<Vec<DimensionStatistics>, StatisticsError> {
        let lists = [&self.mean, &self.std, &self.max, &self.min, &self.q01, &self.q99];
        let lengths = lists.map(Vec::len);
        if lengths != [normalisations.len(); 6] {
            return Err(StatisticsError::Lengths {
                expected: normalisations.len(),
                found: lengths,
            });
        }
        let columns = self
            .mean
            .iter()
            .zip(&self.std)
            .zip(&self.max)
            .zip(&self.min)
            .zip(&self.q01)
            .zip(&self.q99);
        Ok(columns
            .zip(normalisations)
            .map(
                |((((((mean, std), max), min), q01), q99), (name, normalisation))| DimensionStatistics {
                    name: name.clone(),
                    normalisation: *normalisation,
                    min: *min,
                    max: *max,
                    mean: *mean,
                    std: *std,
                    q01: *q01,
                    q99: *q99,
                },
            )
            .collect())
    }

    /// Creates the statistics from the dimensions of a contract.
    pub fn of(dimensions: &[DimensionStatistics]) -> Self {
        let column = |value: fn(&DimensionStatistics) -> f64| dimensions.iter().map(value).collect();
        Self {
            mean: column(|of| of.mean),
            std: column(|of| of.std),
            max: column(|of| of.max),
            min: column(|of| of.min),
            q01: column(|of| of.q01),
            q99: column(|of| of.q99),
            mask: Some(
                dimensions
                    .iter()
                    .map(|of| of.normalisation != Normalisation::Binary)
                    .collect(),
            ),
        }
    }
}
