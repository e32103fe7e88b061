//! One episode of the simulated task, driven by the policy or by the scripted expert, and its measurements.

use std::time::Duration;

use ros_env::lifecycle_msgs::msg::Transition;
use ros_env::thinkvla::msg::{ArmStatus, EpisodeStatus};
use ros_env::thinkvla::srv::ResetEpisode_Request;
use serde::{Deserialize, Serialize};

use crate::ros::node::time::from_message;
use crate::stats::percentile;

use super::error::HarnessError;
use super::observations::{EventCount, ObservedState};
use super::recorder::Recorder;
use super::session::HarnessSession;

/// Longest wait for the simulator to reset.
const RESET: Duration = Duration::from_secs(20);
/// Longest wait for the first command after a source of motion has begun.
const FIRST_COMMAND_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest duration of an expert's episode; it usually takes a fraction of it.
const EXPERT: Duration = Duration::from_secs(180);
/// Simulated time for the task to be judged a success after the expert has finished (s); a success takes one second at
/// rest.
const SETTLE_S: f64 = 5.0;
/// Longest wait for the arm to come to rest.
const REST: Duration = Duration::from_secs(15);

/// Task, variation and seed of an episode.
#[derive(Debug, Clone, Serialize)]
pub struct EpisodeStart {
    /// height, container or position.
    pub task: String,
    /// 0, 1 or 2.
    pub variation: u8,
    /// Seed of everything else that is drawn.
    pub seed: u64,
}

/// Result of one episode.
#[derive(Debug, Clone, Serialize)]
pub struct DrivenEpisode {
    /// policy or expert.
    pub driver: &'static str,
    /// Instruction of the task.
    pub instruction: String,
    /// Success as judged by the simulation.
    pub success: bool,
    /// The conditions of success that hold.
    pub detail: String,
    /// Simulated time from reset to the end (s).
    pub episode_s: f64,
    /// Measurements of the arm's motion.
    #[serde(flatten)]
    pub figures: ArmFigures,
    /// Reason why a success that should have been recorded was not.
    pub not_recorded: Option<String>,
}

/// Measurements of the arm's motion in an episode.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ArmFigures {
    /// Chunks accepted.
    pub chunks: u64,
    /// Commands sent to the driver.
    pub commands: u64,
    /// Time in mode EXECUTING (s).
    pub executing_s: f64,
    /// Commands in that time divided by it (Hz).
    pub command_rate_hz: f64,
    /// Duration from image to chunk inside the policy, median (ms); absent when no network drove.
    pub policy_ms_p50: Option<f64>,
    /// The same, 95th percentile (ms).
    pub policy_ms_p95: Option<f64>,
    /// Age of the oldest image when its chunk was published, median (ms).
    pub observation_age_ms_p50: Option<f64>,
    /// Commands the gate changed.
    pub clamps: u64,
    /// Chunks or commands refused.
    pub refusals: u64,
    /// Underruns: chunks that ended before the next one arrived.
    pub underruns: u64,
    /// Non-finite values that left the gate.
    pub nonfinite: u64,
    /// Gate events by kind and check.
    pub events: Vec<EventCount>,
}

impl ArmFigures {
    /// Waits until the arm is at rest, and sums up what happened since `before`.
    ///
    /// # Errors
    /// When a node dies or does not answer in time.
    pub(super) fn since(session: &HarnessSession, before: &ArmStatus) -> Result<Self, HarnessError> {
        let after = session.wait("the arm to come to rest", REST, |seen| {
            let status = seen.status.as_ref()?;
            let moving = [ArmStatus::EXECUTING, ArmStatus::BRAKING, ArmStatus::MOVING].contains(&status.mode);
            (!moving).then(|| status.clone())
        })?;
        Ok(session.observed().with(|seen| Self::of(seen, before, &after)))
    }

    fn of(seen: &ObservedState, before: &ArmStatus, after: &ArmStatus) -> Self {
        let executing = executing(&seen.statuses);
        let network: Vec<_> = seen.chunks.iter().filter(|chunk| chunk.inference_ms > 0.0).collect();
        let policy_ms: Vec<f64> = network
            .iter()
            .map(|chunk| chunk.preprocess_ms + chunk.inference_ms)
            .collect();
        let age_ms: Vec<f64> = network.iter().map(|chunk| chunk.observation_age_ms).collect();
        let grown = |of: fn(&ArmStatus) -> u64| of(after).saturating_sub(of(before));
        Self {
            chunks: grown(|of| of.chunks),
            commands: grown(|of| of.commands),
            executing_s: executing.seconds,
            command_rate_hz: executing.rate_hz(),
            policy_ms_p50: percentile(&policy_ms, 50.0),
            policy_ms_p95: percentile(&policy_ms, 95.0),
            observation_age_ms_p50: percentile(&age_ms, 50.0),
            clamps: grown(|of| of.clamps),
            refusals: grown(|of| of.refusals),
            underruns: grown(|of| of.underruns),
            nonfinite: grown(|of| of.nonfinite),
            events: events(seen),
        }
    }

    /// Time spent executing, and commands sent in it.
    pub fn executing(&self) -> Executing {
        Executing {
            seconds: self.executing_s,
            commands: (self.command_rate_hz * self.executing_s).round() as u64,
        }
    }
}

/// Lets the loaded policy drive for `seconds` of simulated time, or until success or a latched fault.
///
/// # Errors
/// When a node dies, refuses, or does not answer in time.
pub fn by_policy(session: &HarnessSession, start: &EpisodeStart, seconds: f64) -> Result<DrivenEpisode, HarnessError> {
    let begun = begin(session, start, false)?;
    session.arm()?;
    session.change_policy(Transition::TRANSITION_ACTIVATE)?;
    let from = session.wait("the first command of the policy", FIRST_COMMAND_TIMEOUT, |seen| {
        let executing = seen.status.as_ref()?.mode == ArmStatus::EXECUTING;
        executing.then_some(seen.episode.as_ref()?.episode_s)
    })?;
    let limit = Duration::from_secs_f64(seconds * 6.0 + 30.0);
    session.wait("the end of the policy's episode", limit, |seen| {
        let episode = seen.episode.as_ref()?;
        (episode.success || episode.episode_s - from >= seconds || fault(seen).is_some()).then_some(())
    })?;
    session.change_policy(Transition::TRANSITION_DEACTIVATE)?;
    end(session, "policy", begun)
}

/// Lets the scripted expert do the task through the same chunk topic. With `recorder`, records from before the first
/// command until the expert has finished, and keeps the episode if it is a success.
///
/// # Errors
/// When a node dies, refuses, or does not answer in time; an expert that fails its task is no error.
pub fn by_expert(
    session: &HarnessSession,
    start: &EpisodeStart,
    recorder: Option<&Recorder>,
) -> Result<DrivenEpisode, HarnessError> {
    let begun = begin(session, start, true)?;
    if let Some(recorder) = recorder {
        recorder.begin(session, &begun.instruction)?;
    }
    session.arm()?;
    session.wait("the first command of the expert", FIRST_COMMAND_TIMEOUT, |seen| {
        (seen.status.as_ref()?.mode == ArmStatus::EXECUTING).then_some(())
    })?;
    let done = session.wait("the expert to finish", EXPERT, |seen| {
        let episode = seen.episode.as_ref()?;
        (episode.expert_done || episode.success || fault(seen).is_some()).then_some(episode.episode_s)
    })?;
    if let Some(recorder) = recorder {
        recorder.stop(session)?;
    }
    session.wait("the object to come to rest", EXPERT, |seen| {
        let episode = seen.episode.as_ref()?;
        (episode.success || episode.episode_s - done >= SETTLE_S).then_some(())
    })?;
    let mut episode = end(session, "expert", begun)?;
    if let Some(recorder) = recorder {
        episode.not_recorded = recorder.end(session, episode.success)?;
    }
    Ok(episode)
}

/// State of an episode at its beginning.
pub(super) struct InitialState {
    before: ArmStatus,
    instruction: String,
}

/// Disarms, resets the task and clears what was observed before.
pub(super) fn begin(
    session: &HarnessSession,
    start: &EpisodeStart,
    expert: bool,
) -> Result<InitialState, HarnessError> {
    session.clear_fault()?;
    session.disarm()?;
    let instruction = session.monitor.reset_episode(
        ResetEpisode_Request {
            task: start.task.clone(),
            variation: start.variation,
            seed: start.seed,
            expert,
        },
        || session.check(),
    )?;
    session.wait("the task at its start", RESET, |seen| {
        let episode = seen.episode.as_ref()?;
        let same = episode.task == start.task && episode.seed == start.seed && episode.variation == start.variation;
        (same && !episode.success && !episode.expert_done).then_some(())
    })?;
    session.begin();
    let before = session.wait("a fresh arm status", REST, |seen| seen.statuses.first().cloned())?;
    Ok(InitialState { before, instruction })
}

/// Waits until the arm is at rest and assembles the result.
fn end(session: &HarnessSession, driver: &'static str, begun: InitialState) -> Result<DrivenEpisode, HarnessError> {
    let episode: EpisodeStatus = session.wait("the state of the task", REST, |seen| seen.episode.clone())?;
    let InitialState { before, instruction } = begun;
    let figures = ArmFigures::since(session, &before)?;
    let detail = session.observed().with(|seen| match fault(seen) {
        Some(reason) => format!("{}; arm: {reason}", episode.detail),
        None => episode.detail.clone(),
    });
    Ok(DrivenEpisode {
        driver,
        instruction,
        success: episode.success,
        detail,
        episode_s: episode.episode_s,
        figures,
        not_recorded: None,
    })
}

/// Reason of a latched fault, if there is one; it ends the episode.
fn fault(seen: &ObservedState) -> Option<String> {
    let status = seen.status.as_ref()?;
    (status.mode == ArmStatus::FAULT).then(|| status.reason.clone())
}

fn events(seen: &ObservedState) -> Vec<EventCount> {
    seen.events.values().cloned().collect()
}

/// Time spent executing, and commands sent in it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Executing {
    /// Duration (s).
    pub seconds: f64,
    /// Number of commands.
    pub commands: u64,
}

impl Executing {
    /// Mean rate (Hz); 0 when nothing was executed.
    pub fn rate_hz(self) -> f64 {
        if self.seconds > 0.0 {
            self.commands as f64 / self.seconds
        } else {
            0.0
        }
    }

    /// Sum of both.
    pub fn and(self, other: Self) -> Self {
        Self {
            seconds: self.seconds + other.seconds,
            commands: self.commands + other.commands,
        }
    }
}

/// Sums over the intervals between two consecutive statuses that are both EXECUTING, so that the ends of a stretch, in
/// which the arm was executing for only part of the status period, do not distort the rate.
pub fn executing(statuses: &[ArmStatus]) -> Executing {
    let mut sum = Executing::default();
    for pair in statuses.windows(2) {
        let [earlier, later] = pair else { continue };
        let both = earlier.mode == ArmStatus::EXECUTING && later.mode == ArmStatus::EXECUTING;
        if both && later.commands >= earlier.commands {
            sum.seconds += from_message(&later.header.stamp).seconds_since(from_message(&earlier.header.stamp));
            sum.commands += later.commands - earlier.commands;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ros::node::time::to_message;
    use crate::types::time::Time;

    fn status(seconds: f64, mode: u8, commands: u64) -> ArmStatus {
        let mut status = ArmStatus {
            mode,
            commands,
            ..ArmStatus::default()
        };
        status.header.stamp = to_message(Time::from_secs_f64(seconds));
        status
    }

    #[test]
    fn the_command_rate_counts_executing_stretches_only() {
        let statuses = [
            status(0.0, ArmStatus::HOLDING, 0),
            status(0.5, ArmStatus::EXECUTING, 20),
            status(1.5, ArmStatus::EXECUTING, 120),
            status(9.0, ArmStatus::HOLDING, 150),
            status(20.0, ArmStatus::EXECUTING, 160),
            status(21.0, ArmStatus::EXECUTING, 260),
        ];
        let sum = executing(&statuses);
        assert!((sum.seconds - 2.0).abs() < 1e-6 && sum.commands == 200, "{sum:?}");
        assert!((sum.rate_hz() - 100.0).abs() < 1e-3);
        assert_eq!(executing(&[]).rate_hz(), 0.0);
    }
}
