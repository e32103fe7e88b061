//! Results of a comparison with a dataset.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use super::errors::{ChunkDeviation, ChunkErrors, MotionErrors};
use crate::contract::Composition;
use crate::dataset::At;

/// One row; chunks in metres, radians and gripper opening, row major.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RowResult {
    /// Position of the row: episode and frame.
    #[serde(flatten)]
    pub at: At,
    /// Instruction.
    pub instruction: String,
    /// Recorded chunk, as far as the episode goes.
    pub recorded: Vec<f64>,
    /// The policy's chunk.
    pub own: Vec<f64>,
    /// The policy's chunk with the pictures of a row of another episode.
    pub shuffled: Vec<f64>,
}

/// Settings of a comparison.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ComparisonSetting {
    /// Hash of the checkpoint.
    pub checkpoint: String,
    /// Folder of the dataset.
    pub dataset: PathBuf,
    /// Whether only episodes count that the checkpoint's training held out.
    pub held_out: bool,
    /// Number of the dataset's rows in these episodes.
    pub rows_of_dataset: usize,
    /// Seed of the rows' order.
    pub seed: u64,
    /// Steps of a chunk.
    pub chunk_len: usize,
}

/// Errors of a policy and of two baselines on the same rows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OpenLoop {
    /// Settings of the comparison.
    pub setting: ComparisonSetting,
    /// Number of rows compared.
    pub rows: usize,
    /// Errors of the policy.
    pub policy: ChunkErrors,
    /// Errors of the policy with the pictures of another episode; a policy that uses its images is much worse then.
    pub shuffled: ChunkErrors,
    /// Errors of the median of each value over all selectable rows of the dataset: the best chunk that ignores all
    /// inputs.
    pub constant: ChunkErrors,
}

impl OpenLoop {
    pub(super) fn of(
        setting: ComparisonSetting,
        rows: &[RowResult],
        constant: &[f64],
        composition: Composition,
    ) -> Self {
        let errors = |given: &dyn Fn(&RowResult) -> Vec<f64>| {
            let of = |row: &RowResult| ChunkDeviation::of(&given(row), &row.recorded, composition);
            ChunkErrors::of(&rows.iter().filter_map(of).collect::<Vec<_>>())
        };
        Self {
            setting,
            rows: rows.len(),
            policy: errors(&|row| row.own.clone()),
            shuffled: errors(&|row| row.shuffled.clone()),
            constant: errors(&|_| constant.to_vec()),
        }
    }
}

impl fmt::Display for OpenLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ComparisonSetting {
            checkpoint,
            dataset,
            held_out,
            rows_of_dataset,
            seed,
            chunk_len,
        } = &self.setting;
        writeln!(
            f,
            "Policy {checkpoint}; {} of {rows_of_dataset}{} rows of {}, seed {seed}; chunks of {chunk_len} steps.\n",
            self.rows,
            if *held_out { " held-out" } else { "" },
            dataset.display()
        )?;
        writeln!(
            f,
            "| | chunk of | translation p50 [mm] | p95 [mm] | rotation p50 [°] | p95 [°] | gripper agrees |"
        )?;
        writeln!(f, "|---|---|---|---|---|---|---|")?;
        let all = [
            ("the policy", &self.policy),
            ("the policy shown another episode's pictures", &self.shuffled),
            ("nobody: the best constant", &self.constant),
        ];
        for (part, of) in [
            (
                "first action",
                (|errors| errors.first) as fn(&ChunkErrors) -> MotionErrors,
            ),
            ("whole chunk", |errors| errors.whole),
        ] {
            for (whose, errors) in all {
                let errors = of(errors);
                writeln!(
                    f,
                    "| {part} | {whose} | {:.2} | {:.2} | {:.2} | {:.2} | {:.1} % |",
                    errors.translation_mm.p50,
                    errors.translation_mm.p95,
                    errors.rotation_deg.p50,
                    errors.rotation_deg.p95,
                    100.0 * errors.gripper_agreement
                )?;
            }
        }
        Ok(())
    }
}
