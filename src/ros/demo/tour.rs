//! The demo: the policy in closed loop over ROS, then the scripted expert on the same task, then what came of it.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::contract::Contract;
use crate::eval::machine::Machine;

use super::episode::{self, Episode, Start};
use super::error::RunError;
use super::observed::Film;
use super::observer::CAMERAS;
use super::session::{self, Finished, Session, Simulated};

/// Name of the weights before any training.
const UNTRAINED: &str = "untrained";
/// How far the mean command rate may be from its setting.
const RATE_TOLERANCE: f64 = 0.02;

/// What to show.
#[derive(Debug, Clone)]
pub struct Tour {
    /// Directory of report, picture and logs.
    pub out: PathBuf,
    /// Checkpoint directory of the policy.
    pub checkpoint: PathBuf,
    /// The episode both drivers get.
    pub start: Start,
    /// How long the policy drives [s, simulated].
    pub policy_s: f64,
    /// Images per second of each camera.
    pub camera_rate_hz: f64,
    /// What arm_node is told to send [Hz].
    pub command_rate_hz: f64,
}

/// What came of it; written as `report.json`.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Task of both episodes.
    pub task: String,
    /// Level of the factor the task is about.
    pub variation: u8,
    /// Seed of both episodes.
    pub seed: u64,
    /// Whether the policy did the task, judged by the physics.
    pub success: bool,
    /// Whether the scripted expert did the task, judged by the physics.
    pub expert_success: bool,
    /// Simulated time of the policy's episode [s].
    pub episode_s: f64,
    /// Chunks accepted in both episodes.
    pub chunks: u64,
    /// Commands sent in both episodes.
    pub commands: u64,
    /// Mean while executing, over both episodes [Hz].
    pub command_rate_hz: f64,
    /// What it should be [Hz].
    pub command_rate_setting_hz: f64,
    /// Image to chunk inside the policy, median [ms].
    pub policy_ms_p50: Option<f64>,
    /// The same, 95th percentile [ms].
    pub policy_ms_p95: Option<f64>,
    /// Commands the gate changed.
    pub clamps: u64,
    /// Chunks or commands refused.
    pub refusals: u64,
    /// Non-finite values that left the gate.
    pub nonfinite: u64,
    /// `untrained`, or the checkpoint's name.
    pub weights: String,
    /// What it ran on.
    pub machine: Machine,
    /// Both episodes, in order.
    pub phases: Vec<Episode>,
}

/// What is left after a tour: figures, and frames for the picture.
#[derive(Debug)]
pub struct Outcome {
    /// The figures.
    pub report: Report,
    /// Frames of each camera, by camera and episode.
    pub films: Vec<EpisodeFilm>,
}

/// Frames of one camera in one episode.
#[derive(Debug)]
pub struct EpisodeFilm {
    /// policy or expert.
    pub driver: &'static str,
    /// top or wrist.
    pub camera: &'static str,
    /// The frames.
    pub film: Film,
}

impl Tour {
    /// Runs both episodes; all nodes have ended when this returns.
    ///
    /// # Errors
    /// When a node cannot be started, dies, refuses or stays silent.
    pub fn run(self, tell: impl Fn(&str) + Send + 'static) -> Result<Finished<Outcome>, RunError> {
        let weights = weights(&self.checkpoint)?;
        let logs = self.out.join("logs");
        session::run("demo_observer", &logs, move |session| {
            self.script(session, weights, &tell)
        })
    }

    fn script(&self, session: &Session, weights: String, tell: &impl Fn(&str)) -> Result<Outcome, RunError> {
        tell("starting sim_node, arm_node and policy_node");
        session.start_robot(&Simulated {
            camera_rate_hz: self.camera_rate_hz,
            command_rate_hz: self.command_rate_hz,
        })?;
        session.start_policy(&self.checkpoint)?;
        let mut films = Vec::new();

        tell(&match weights.as_str() {
            UNTRAINED => format!(
                "the policy drives for {} s; its weights are UNTRAINED: it moves the arm, it cannot do the task",
                self.policy_s
            ),
            name => format!("the policy drives for up to {} s with weights {name}", self.policy_s),
        });
        let policy = episode::by_policy(session, &self.start, self.policy_s)?;
        films.extend(take_films(session, "policy"));

        tell("the scripted expert does the task, through the same chunks, arm node and driver topics");
        let expert = episode::by_expert(session, &self.start, None)?;
        films.extend(take_films(session, "expert"));

        Ok(Outcome {
            report: self.report(policy, expert, weights),
            films,
        })
    }

    fn report(&self, policy: Episode, expert: Episode, weights: String) -> Report {
        Report {
            task: self.start.task.clone(),
            variation: self.start.variation,
            seed: self.start.seed,
            success: policy.success,
            expert_success: expert.success,
            episode_s: policy.episode_s,
            chunks: policy.figures.chunks + expert.figures.chunks,
            commands: policy.figures.commands + expert.figures.commands,
            command_rate_hz: policy.figures.executing().and(expert.figures.executing()).rate_hz(),
            command_rate_setting_hz: self.command_rate_hz,
            policy_ms_p50: policy.figures.policy_ms_p50,
            policy_ms_p95: policy.figures.policy_ms_p95,
            clamps: policy.figures.clamps + expert.figures.clamps,
            refusals: policy.figures.refusals + expert.figures.refusals,
            nonfinite: policy.figures.nonfinite + expert.figures.nonfinite,
            weights,
            machine: Machine::this(),
            phases: vec![policy, expert],
        }
    }
}

impl Report {
    /// What a demo must show; empty when it does.
    pub fn complaints(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        if !self.expert_success {
            let detail = self.phases.last().map_or("", |expert| expert.detail.as_str());
            complaints.push(format!("the expert did not do the task: {detail}"));
        }
        let ratio = self.command_rate_hz / self.command_rate_setting_hz;
        // A rate that is no number is in no range.
        if !(1.0 - RATE_TOLERANCE..=1.0 + RATE_TOLERANCE).contains(&ratio) {
            complaints.push(format!(
                "the mean command rate is {:.2} Hz, expected {} Hz within {} %",
                self.command_rate_hz,
                self.command_rate_setting_hz,
                RATE_TOLERANCE * 100.0
            ));
        }
        if self.nonfinite != 0 {
            complaints.push(format!(
                "{} non-finite values left the gate, expected none",
                self.nonfinite
            ));
        }
        if self.phases.first().is_none_or(|policy| policy.figures.chunks == 0) {
            complaints.push("no chunk of the policy was accepted, expected many".to_owned());
        }
        complaints
    }
}

/// Name of a checkpoint's weights.
///
/// # Errors
/// When its contract cannot be read or says nothing of a model.
fn weights(checkpoint: &Path) -> Result<String, RunError> {
    let unusable = |message: String| RunError::File {
        path: checkpoint.to_path_buf(),
        message,
    };
    let contract = Contract::load(checkpoint).map_err(|error| unusable(error.to_string()))?;
    let model = contract
        .model
        .ok_or_else(|| unusable("its contract has no model part; a dataset is no checkpoint".to_owned()))?;
    Ok(model.weights)
}

fn take_films(session: &Session, driver: &'static str) -> Vec<EpisodeFilm> {
    session.observed().with(|seen| {
        CAMERAS
            .into_iter()
            .filter_map(|camera| {
                let film = seen.films.remove(camera)?;
                Some(EpisodeFilm { driver, camera, film })
            })
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::super::episode::Figures;
    use super::*;

    fn episode(success: bool, rate: f64) -> Episode {
        Episode {
            driver: "expert",
            instruction: "pick up the block".to_owned(),
            success,
            detail: "the object is on the table".to_owned(),
            episode_s: 10.0,
            figures: Figures {
                chunks: 5,
                commands: 1000,
                executing_s: 10.0,
                command_rate_hz: rate,
                ..Figures::default()
            },
            not_recorded: None,
        }
    }

    fn report(expert: Episode) -> Report {
        let tour = Tour {
            out: PathBuf::new(),
            checkpoint: PathBuf::new(),
            start: Start {
                task: "height".to_owned(),
                variation: 0,
                seed: 1,
            },
            policy_s: 10.0,
            camera_rate_hz: 10.0,
            command_rate_hz: 100.0,
        };
        tour.report(
            episode(false, expert.figures.command_rate_hz),
            expert,
            UNTRAINED.to_owned(),
        )
    }

    #[test]
    fn an_untrained_policy_that_fails_is_no_complaint_but_a_failing_expert_is() {
        assert_eq!(report(episode(true, 100.0)).complaints(), Vec::<String>::new());
        let failed = report(episode(false, 100.0)).complaints();
        assert_eq!(failed, ["the expert did not do the task: the object is on the table"]);
    }

    #[test]
    fn a_rate_more_than_two_per_cent_off_is_a_complaint() {
        assert!(report(episode(true, 98.1)).complaints().is_empty());
        for rate in [97.9, 102.1, 0.0, f64::NAN] {
            assert_eq!(report(episode(true, rate)).complaints().len(), 1, "{rate}");
        }
    }

    #[test]
    fn a_report_has_every_field_people_rely_on() {
        let text = serde_json::to_value(report(episode(true, 100.0))).unwrap();
        for field in [
            "task",
            "seed",
            "success",
            "expert_success",
            "episode_s",
            "chunks",
            "commands",
            "command_rate_hz",
            "policy_ms_p50",
            "policy_ms_p95",
            "clamps",
            "refusals",
            "nonfinite",
            "weights",
        ] {
            assert!(text.get(field).is_some(), "{field}");
        }
    }
}
