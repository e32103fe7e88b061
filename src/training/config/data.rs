//! Settings of the demonstrations in a training run.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::check::{SettingProblem, first_of, unless};
use crate::training::data::augment::Augmentation;

/// Settings of the demonstrations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataSettings {
    /// Datasets of the mixture.
    pub datasets: Vec<DatasetShare>,
    /// Samples of one forward pass.
    pub batch: usize,
    /// Forward passes of one step.
    pub accumulate: usize,
    /// Threads that decode and resize.
    pub workers: usize,
    /// Batches that each thread may be ahead.
    pub ahead: usize,
    /// Whether actions after the end of an episode are learned, as in StarVLA, or masked.
    pub learn_padding: bool,
    /// Fraction of samples that are not shown the geometry condition.
    pub drop_geometry: f64,
    /// Fraction of samples that are not shown the reasoning condition.
    pub drop_reasoning: f64,
    /// Random augmentation of the images.
    pub augment: Augmentation,
    /// Whether the outputs of the vision blocks are computed once for every row and kept in memory; for a selection
    /// that leaves patch embedding and blocks frozen.
    pub keep_vision: bool,
}

impl Default for DataSettings {
    fn default() -> Self {
        Self {
            datasets: Vec::new(),
            batch: 32,
            accumulate: 1,
            workers: 2,
            ahead: 2,
            learn_padding: true,
            drop_geometry: 0.0,
            drop_reasoning: 0.0,
            augment: Augmentation::default(),
            keep_vision: false,
        }
    }
}

/// Dataset of a mixture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatasetShare {
    /// Folder of the dataset.
    pub path: PathBuf,
    /// Sampling weight, relative to the other datasets.
    #[serde(default = "super::one")]
    pub weight: f64,
}

impl DataSettings {
    /// Returns a setting that cannot work, if there is one; the datasets and the augmentation are checked elsewhere.
    pub(super) fn problem(&self) -> Option<SettingProblem> {
        let share = |v: f64| (0.0..1.0).contains(&v);
        let fraction = "0 or more and less than 1";
        first_of([
            unless(self.batch > 0, "data.batch", "at least 1", "0"),
            unless(self.accumulate > 0, "data.accumulate", "at least 1", "0"),
            unless(self.workers > 0, "data.workers", "at least 1", "0"),
            unless(
                share(self.drop_geometry),
                "data.drop_geometry",
                fraction,
                self.drop_geometry,
            ),
            unless(
                share(self.drop_reasoning),
                "data.drop_reasoning",
                fraction,
                self.drop_reasoning,
            ),
        ])
    }
}
