//! What an onlooker has seen of a run, and waiting for more of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nalgebra::Vector3;
use ros_env::thinkvla::msg::{ArmStatus, EpisodeStatus};
use serde::{Deserialize, Serialize};

use crate::control::time::Time;

use super::error::RunError;

/// Frames of one camera kept for the picture, before every other one is dropped.
const FRAMES: usize = 48;
/// Time between two looks at what else may have gone wrong.
const LOOK: Duration = Duration::from_millis(100);

/// A camera image as it came, rgb8.
#[derive(Debug, Clone)]
pub struct Frame {
    /// When it was taken.
    pub stamp: Time,
    /// Width (px).
    pub width: u32,
    /// Height (px).
    pub height: u32,
    /// height x width x 3.
    pub rgb: Vec<u8>,
}

/// Frames of one camera, thinned evenly so that a long run stays small.
#[derive(Debug, Clone)]
pub struct Film {
    frames: Vec<Frame>,
    /// Smallest time between two frames (s).
    spacing: f64,
}

impl Default for Film {
    fn default() -> Self {
        Self {
            frames: Vec::new(),
            spacing: 0.25,
        }
    }
}

impl Film {
    /// Keeps the frame when the last one is old enough; `frame` is made only then.
    pub fn offer(&mut self, stamp: Time, frame: impl FnOnce() -> Frame) {
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

    /// What was kept, oldest first.
    pub fn frames(&self) -> &[Frame] {
        &self.frames
    }
}

/// A chunk that passed by.
#[derive(Debug, Clone, PartialEq)]
pub struct ChunkSeen {
    /// Who made it.
    pub source: String,
    /// Number it carries.
    pub plan_id: u64,
    /// Anchor time.
    pub observed: Time,
    /// Stamp of the message.
    pub published: Time,
    /// When it reached the onlooker.
    pub received: Time,
    /// Image to network input (ms).
    pub preprocess_ms: f64,
    /// Forward pass (ms).
    pub inference_ms: f64,
    /// Age of the oldest image when the chunk was published (ms).
    pub observation_age_ms: f64,
}

/// The path in execution at a moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    /// When.
    pub stamp: Time,
    /// Positions of the tool after each step, in the base frame (m).
    pub points: Vec<Vector3<f64>>,
    /// Steps that are done.
    pub done: usize,
}

/// A gate event, and how often it was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventCount {
    /// clamped, refused, held, stopped or fault.
    pub kind: String,
    /// Which check.
    pub check: String,
    /// How often.
    pub times: u64,
    /// The first one's message.
    pub first: String,
}

/// Everything seen since the last [`Observed::begin`].
#[derive(Debug, Default)]
pub struct Seen {
    /// The newest status of the arm.
    pub status: Option<ArmStatus>,
    /// Statuses of the arm, 20 Hz.
    pub statuses: Vec<ArmStatus>,
    /// The newest state of the task.
    pub episode: Option<EpisodeStatus>,
    /// Chunks of every source.
    pub chunks: Vec<ChunkSeen>,
    /// Paths in execution.
    pub planned: Vec<Planned>,
    /// When recording began; films leave out pictures taken before.
    pub since: Time,
    /// Gate events by kind and check.
    pub events: BTreeMap<(&'static str, String), EventCount>,
    /// Films by camera.
    pub films: BTreeMap<String, Film>,
    /// Images seen by camera.
    pub images: BTreeMap<String, u64>,
    /// Time from stamp to arrival of each image (ms).
    pub image_hops_ms: Vec<f64>,
    /// Stamps of the events by which the arm node says that it brakes and holds.
    pub holds: Vec<Time>,
}

/// Shared between the callbacks of the onlooker and the script that waits.
#[derive(Clone, Default)]
pub struct Observed {
    seen: Arc<(Mutex<Seen>, Condvar)>,
}

impl Observed {
    /// Looks at, or takes from, what was seen.
    pub fn with<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        look(&mut self.lock())
    }

    /// Adds to it and wakes whoever waits.
    pub fn update(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.lock());
        self.seen.1.notify_all();
    }

    /// Forgets what was recorded and keeps the newest states.
    pub fn begin(&self, now: Time) {
        self.update(|seen| {
            *seen = Seen {
                status: seen.status.take(),
                episode: seen.episode.take(),
                since: now,
                ..Seen::default()
            };
        });
    }

    /// Waits until `found` yields something.
    ///
    /// `else_check` is asked ten times a second whether waiting still makes sense; `limit` is the longest wait and no
    /// pause: the wait ends with the message that brings what is awaited.
    ///
    /// # Errors
    /// What `else_check` says, or that the limit has passed, with what was there instead.
    pub fn wait<T>(
        &self,
        wanted: &Wanted<'_>,
        else_check: impl Fn() -> Result<(), RunError>,
        found: impl Fn(&Seen) -> Option<T>,
    ) -> Result<T, RunError> {
        let deadline = Instant::now() + wanted.limit;
        let mut seen = self.lock();
        loop {
            if let Some(value) = found(&seen) {
                return Ok(value);
            }
            if Instant::now() >= deadline {
                return Err(RunError::Silent {
                    what: wanted.what.to_owned(),
                    limit: wanted.limit,
                    seen: seen.summary(),
                });
            }
            seen = self
                .seen
                .1
                .wait_timeout(seen, LOOK)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
            drop(seen);
            else_check()?;
            seen = self.lock();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is awaited, and how long at most.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// In words, for the error.
    pub what: &'a str,
    /// Longest wait.
    pub limit: Duration,
}

impl Seen {
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

/// The name of a mode of ArmStatus.
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
        let mut film = Film::default();
        for tenth in 0..6000 {
            let stamp = Time::from_secs_f64(f64::from(tenth) * 0.1);
            film.offer(stamp, || Frame {
                stamp,
                width: 1,
                height: 1,
                rgb: vec![0; 3],
            });
        }
        let frames = film.frames();
        assert!(frames.len() <= FRAMES && frames.len() >= FRAMES / 2, "{}", frames.len());
        assert_eq!(frames[0].stamp, Time(0));
        assert!(frames[frames.len() - 1].stamp.seconds_since(Time(0)) > 550.0);
    }

    #[test]
    fn waiting_in_vain_says_what_was_there_instead() {
        let wanted = Wanted {
            what: "the arm to hold",
            limit: Duration::from_millis(1),
        };
        let error = Observed::default()
            .wait(&wanted, || Ok(()), |_| None::<()>)
            .unwrap_err();
        assert!(error.to_string().contains("the arm to hold"), "{error}");
        assert!(error.to_string().contains("no arm_status"), "{error}");
    }
}
