//! The demo: the policy or the scripted expert does one task in closed loop over ROS.

use std::path::{Path, PathBuf};

use ros_env::thinkvla::msg::ArmStatus;
use serde::Serialize;

use crate::contract::Contract;
use crate::eval::machine::Machine;

use super::episode::{self, DrivenEpisode, EpisodeStart};
use super::error::HarnessError;
use super::monitor::CAMERAS;
use super::observations::{FrameLog, PathSeen};
use super::session::{self, Finished, HarnessSession, Simulated};

/// Largest relative difference of the mean command rate from its setting.
const RATE_TOLERANCE: f64 = 0.02;

/// Demo to run.
#[derive(Debug, Clone)]
pub struct Demo {
    /// Directory of report, picture and logs.
    pub out: PathBuf,
    /// The policy or the expert.
    pub driver: DemoDriver,
    /// Task, variation and seed.
    pub start: EpisodeStart,
    /// Rate of each camera (Hz).
    pub camera_rate_hz: f64,
    /// Command rate of the arm node (Hz).
    pub command_rate_hz: f64,
}

/// The policy or the expert.
#[derive(Debug, Clone)]
pub enum DemoDriver {
    /// The policy.
    Policy {
        /// Its checkpoint directory.
        checkpoint: PathBuf,
        /// Longest episode (s, simulated).
        limit_s: f64,
    },
    /// The scripted expert.
    Expert,
}

/// Result of a demo; written as `report.json`.
#[derive(Debug, Clone, Serialize)]
pub struct DemoReport {
    /// Name of the task.
    pub task: String,
    /// Variation of the task.
    pub variation: u8,
    /// Seed of everything else that is drawn.
    pub seed: u64,
    /// Name of the checkpoint's weights; `None` when the expert drove.
    pub weights: Option<String>,
    /// Command rate that was set (Hz).
    pub command_rate_setting_hz: f64,
    /// Machine it ran on.
    pub machine: Machine,
    /// Result of the episode.
    #[serde(flatten)]
    pub episode: DrivenEpisode,
}

/// Result of a demo, with the frames and paths for its pictures.
#[derive(Debug)]
pub struct DemoOutcome {
    /// The report.
    pub report: DemoReport,
    /// Frames of each camera.
    pub frame_logs: Vec<CameraFrames>,
    /// Paths in execution, as published by arm_node.
    pub planned: Vec<PathSeen>,
    /// Statuses of the arm.
    pub statuses: Vec<ArmStatus>,
}

/// Frames of one camera.
#[derive(Debug)]
pub struct CameraFrames {
    /// top or wrist.
    pub camera: &'static str,
    /// The frames.
    pub frame_log: FrameLog,
}

impl Demo {
    /// Runs the episode; all nodes have ended when this returns.
    ///
    /// # Errors
    /// When a node cannot be started, dies, refuses, or does not answer in time.
    pub fn run(self, progress: impl Fn(&str) + Send + 'static) -> Result<Finished<DemoOutcome>, HarnessError> {
        let weights = match &self.driver {
            DemoDriver::Policy { checkpoint, .. } => Some(weights(checkpoint)?),
            DemoDriver::Expert => None,
        };
        let logs = self.out.join("logs");
        session::run("demo_observer", &logs, move |session| {
            self.script(session, weights, &progress)
        })
    }

    fn script(
        &self,
        session: &HarnessSession,
        weights: Option<String>,
        progress: &impl Fn(&str),
    ) -> Result<DemoOutcome, HarnessError> {
        let simulated = Simulated {
            camera_rate_hz: self.camera_rate_hz,
            command_rate_hz: self.command_rate_hz,
        };
        let episode = match &self.driver {
            DemoDriver::Policy { checkpoint, limit_s } => {
                progress("starting sim_node, arm_node and policy_node");
                session.start_robot(&simulated)?;
                session.start_policy(checkpoint)?;
                let name = weights.as_deref().unwrap_or_default();
                progress(&format!("the policy drives for up to {limit_s} s with weights {name}"));
                episode::by_policy(session, &self.start, *limit_s)?
            }
            DemoDriver::Expert => {
                progress("starting sim_node and arm_node");
                session.start_robot(&simulated)?;
                progress("the scripted expert drives, through the same chunks, arm node and driver topics");
                episode::by_expert(session, &self.start, None)?
            }
        };
        Ok(DemoOutcome {
            frame_logs: take_frame_logs(session),
            planned: session.observed().with(|seen| std::mem::take(&mut seen.planned)),
            statuses: session.observed().with(|seen| std::mem::take(&mut seen.statuses)),
            report: self.report(episode, weights),
        })
    }

    fn report(&self, episode: DrivenEpisode, weights: Option<String>) -> DemoReport {
        DemoReport {
            task: self.start.task.clone(),
            variation: self.start.variation,
            seed: self.start.seed,
            weights,
            command_rate_setting_hz: self.command_rate_hz,
            machine: Machine::current(),
            episode,
        }
    }
}

impl DemoReport {
    /// Lists the requirements of a demo that are not met; empty when all are.
    pub fn complaints(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        let DrivenEpisode {
            driver,
            success,
            detail,
            figures,
            ..
        } = &self.episode;
        if !success {
            complaints.push(format!("the {driver} did not do the task: {detail}"));
        }
        let ratio = figures.command_rate_hz / self.command_rate_setting_hz;
        // The range does not contain NaN either.
        if !(1.0 - RATE_TOLERANCE..=1.0 + RATE_TOLERANCE).contains(&ratio) {
            complaints.push(format!(
                "the mean command rate is {:.2} Hz, expected {} Hz within {} %",
                figures.command_rate_hz,
                self.command_rate_setting_hz,
                RATE_TOLERANCE * 100.0
            ));
        }
        if figures.nonfinite != 0 {
            complaints.push(format!(
                "{} non-finite values left the gate, expected none",
                figures.nonfinite
            ));
        }
        if figures.chunks == 0 {
            complaints.push(format!("no chunk of the {driver} was accepted, expected many"));
        }
        complaints
    }
}

/// Name of a checkpoint's weights.
///
/// # Errors
/// When its contract cannot be read or has no model part.
fn weights(checkpoint: &Path) -> Result<String, HarnessError> {
    let unusable = |message: String| HarnessError::File {
        path: checkpoint.to_path_buf(),
        message,
    };
    let contract = Contract::load(checkpoint).map_err(|error| unusable(error.to_string()))?;
    let model = contract
        .model
        .ok_or_else(|| unusable("its contract has no model part; a dataset is no checkpoint".to_owned()))?;
    Ok(model.weights)
}

fn take_frame_logs(session: &HarnessSession) -> Vec<CameraFrames> {
    session.observed().with(|seen| {
        let frame_logs = CAMERAS.into_iter();
        frame_logs
            .filter_map(|camera| {
                let frame_log = seen.frame_logs.remove(camera)?;
                Some(CameraFrames { camera, frame_log })
            })
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::super::episode::ArmFigures;
    use super::*;

    fn report(success: bool, rate: f64) -> DemoReport {
        let demo = Demo {
            out: PathBuf::new(),
            driver: DemoDriver::Expert,
            start: EpisodeStart {
                task: "height".to_owned(),
                variation: 0,
                seed: 1,
            },
            camera_rate_hz: 10.0,
            command_rate_hz: 100.0,
        };
        let episode = DrivenEpisode {
            driver: "expert",
            instruction: "pick up the block".to_owned(),
            success,
            detail: "the object is on the table".to_owned(),
            episode_s: 10.0,
            figures: ArmFigures {
                chunks: 5,
                commands: 1000,
                executing_s: 10.0,
                command_rate_hz: rate,
                ..ArmFigures::default()
            },
            not_recorded: None,
        };
        demo.report(episode, Some("trained".to_owned()))
    }

    #[test]
    fn a_task_that_is_not_done_is_a_complaint() {
        assert_eq!(report(true, 100.0).complaints(), Vec::<String>::new());
        let failed = report(false, 100.0).complaints();
        assert_eq!(failed, ["the expert did not do the task: the object is on the table"]);
    }

    #[test]
    fn a_rate_more_than_two_per_cent_off_is_a_complaint() {
        assert!(report(true, 98.1).complaints().is_empty());
        for rate in [97.9, 102.1, 0.0, f64::NAN] {
            assert_eq!(report(true, rate).complaints().len(), 1, "{rate}");
        }
    }

    #[test]
    fn a_report_has_every_field_people_rely_on() {
        let text = serde_json::to_value(report(true, 100.0)).unwrap();
        for field in [
            "task",
            "seed",
            "instruction",
            "driver",
            "success",
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
