//! What is to be done: a goal in our own terms, and the training configuration it becomes.

use std::path::{Path, PathBuf};

use ros_env::thinkvla::action::FineTune_Goal;
use serde::{Deserialize, Serialize};

use super::settings::Settings;
use crate::training::config::{DatasetShare, TrainingConfig};
use crate::training::settings::Selection;

/// Longest warm-up as a share of the run: the template's is made for long ones.
const WARM_UP: f64 = 0.1;

/// What learns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Adapters and action head.
    Added,
    /// Differences of low rank of the backbone; adapters and action head whole.
    Lora,
    /// All weights.
    Everything,
}

/// How long.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Length {
    /// So many steps.
    Steps(u64),
    /// So many minutes, the loading of the checkpoint included.
    Minutes(f64),
}

/// A goal that can be taken up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// Checkpoint to begin with.
    pub checkpoint: PathBuf,
    /// Folders of the datasets.
    pub datasets: Vec<PathBuf>,
    /// Directory of the run, absolute.
    pub out: PathBuf,
    /// What learns.
    pub mode: Mode,
    /// How long.
    pub length: Length,
    /// Share of episodes held out.
    pub validation_share: f64,
}

impl Order {
    /// What a goal asks for; a relative `out` lies in `runs`.
    ///
    /// # Errors
    /// Names the field that cannot work, what was expected and what was found.
    pub fn of(goal: &FineTune_Goal, runs: &Path) -> Result<Self, String> {
        let refuse = |field: &str, expected: &str, found: &dyn std::fmt::Display| {
            Err(format!("{field}: expected {expected}, found {found}"))
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

    /// The training run of so many steps, made of what people set up for all runs of this node.
    pub fn configuration(&self, settings: &Settings, steps: u64) -> TrainingConfig {
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

/// Differences of low rank where the template has another selection: those of attention, at the rank that is usual.
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
            Order::of(&goal, Path::new("/runs")).unwrap_err()
        };
        assert!(refusal(|g| g.mode = 3).starts_with("mode: expected"));
        assert!(refusal(|g| g.minutes = 2.0).contains("found steps 50 and minutes 2"));
        assert!(refusal(|g| (g.steps, g.minutes) = (0, f64::NAN)).starts_with("steps, minutes"));
        assert!(refusal(|g| g.validation_share = 1.0).starts_with("validation_share"));
        assert!(refusal(|g| g.datasets.clear()).starts_with("datasets"));
        assert!(refusal(|g| g.out = " ".into()).starts_with("out"));
        let order = Order::of(&goal(), Path::new("/runs")).unwrap();
        assert_eq!(
            (order.out, order.length),
            (PathBuf::from("/runs/mine"), Length::Steps(50))
        );
    }
}
