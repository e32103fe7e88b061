//! Results of trials, and the report on them.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::smoothness::Smoothness;
use crate::stats::{SuccessRate, percentile};

/// Settings that all trials of an evaluation share; another value makes it another evaluation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// `expert`, or the hash of the checkpoint.
    pub policy: String,
    /// Time from a picture to the arm having its chunk (ms); absent where the time of each inference counts.
    pub latency_ms: Option<f64>,
    /// Steps of a chunk that are executed before the next one is computed.
    pub replan_steps: u32,
    /// Simulated time after which a trial has failed (s).
    pub time_limit_s: f64,
    /// Whether the policy gets the camera images of another episode.
    pub shuffled_cameras: bool,
    /// Hash of the parameters of table-top and arm.
    pub parameters: String,
}

/// Identifies a trial.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Trial {
    /// Task.
    pub task: String,
    /// Level of the factor the task is about.
    pub variation: u8,
    /// Seed of the scene and of the sensor noise.
    pub seed: u64,
}

impl Trial {
    /// Returns the file name of the trial's pictures, without extension.
    pub fn file_name(&self) -> String {
        format!("{}-{}-{}", self.task, self.variation, self.seed)
    }
}

/// Result of a trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrialResult {
    /// The trial.
    #[serde(flatten)]
    pub trial: Trial,
    /// The judge's verdict.
    pub success: bool,
    /// Conditions of success that held at the end.
    pub detail: String,
    /// Simulated time to success, or to the limit (s).
    pub seconds: f64,
    /// Number of chunks the arm took.
    pub chunks: u64,
    /// Number of commands sent to the arm.
    pub commands: u64,
    /// Number of commands the gate changed.
    pub clamps: u64,
    /// Number of chunks, commands and requests refused.
    pub refusals: u64,
    /// Number of chunks that ran out before the next one came.
    pub underruns: u64,
    /// Number of events of each check, by `kind check`, e.g. `clamped velocity`.
    pub events: BTreeMap<String, u64>,
    /// Smoothness of the commands.
    pub smoothness: Smoothness,
}

/// Figures over several trials.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrialGroup {
    /// Task.
    pub task: String,
    /// Variation; absent for the whole task.
    pub variation: Option<u8>,
    /// Success rate.
    pub success: SuccessRate,
    /// Median time of the successful trials (s); absent where there is none.
    pub seconds_p50: Option<f64>,
    /// Largest velocity step at a seam, median over trials (rad/s).
    pub seam_velocity_step_p50: Option<f64>,
    /// Largest velocity step at a seam, worst trial (rad/s).
    pub seam_velocity_step_max: Option<f64>,
    /// Largest jerk at a seam, median over trials (rad/s^3).
    pub seam_jerk_p50: Option<f64>,
    /// Root mean square jerk, median over trials (rad/s^3).
    pub rms_jerk_p50: Option<f64>,
    /// Share of commands that the gate changed, 0 to 1.
    pub clamped_share: f64,
    /// Chunks, commands and requests refused, all trials.
    pub refusals: u64,
    /// Chunks that ran out, all trials.
    pub underruns: u64,
}

/// Report on an evaluation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrialsReport {
    /// Settings that all trials share.
    pub setting: Setting,
    /// Figures of each task, each followed by those of its variations.
    pub groups: Vec<TrialGroup>,
    /// Number of events of each check over all trials.
    pub events: BTreeMap<String, u64>,
    /// Every trial.
    pub trials: Vec<TrialResult>,
}

impl TrialsReport {
    /// Summarises trials, in whatever order they were made.
    pub fn of(setting: Setting, mut trials: Vec<TrialResult>) -> Self {
        trials.sort_by(|a, b| a.trial.cmp(&b.trial));
        let mut groups = Vec::new();
        let mut tasks: Vec<&str> = trials.iter().map(|of| of.trial.task.as_str()).collect();
        tasks.dedup();
        for task in tasks {
            let of_task: Vec<_> = trials.iter().filter(|of| of.trial.task == task).collect();
            groups.push(TrialGroup::of(task, None, &of_task));
            let mut variations: Vec<u8> = of_task.iter().map(|of| of.trial.variation).collect();
            variations.dedup();
            for variation in variations {
                let some: Vec<_> = of_task
                    .iter()
                    .copied()
                    .filter(|of| of.trial.variation == variation)
                    .collect();
                groups.push(TrialGroup::of(task, Some(variation), &some));
            }
        }
        let mut events = BTreeMap::new();
        for (event, times) in trials.iter().flat_map(|of| &of.events) {
            *events.entry(event.clone()).or_default() += times;
        }
        Self {
            setting,
            groups,
            events,
            trials,
        }
    }
}

impl TrialGroup {
    fn of(task: &str, variation: Option<u8>, trials: &[&TrialResult]) -> Self {
        let values = |of: &dyn Fn(&TrialResult) -> f64| trials.iter().map(|trial| of(trial)).collect::<Vec<_>>();
        let sum = |of: &dyn Fn(&TrialResult) -> u64| trials.iter().map(|trial| of(trial)).sum::<u64>();
        let successes = trials.iter().filter(|trial| trial.success);
        let seconds: Vec<_> = successes.map(|trial| trial.seconds).collect();
        let steps = values(&|of| of.smoothness.seam_velocity_step);
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Self {
            task: task.to_owned(),
            variation,
            success: SuccessRate::of(count(seconds.len()), count(trials.len())),
            seconds_p50: percentile(&seconds, 50.0),
            seam_velocity_step_p50: percentile(&steps, 50.0),
            seam_velocity_step_max: percentile(&steps, 100.0),
            seam_jerk_p50: percentile(&values(&|of| of.smoothness.seam_jerk), 50.0),
            rms_jerk_p50: percentile(&values(&|of| of.smoothness.rms_jerk), 50.0),
            clamped_share: sum(&|of| of.clamps) as f64 / sum(&|of| of.commands).max(1) as f64,
            refusals: sum(&|of| of.refusals),
            underruns: sum(&|of| of.underruns),
        }
    }
}

impl fmt::Display for TrialsReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Setting {
            policy,
            latency_ms,
            replan_steps,
            time_limit_s,
            shuffled_cameras,
            ..
        } = &self.setting;
        let latency = latency_ms.map_or("as measured".to_owned(), |ms| format!("{ms} ms"));
        let cameras = if *shuffled_cameras {
            "; cameras of other episodes"
        } else {
            ""
        };
        writeln!(
            f,
            "Policy {policy}; latency {latency}; a chunk every {replan_steps} steps; {time_limit_s} s a trial{cameras}.\n"
        )?;
        writeln!(
            f,
            "| task | variation | successes | 95 % interval (Wilson) | time p50 [s] | seam velocity step p50 / max [rad/s] \
             | seam jerk p50 [rad/s³] | RMS jerk p50 [rad/s³] | clamped | refused | underruns |"
        )?;
        writeln!(f, "|---|---|---|---|---|---|---|---|---|---|---|")?;
        for group in &self.groups {
            let SuccessRate {
                successes,
                trials,
                low,
                high,
            } = group.success;
            let number = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.3}"));
            writeln!(
                f,
                "| {} | {} | {successes} / {trials} | {:.1} – {:.1} % | {} | {} / {} | {} | {} | {:.2} % | {} | {} |",
                group.task,
                group
                    .variation
                    .map_or("all".to_owned(), |variation| variation.to_string()),
                100.0 * low,
                100.0 * high,
                group.seconds_p50.map_or("–".to_owned(), |value| format!("{value:.1}")),
                number(group.seam_velocity_step_p50),
                number(group.seam_velocity_step_max),
                number(group.seam_jerk_p50),
                number(group.rms_jerk_p50),
                100.0 * group.clamped_share,
                group.refusals,
                group.underruns,
            )?;
        }
        if !self.events.is_empty() {
            writeln!(f, "\n| event | times |\n|---|---|")?;
            for (event, times) in &self.events {
                writeln!(f, "| {event} | {times} |")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn setting() -> Setting {
        Setting {
            policy: "expert".into(),
            latency_ms: Some(100.0),
            replan_steps: 8,
            time_limit_s: 20.0,
            shuffled_cameras: false,
            parameters: "0".into(),
        }
    }

    pub fn result(variation: u8, seed: u64, success: bool) -> TrialResult {
        TrialResult {
            trial: Trial {
                task: "height".into(),
                variation,
                seed,
            },
            success,
            detail: String::new(),
            seconds: seed as f64,
            chunks: 1,
            commands: 100,
            clamps: 1,
            refusals: 0,
            underruns: 0,
            events: BTreeMap::from([("clamped velocity".into(), 2)]),
            smoothness: Smoothness::default(),
        }
    }

    #[test]
    fn a_report_does_not_depend_on_the_order_of_its_trials() {
        let mut trials: Vec<_> = (0..9).map(|i| result((i % 3) as u8, i, i != 4)).collect();
        let forward = TrialsReport::of(setting(), trials.clone());
        trials.reverse();
        assert_eq!(TrialsReport::of(setting(), trials), forward);
        assert_eq!(forward.groups.len(), 4);
        assert_eq!(
            (forward.groups[0].success.successes, forward.groups[0].success.trials),
            (8, 9)
        );
        assert_eq!(forward.events["clamped velocity"], 18);
    }

    #[test]
    fn a_task_that_never_succeeds_has_no_time_and_no_nonsense() {
        let report = TrialsReport::of(setting(), vec![result(0, 1, false)]);
        assert_eq!(report.groups[0].seconds_p50, None);
        let text = report.to_string();
        assert!(text.contains("0 / 1") && !text.contains("NaN"), "{text}");
    }
}
