//! Metrics of every step of a run: one JSON object per line.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::RunError;
use super::projection_similarity::Similarity;
use crate::files;

/// File name of the metrics in the directory of a run.
pub const METRICS: &str = "metrics.jsonl";

/// Metrics of one step.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Scalars {
    /// Number of steps taken, this one included.
    pub step: u64,
    /// L1 error of normalised actions, if they are learned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<f64>,
    /// Geometry loss, if geometry is aligned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub geometry: Option<f64>,
    /// Reasoning loss, if there is distillation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<f64>,
    /// Cross-entropy of answers, if they are learned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<f64>,
    /// Weighted sum of the losses.
    pub total: f64,
    /// Cosine of teacher and student before the adapter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cosine: Option<f64>,
    /// Variance of the teacher's anchors over the batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teacher_variance: Option<f64>,
    /// Norm of all gradients before clipping.
    pub gradient_norm: f64,
    /// Norms of the groups base, qwen_vl_interface and action_model.
    pub gradient_norms: [f64; 3],
    /// Learning rates of the same groups.
    pub learning_rates: [f64; 3],
    /// Duration of the step, including the wait for data (s).
    pub seconds: f64,
    /// Time spent waiting for data (s).
    pub data_wait_s: f64,
    /// Mean action error of held-out episodes, if it was measured after this step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_out: Option<f64>,
    /// The same error when every sample is shown the images of another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_out_shuffled: Option<f64>,
    /// The same error of the best constant chunk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_out_constant: Option<f64>,
    /// Projection-space similarity of the two streams' gradients, if it was measured before this step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub similarity: Option<Similarity>,
    /// Mean cross-entropy of held-out answers, if it was measured after this step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_out_text: Option<f64>,
}

impl Scalars {
    /// Returns the values with their names in TensorBoard.
    pub fn named(&self) -> Vec<(&'static str, f64)> {
        let [base, backbone, head] = self.gradient_norms;
        let [base_rate, backbone_rate, head_rate] = self.learning_rates;
        let always = [
            ("loss/total", self.total),
            ("gradient_norm/all", self.gradient_norm),
            ("gradient_norm/base", base),
            ("gradient_norm/qwen_vl_interface", backbone),
            ("gradient_norm/action_model", head),
            ("learning_rate/base", base_rate),
            ("learning_rate/qwen_vl_interface", backbone_rate),
            ("learning_rate/action_model", head_rate),
            ("time/step_s", self.seconds),
            ("time/data_wait_s", self.data_wait_s),
        ];
        let sometimes = [
            ("loss/action", self.action),
            ("loss/geometry", self.geometry),
            ("loss/reasoning", self.reasoning),
            ("loss/text", self.text),
            ("teacher/cosine", self.cosine),
            ("teacher/variance", self.teacher_variance),
            ("held_out/action", self.held_out),
            ("held_out/action_shuffled", self.held_out_shuffled),
            ("held_out/action_constant", self.held_out_constant),
            ("held_out/text", self.held_out_text),
            ("similarity/of_streams", self.similarity.map(|of| of.similarity)),
            ("similarity/by_chance", self.similarity.map(|of| of.chance)),
            (
                "similarity/rank_of_answers",
                self.similarity.map(|of| of.ranks[0] as f64),
            ),
            (
                "similarity/rank_of_actions",
                self.similarity.map(|of| of.ranks[1] as f64),
            ),
        ];
        let sometimes = sometimes.into_iter().filter_map(|(name, value)| Some((name, value?)));
        always.into_iter().chain(sometimes).collect()
    }
}

/// Metrics file of a run.
#[derive(Debug)]
pub struct MetricsFile {
    path: PathBuf,
    file: File,
}

impl MetricsFile {
    /// Opens the file to continue after step `step`; lines of later steps and partial lines of a killed run are
    /// removed.
    ///
    /// # Errors
    /// When reading or writing fails.
    pub fn open(out: &Path, step: u64) -> Result<Self, RunError> {
        let path = out.join(METRICS);
        let old = match files::read_text(&path, files::LINES) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(RunError::file("read", &path)(error)),
        };
        let kept = |line: &&str| serde_json::from_str::<Scalars>(line).is_ok_and(|of| of.step <= step);
        let kept: String = old.lines().filter(kept).flat_map(|line| [line, "\n"]).collect();
        if kept != old {
            let aside = path.with_extension("new");
            std::fs::write(&aside, kept).map_err(RunError::file("write", &aside))?;
            std::fs::rename(&aside, &path).map_err(RunError::file("write", &path))?;
        }
        let file = OpenOptions::new().append(true).create(true).open(&path);
        Ok(Self {
            file: file.map_err(RunError::file("write", &path))?,
            path,
        })
    }

    /// Reads all steps of the run so far.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn all(&self) -> Result<Vec<Scalars>, RunError> {
        let text = files::read_text(&self.path, files::LINES).map_err(RunError::file("read", &self.path))?;
        let lines = text.lines().map(serde_json::from_str);
        lines
            .collect::<Result<_, _>>()
            .map_err(RunError::file("read", &self.path))
    }

    /// Appends a line.
    ///
    /// # Errors
    /// When writing fails.
    pub fn add(&mut self, scalars: &Scalars) -> Result<(), RunError> {
        let line = serde_json::to_string(scalars).map_err(RunError::file("write", &self.path))? + "\n";
        self.file
            .write_all(line.as_bytes())
            .map_err(RunError::file("write", &self.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resumed_run_goes_on_where_its_checkpoint_was() {
        let folder = tempfile::tempdir().unwrap();
        let line = |step| Scalars {
            step,
            action: Some(0.1 + 0.2),
            ..Scalars::default()
        };
        let mut metrics = MetricsFile::open(folder.path(), 0).unwrap();
        for step in 1..=5 {
            metrics.add(&line(step)).unwrap();
        }
        metrics.file.write_all(b"{\"step\": 6, \"act").unwrap();
        MetricsFile::open(folder.path(), 3).unwrap().add(&line(4)).unwrap();
        let text = std::fs::read_to_string(folder.path().join(METRICS)).unwrap();
        let found: Vec<Scalars> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(found, (1..=4).map(line).collect::<Vec<_>>());
    }
}
