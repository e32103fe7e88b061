//! Settings of questions and answers in a training run.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::check::{SettingProblem, first_of, unless};

/// Questions and answers that are learned beside the demonstrations, so that the network keeps its language.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TextSettings {
    /// Files of the mixture; without any, no answers are learned.
    pub sources: Vec<TextSource>,
    /// Conversations of one forward pass, packed into one sequence; each pass of demonstrations comes with one.
    pub batch: usize,
    /// Maximum number of tokens of a conversation; the rest is cut off.
    pub longest: usize,
    /// Minimum area of an image at the input of the network (px²).
    pub min_pixels: u64,
    /// Maximum area of an image at the input of the network (px²).
    pub max_pixels: u64,
    /// Threads that decode and resize.
    pub workers: usize,
    /// Batches that each thread may be ahead.
    pub ahead: usize,
    /// Fraction of the images of each source that is held out, with every row that begins with one of them.
    pub held_out_share: f64,
    /// Batches of a measurement on held-out rows; always the same ones.
    pub held_out_batches: u64,
}

impl Default for TextSettings {
    fn default() -> Self {
        Self {
            sources: Vec::new(),
            batch: 4,
            longest: 2048,
            min_pixels: 784,
            max_pixels: 307_200,
            workers: 1,
            ahead: 2,
            held_out_share: 0.0,
            held_out_batches: 16,
        }
    }
}

/// File of questions and answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextSource {
    /// Qwen-VL's finetuning JSON or JSONL, or SpatialReasoner's table (parquet, JSON or JSONL).
    pub path: PathBuf,
    /// Folder that names of images are relative to; `None` is the folder of the file.
    #[serde(default)]
    pub images: Option<PathBuf>,
    /// Sampling weight, relative to the other files.
    #[serde(default = "super::one")]
    pub weight: f64,
    /// Whether answers begin with the checkpoint's reasoning anchors. If `None`, SpatialReasoner's questions about
    /// space do, and other conversations do not.
    #[serde(default)]
    pub anchor: Option<bool>,
    /// Whether it is only used for measurements.
    #[serde(default)]
    pub held_out: bool,
}

impl TextSettings {
    /// Returns the settings that affect what is learned: the numbers of threads and of measured batches do not, and are
    /// reset.
    pub fn learned(&self) -> Self {
        let Self {
            workers,
            ahead,
            held_out_batches,
            ..
        } = Self::default();
        Self {
            workers,
            ahead,
            held_out_batches,
            ..self.clone()
        }
    }

    /// Returns a setting that cannot work, if there is one.
    pub(super) fn problem(&self) -> Option<SettingProblem> {
        let weights: Vec<f64> = self.sources.iter().map(|one| one.weight).collect();
        first_of([
            unless(
                weights.iter().all(|weight| weight.is_finite() && *weight > 0.0),
                "text.sources.weight",
                "positive numbers",
                format!("{weights:?}"),
            ),
            unless(self.batch > 0, "text.batch", "at least 1", "0"),
            unless(self.longest > 0, "text.longest", "at least 1", "0"),
            unless(
                self.min_pixels > 0 && self.min_pixels <= self.max_pixels,
                "text.min_pixels",
                "at least 1, and no more than text.max_pixels",
                format!("{} and {}", self.min_pixels, self.max_pixels),
            ),
            unless(self.workers > 0, "text.workers", "at least 1", "0"),
            unless(
                (0.0..1.0).contains(&self.held_out_share),
                "text.held_out_share",
                "0 or more and less than 1",
                self.held_out_share,
            ),
            unless(self.held_out_batches > 0, "text.held_out_batches", "at least 1", "0"),
        ])
    }
}
