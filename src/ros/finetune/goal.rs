//! A validated goal, and the training configuration made from it.

use std::path::{Path, PathBuf};

use ros_env::thinkvla::action::FineTune_Goal;
use serde::{Deserialize, Serialize};

use super::error::FinetuneError;
use super::settings::FinetuneSettings;
use crate::model::trainable::Selection;
use crate::training::config::{DatasetShare, TrainingConfig};

/// Longest warm-up as a share of the run; the template's warm-up is meant for long runs.
const WARM_UP: f64 = 0.1;

/// Weights that are trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Adapters and action head.
    Added,
    /// LoRA of the backbone; adapters and action head in full.
    Lora,
    /// All weights.
    Everything,
}

/// Length of a run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Length {
    /// Number of steps.
    Steps(u64),
    /// Duration (min), including the loading of the checkpoint.
    Minutes(f64),
}

/// A validated goal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainingGoal {
    /// Checkpoint to start from.
    pub checkpoint: PathBuf,
    /// Folders of the datasets.
    pub datasets: Vec<PathBuf>,
    /// Directory of the run, absolute.
    pub out: PathBuf,
    /// Weights that are trained.
    pub mode: Mode,
    /// Length of the run.
    pub length: Length,
    /// Share of episodes held out.
    pub validation_share: f64,
}

impl TrainingGoal {
    /// Validates a goal; a relative `out` is resolved in `runs`.
    ///
    /// # Errors
    /// Names the first invalid field, what was expected and what was found.
    pub fn of(goal: &FineTune_Goal, runs: &Path) -> Result<Self, FinetuneError> {
        let refuse = |field, expected, found: &dyn std::fmt::Display| {
            Err(FinetuneError::Field {
                field,
                expected,
                found: found.to_string(),
            })
        };
        let mode = match goal.mode {
            FineTune_Goal::ADDED => Mode::Added,
            FineTune_Goal::LORA => Mode::Lora,
            FineTune_Goal::EVERYTHING => Mode::Everything,
            other => return refuse("mode", "0 (added), 1 (lora) or 2 (everything)", &other),
        };
        let length = match (goal.steps, goal.minutes) {
            (steps @ 1.., 0.0) => Length::Steps(steps),
            (0, minutes) if minutes.is_finite() && minutes > 0.0 => Length::Minutes(minutes),
            (steps, minutes) => {
                let found = format!("steps {steps} and minutes {minutes}");
                return refuse("steps, minutes", "one of them above 0 and the other 0", &found);
            }
        };
        if !(0.0..1.0).contains(&goal.validation_share) {
            return refuse("validation_share", "0 or more and less than 1", &goal.validation_share);
        }
        if goal.checkpoint.trim().is_empty() {
            return refuse("checkpoint", "a checkpoint directory", &"none");
        }
        if goal.datasets.is_empty() || goal.datasets.iter().any(|path| path.trim().is_empty()) {
            return refuse(
                "datasets",
                "at least one folder, and no empty names",
                &format!("{:?}", goal.datasets),
            );
        }
        if goal.out.trim().is_empty() {
            return refuse("out", "a directory", &"none");
        }
        Ok(Self {
            checkpoint: goal.checkpoint.trim().into(),
            datasets: goal.datasets.iter().map(|path| path.trim().into()).collect(),
            out: runs.join(goal.out.trim()),
            mode,
            length,
            validation_share: goal.validation_share,
        })
    }

    /// Makes the training configuration for this many steps, from the node's template and the goal.
    pub fn configuration(&self, settings: &FinetuneSettings, steps: u64) -> TrainingConfig {
        let mut config = settings.template.clone();
        config.checkpoint.clone_from(&self.checkpoint);
        config.out.clone_from(&self.out);
        config.steps = steps;
        config.threads = Some(settings.threads);
        config.data.datasets = self.datasets.iter().map(|path| share(path)).collect();
        config.validation.share = self.validation_share;
        config.validation.every_steps = config.validation.every_steps.min(steps);
        let longest = (WARM_UP * steps as f64) as u64;
        config.schedule.warmup_steps = config.schedule.warmup_steps.min(longest);
        config.selection = match (self.mode, &config.selection) {
            (Mode::Everything, _) => Selection::Everything,
            (Mode::Added, Selection::Added { .. }) | (Mode::Lora, Selection::Lora { .. }) => config.selection,
            (Mode::Added, _) => Selection::Added { also: Vec::new() },
            (Mode::Lora, _) => attention(),
        };
        if let Some(name) = self.out.file_name() {
            config.name = name.to_string_lossy().into_owned();
        }
        config
    }
}

/// LoRA of the attention projections, rank 16, for a template without a LoRA selection.
fn attention() -> Selection {
    Selection::Lora {
        rank: 16,
        alpha: 32.0,
        modules: ["q_proj", "k_proj", "v_proj", "o_proj"].map(str::to_owned).to_vec(),
    }
}

fn share(path: &Path) -> DatasetShare {
    DatasetShare {
        path: path.to_owned(),
        weight: 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn goal() -> FineTune_Goal {
        FineTune_Goal {
            checkpoint: "start".into(),
            datasets: vec!["data".into()],
            out: "mine".into(),
            steps: 50,
            ..FineTune_Goal::default()
        }
    }

    #[test]
    fn a_goal_that_cannot_work_is_refused_by_its_field() {
        let refusal = |change: fn(&mut FineTune_Goal)| {
            let mut goal = goal();
            change(&mut goal);
            TrainingGoal::of(&goal, Path::new("/runs")).unwrap_err().to_string()
        };
        assert!(refusal(|g| g.mode = 3).starts_with("mode: expected"));
        assert!(refusal(|g| g.minutes = 2.0).contains("found steps 50 and minutes 2"));
        assert!(refusal(|g| (g.steps, g.minutes) = (0, f64::NAN)).starts_with("steps, minutes"));
        assert!(refusal(|g| g.validation_share = 1.0).starts_with("validation_share"));
        assert!(refusal(|g| g.datasets.clear()).starts_with("datasets"));
        assert!(refusal(|g| g.out = " ".into()).starts_with("out"));
        let training_goal = TrainingGoal::of(&goal(), Path::new("/runs")).unwrap();
        assert_eq!(
            (training_goal.out, training_goal.length),
            (PathBuf::from("/runs/mine"), Length::Steps(50))
        );
    }
}
