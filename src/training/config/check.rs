//! Validation of a training configuration; errors name the field.

use std::fmt;
use std::path::Path;

use super::TrainingConfig;
use super::settings::Distill;
use crate::model::trainable::{Selection, is_under};
use crate::training::error::RunError;

/// Modules of the vision tower that `data.keep_vision` needs frozen.
const TOWER: [&str; 3] = [
    "model.visual.patch_embed",
    "model.visual.pos_embed",
    "model.visual.blocks",
];

/// Setting that cannot work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::training) struct SettingProblem {
    /// Field of the configuration.
    pub(in crate::training) field: &'static str,
    /// Values that work.
    pub(in crate::training) expected: &'static str,
    /// Value found.
    pub(in crate::training) found: String,
}

impl fmt::Display for SettingProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, expected, found } = self;
        write!(f, "{field}: expected {expected}, found {found}")
    }
}

/// Returns the problem of a setting, unless it works.
pub(in crate::training) fn unless(
    works: bool,
    field: &'static str,
    expected: &'static str,
    found: impl ToString,
) -> Option<SettingProblem> {
    (!works).then(|| SettingProblem {
        field,
        expected,
        found: found.to_string(),
    })
}

/// Returns the first problem, if there is one.
pub(in crate::training) fn first_of<const N: usize>(problems: [Option<SettingProblem>; N]) -> Option<SettingProblem> {
    problems.into_iter().flatten().next()
}

impl TrainingConfig {
    /// Refuses settings that cannot work; `path` is named in the error.
    ///
    /// # Errors
    /// When a setting cannot work; names the field, what was expected and what was found.
    pub fn validate(&self, path: &Path) -> Result<(), RunError> {
        let problem = self
            .run_problem()
            .or_else(|| self.data.problem())
            .or_else(|| self.interval_problem())
            .or_else(|| self.text.problem())
            .or_else(|| self.data.augment.problem())
            .or_else(|| self.vision_problem());
        if let Some(problem) = problem {
            return Err(RunError::config(path, problem.to_string()));
        }
        self.device()
            .map(drop)
            .map_err(|e| RunError::config(path, format!("device: {e}")))
    }

    /// Returns what is wrong with the files, the length or the method of the run.
    fn run_problem(&self) -> Option<SettingProblem> {
        let weights: Vec<f64> = self.data.datasets.iter().map(|one| one.weight).collect();
        first_of([
            unless(
                !self.checkpoint.as_os_str().is_empty(),
                "checkpoint",
                "a directory",
                "none",
            ),
            unless(
                !self.out.as_os_str().is_empty(),
                "out",
                "a directory (or --out)",
                "none",
            ),
            unless(self.steps > 0, "steps", "at least 1", self.steps),
            unless(!weights.is_empty(), "data.datasets", "at least one", "none"),
            unless(
                weights.iter().copied().all(positive),
                "data.datasets.weight",
                "positive numbers",
                format!("{weights:?}"),
            ),
            unless(
                self.method.privileged_every > 0 && self.method.privileged_tokens > 0,
                "method",
                "privileged_every and privileged_tokens of at least 1",
                "0",
            ),
        ])
    }

    /// Returns what is wrong with measurements, checkpoints or learning rates.
    fn interval_problem(&self) -> Option<SettingProblem> {
        let rates = &self.optimiser.learning_rates;
        first_of([
            unless(
                (0.0..1.0).contains(&self.validation.share),
                "validation.share",
                "0 or more and less than 1",
                self.validation.share,
            ),
            unless(
                self.validation.every_steps > 0 && self.validation.batches > 0,
                "validation",
                "every_steps and batches of at least 1",
                "0",
            ),
            unless(
                self.checkpoints.every_steps > 0,
                "checkpoints.every_steps",
                "at least 1",
                "0",
            ),
            unless(self.checkpoints.keep > 0, "checkpoints.keep", "at least 1", "0"),
            unless(
                [rates.base, rates.qwen_vl_interface, rates.action_model]
                    .into_iter()
                    .all(positive),
                "optimiser.learning_rates",
                "positive numbers",
                format!("{rates:?}"),
            ),
        ])
    }

    /// Returns the setting that does not fit kept vision, or a run without the action loss.
    fn vision_problem(&self) -> Option<SettingProblem> {
        let frozen = |key: &str| match &self.selection {
            Selection::Everything => false,
            Selection::Added { also } => !also.iter().any(|path| touches(path, key)),
            Selection::Only { modules } => !modules.iter().any(|path| touches(path, key)),
            Selection::AllBut { modules } => modules.iter().any(|path| is_under(key, path)),
            Selection::Lora { .. } => false,
        };
        let moving = TOWER.iter().find(|key| !frozen(key));
        let problem = |field, expected, found| Some(SettingProblem { field, expected, found });
        match (self.data.keep_vision, moving) {
            (true, Some(key)) => problem(
                "data.keep_vision",
                "a selection that leaves the vision tower's patch_embed, pos_embed and blocks as they are",
                format!("one that trains {key}"),
            ),
            (true, None) if !self.data.augment.is_off() => problem(
                "data.augment",
                "nothing, since data.keep_vision sees every picture once",
                format!("{:?}", self.data.augment),
            ),
            (true, None) if self.method.geometry_weight != 0.0 => problem(
                "method.geometry_weight",
                "0 with data.keep_vision, since the tower cannot be aligned any more",
                self.method.geometry_weight.to_string(),
            ),
            (true, None) if self.method.distill == Distill::Privileged => problem(
                "method.distill",
                "none or anchor with data.keep_vision, since the privileged teacher needs the pictures",
                format!("{:?}", self.method.distill),
            ),
            (false, _) if self.method.action_weight == 0.0 && self.method.distill != Distill::None => problem(
                "method.distill",
                "none, since method.action_weight is 0 and nothing behind the vision tower is computed",
                format!("{:?}", self.method.distill),
            ),
            _ => None,
        }
    }
}

fn positive(value: f64) -> bool {
    value.is_finite() && value > 0.0
}

/// Returns whether one of two module paths lies under the other, or they are the same.
fn touches(path: &str, module: &str) -> bool {
    is_under(module, path) || is_under(path, module)
}
