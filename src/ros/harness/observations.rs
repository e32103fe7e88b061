//! Messages that the observer of a run has received, and waiting for more.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nalgebra::Vector3;
use ros_env::thinkvla::msg::{ArmStatus, EpisodeStatus};
use serde::{Deserialize, Serialize};

use crate::types::time::Time;

use super::error::HarnessError;

/// Most frames of one camera that are kept; beyond that every other one is dropped.
const FRAMES: usize = 48;
/// Longest time between two checks for failures while waiting.
const POLL_PERIOD: Duration = Duration::from_millis(100);

/// A received camera image, rgb8.
#[derive(Debug, Clone)]
pub struct CapturedFrame {
    /// Stamp of the image.
    pub stamp: Time,
    /// Width (px).
    pub width: u32,
    /// Height (px).
    pub height: u32,
    /// Pixels, height x width x 3.
    pub rgb: Vec<u8>,
}

/// Frames of one camera, thinned evenly so that memory stays bounded in a long run.
#[derive(Debug, Clone)]
pub struct FrameLog {
    frames: Vec<CapturedFrame>,
    /// Smallest time between two frames (s).
    spacing: f64,
}

impl Default for FrameLog {
    fn default() -> Self {
        Self {
            frames: Vec::new(),
            spacing: 0.25,
        }
    }
}

impl FrameLog {
    /// Keeps the frame when the last one is old enough; `frame` is called only then.
    pub fn offer(&mut self, stamp: Time, frame: impl FnOnce() -> CapturedFrame) {
        let due = self
            .frames
            .last()
            .is_none_or(|last| stamp.seconds_since(last.stamp) >= self.spacing);
        if !due {
            return;
        }
        self.frames.push(frame());
        if self.frames.len() > FRAMES {
            let mut keep = false;
            self.frames.retain(|_| {
                keep = !keep;
                keep
            });
            self.spacing *= 2.0;
        }
    }

    /// Frames that were kept, oldest first.
    pub fn frames(&self) -> &[CapturedFrame] {
        &self.frames
    }
}

/// A received chunk.
#[derive(Debug, Clone, PartialEq)]
pub struct ChunkSeen {
    /// Name of its source.
    pub source: String,
    /// Plan number.
    pub plan_id: u64,
    /// Time of the observation.
    pub observed: Time,
    /// Stamp of the message.
    pub published: Time,
    /// Time of arrival at the observer.
    pub received: Time,
    /// Duration from image to network input (ms).
    pub preprocess_ms: f64,
    /// Duration of the forward pass (ms).
    pub inference_ms: f64,
    /// Age of the oldest image when the chunk was published (ms).
    pub observation_age_ms: f64,
}

/// The path in execution at a time.
#[derive(Debug, Clone, PartialEq)]
pub struct PathSeen {
    /// Stamp of the message.
    pub stamp: Time,
    /// Tool position after each step, in the base frame (m).
    pub points: Vec<Vector3<f64>>,
    /// Number of steps that are done.
    pub done: usize,
}

/// A kind of gate event with its count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventCount {
    /// clamped, refused, held, stopped or fault.
    pub kind: String,
    /// Name of the gate's check.
    pub check: String,
    /// Number of events.
    pub times: u64,
    /// Message of the first one.
    pub first: String,
}

/// Everything received since the last [`Observations::begin`].
#[derive(Debug, Default)]
pub struct ObservedState {
    /// The newest arm status.
    pub status: Option<ArmStatus>,
    /// All arm statuses, 20 Hz.
    pub statuses: Vec<ArmStatus>,
    /// The newest state of the task.
    pub episode: Option<EpisodeStatus>,
    /// Chunks of all sources.
    pub chunks: Vec<ChunkSeen>,
    /// Paths in execution.
    pub planned: Vec<PathSeen>,
    /// Time of the last [`Observations::begin`]; frames with earlier stamps are left out of the films.
    pub since: Time,
    /// Gate events by kind and check.
    pub events: BTreeMap<(&'static str, String), EventCount>,
    /// Frames by camera.
    pub frame_logs: BTreeMap<String, FrameLog>,
    /// Number of images by camera.
    pub images: BTreeMap<String, u64>,
    /// Time from stamp to arrival of each image (ms).
    pub image_hops_ms: Vec<f64>,
    /// Stamps of the events by which the arm node reports that it brakes and holds.
    pub holds: Vec<Time>,
}

/// Received messages, shared between the observer's callbacks and the waiting script.
#[derive(Clone, Default)]
pub struct Observations {
    seen: Arc<(Mutex<ObservedState>, Condvar)>,
}

impl Observations {
    /// Reads, or takes from, the received messages.
    pub fn with<T>(&self, access: impl FnOnce(&mut ObservedState) -> T) -> T {
        access(&mut self.lock())
    }

    /// Changes the received messages and wakes all waiting threads.
    pub fn update(&self, change: impl FnOnce(&mut ObservedState)) {
        change(&mut self.lock());
        self.seen.1.notify_all();
    }

    /// Clears what was recorded and keeps the newest states.
    pub fn begin(&self, now: Time) {
        self.update(|seen| {
            *seen = ObservedState {
                status: seen.status.take(),
                episode: seen.episode.take(),
                since: now,
                ..ObservedState::default()
            };
        });
    }

    /// Waits until `found` returns a value.
    ///
    /// Calls `else_check` at least every 100 ms, to find out whether waiting still makes sense. `limit` is the longest
    /// wait; the wait ends with the message that brings the value.
    ///
    /// # Errors
    /// Any error of `else_check`; `HarnessError::Silent` with what was received instead when the limit has passed.
    pub fn wait<T>(
        &self,
        wanted: &WaitRequest<'_>,
        else_check: impl Fn() -> Result<(), HarnessError>,
        found: impl Fn(&ObservedState) -> Option<T>,
    ) -> Result<T, HarnessError> {
        let deadline = Instant::now() + wanted.limit;
        let mut seen = self.lock();
        loop {
            if let Some(value) = found(&seen) {
                return Ok(value);
            }
            if Instant::now() >= deadline {
                return Err(HarnessError::Silent {
                    what: wanted.what.to_owned(),
                    limit: wanted.limit,
                    seen: seen.summary(),
                });
            }
            seen = self
                .seen
                .1
                .wait_timeout(seen, POLL_PERIOD)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
            drop(seen);
            else_check()?;
            seen = self.lock();
        }
    }

    fn lock(&self) -> MutexGuard<'_, ObservedState> {
        self.seen.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What to wait for, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct WaitRequest<'a> {
    /// Description for the error message.
    pub what: &'a str,
    /// Longest wait.
    pub limit: Duration,
}

impl ObservedState {
    fn summary(&self) -> String {
        let arm = self.status.as_ref().map_or("no arm_status".to_owned(), |status| {
            format!("arm in mode {} ({})", mode_name(status.mode), status.reason)
        });
        let task = self.episode.as_ref().map_or("no episode status".to_owned(), |episode| {
            format!(
                "task {} seed {} at {:.1} s: {}",
                episode.task, episode.seed, episode.episode_s, episode.detail
            )
        });
        let images: Vec<String> = self.images.iter().map(|(camera, n)| format!("{n} {camera}")).collect();
        format!(
            "{arm}; {task}; {} chunks; images: {}",
            self.chunks.len(),
            images.join(", ")
        )
    }
}

/// Name of an `ArmStatus` mode.
pub fn mode_name(mode: u8) -> &'static str {
    match mode {
        ArmStatus::DISARMED => "disarmed",
        ArmStatus::HOLDING => "holding",
        ArmStatus::EXECUTING => "executing",
        ArmStatus::MOVING => "moving",
        ArmStatus::BRAKING => "braking",
        ArmStatus::STOPPED => "stopped",
        ArmStatus::FAULT => "fault",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_film_of_any_length_stays_small_and_spans_the_whole_run() {
        let mut frame_log = FrameLog::default();
        for tenth in 0..6000 {
            let stamp = Time::from_secs_f64(f64::from(tenth) * 0.1);
            frame_log.offer(stamp, || CapturedFrame {
                stamp,
                width: 1,
                height: 1,
                rgb: vec![0; 3],
            });
        }
        let frames = frame_log.frames();
        assert!(frames.len() <= FRAMES && frames.len() >= FRAMES / 2, "{}", frames.len());
        assert_eq!(frames[0].stamp, Time(0));
        assert!(frames[frames.len() - 1].stamp.seconds_since(Time(0)) > 550.0);
    }

    #[test]
    fn waiting_in_vain_says_what_was_there_instead() {
        let wanted = WaitRequest {
            what: "the arm to hold",
            limit: Duration::from_millis(1),
        };
        let error = Observations::default()
            .wait(&wanted, || Ok(()), |_| None::<()>)
            .unwrap_err();
        assert!(error.to_string().contains("the arm to hold"), "{error}");
        assert!(error.to_string().contains("no arm_status"), "{error}");
    }
}
