//! Samples streams with timestamps at a constant rate, and counts what is late, missing or frozen.

mod arm;
mod camera;
#[cfg(test)]
mod tests;
mod waiting;

use std::collections::VecDeque;

pub use arm::ArmState;
use camera::Camera;
pub use camera::CameraSample;
pub use waiting::StreamCounts;
use waiting::{forget, put};

use crate::types::time::Time;

/// Time without a value after which a stream is silent (s).
const SILENT_S: f64 = 1.0;

/// Maximum distance of the nearest arm state from the sample's time, if there are no states on both sides of it (s).
const ARM_SLOP_S: f64 = 0.05;

/// Sampling rate, and limits of valid data.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SamplingRule {
    /// Samples per second (Hz).
    pub fps: f64,
    /// Maximum distance of an image from the sample's time (s).
    pub slop_s: f64,
    /// Maximum time that a sample waits for a late stream (s).
    pub wait_s: f64,
    /// A camera that repeats one image for longer than this while the arm moves is frozen (s).
    pub frozen_s: f64,
    /// Maximum fraction of samples in which a stream may be missing.
    pub missing_share: f64,
    /// Longest run of samples in which a stream may be missing (s).
    pub gap_s: f64,
    /// Whether sampling begins when the arm first follows a source: what is before is no part of the task.
    pub begin_with_motion: bool,
}

/// Sample: an image of each camera, and the arm.
#[derive(Debug, Clone, PartialEq)]
pub struct Tick<P> {
    /// Time of the sample.
    pub time: Time,
    /// One image of each camera.
    pub pictures: Vec<P>,
    /// State of the arm.
    pub arm: ArmState,
}

/// Samples cameras and arm.
#[derive(Debug)]
pub struct RecordingSampler<P> {
    rule: SamplingRule,
    cameras: Vec<Camera<P>>,
    arm: VecDeque<(Time, ArmState)>,
    arm_counts: StreamCounts,
    next: Option<Time>,
    /// Whether it waits for the arm's first following to begin.
    awaiting: bool,
    begun: Time,
    /// Time after which there are no samples, once it is known.
    until: Option<Time>,
    samples: u64,
    /// Number of samples without arm or without any image of a camera.
    lost: u64,
}

impl<P: Clone> RecordingSampler<P> {
    /// Creates a sampler of these cameras.
    pub fn new(rule: SamplingRule, cameras: impl IntoIterator<Item = String>) -> Self {
        let camera = |name| Camera {
            name,
            waiting: VecDeque::new(),
            counts: StreamCounts::default(),
            last_image: None,
        };
        Self {
            rule,
            cameras: cameras.into_iter().map(camera).collect(),
            arm: VecDeque::new(),
            arm_counts: StreamCounts::default(),
            next: None,
            awaiting: false,
            begun: Time::default(),
            until: None,
            samples: 0,
            lost: 0,
        }
    }

    /// Samples from `now` on, or from when the arm first follows a source after it, as the rule says.
    pub fn begin(&mut self, now: Time) {
        self.begin_at(now);
        if self.rule.begin_with_motion {
            (self.next, self.awaiting) = (None, true);
        }
    }

    fn begin_at(&mut self, now: Time) {
        (self.next, self.awaiting) = (Some(now), false);
        self.begun = now;
        self.until = None;
        (self.samples, self.lost) = (0, 0);
        self.arm_counts = StreamCounts::default();
        // Of the data before, only the last is kept.
        forget(&mut self.arm);
        for camera in &mut self.cameras {
            forget(&mut camera.waiting);
            (camera.counts, camera.last_image) = (StreamCounts::default(), None);
        }
    }

    /// Returns the streams that are silent or never had data; an episode would begin without them.
    pub fn silent(&self, now: Time) -> Vec<&str> {
        let silent = |last: Option<Time>| last.is_none_or(|stamp| now.seconds_since(stamp) > SILENT_S);
        let cameras = self.cameras.iter();
        let cameras = cameras.map(|camera| (camera.name.as_str(), camera.waiting.back().map(|(stamp, _)| *stamp)));
        let arm = ("arm", self.arm.back().map(|(stamp, _)| *stamp));
        let streams = cameras.chain([arm]).filter(|(_, last)| silent(*last));
        streams.map(|(name, _)| name).collect()
    }

    /// Ends the sampling at `now`; earlier samples are still returned.
    pub fn end(&mut self, now: Time) {
        self.until = Some(now);
        self.awaiting = false;
    }

    /// Stops the sampling at once.
    pub fn stop(&mut self) {
        (self.next, self.awaiting) = (None, false);
    }

    /// Returns whether it samples, or waits for the arm to begin.
    pub fn is_sampling(&self) -> bool {
        self.next.is_some() || self.awaiting
    }

    /// Returns whether it waits for the arm to begin.
    pub fn is_awaiting(&self) -> bool {
        self.awaiting
    }

    /// Takes an image of a camera, by its index in the initial order. Images whose stamps do not increase are dropped.
    pub fn picture(&mut self, camera: usize, stamp: Time, image: CameraSample<P>) {
        let Some(camera) = self.cameras.get_mut(camera) else {
            return;
        };
        camera.counts.received += 1;
        camera.counts.overflowed += u64::from(put(&mut camera.waiting, stamp, image) && self.next.is_some());
    }

    /// Takes a state of the arm.
    pub fn arm(&mut self, stamp: Time, state: ArmState) {
        self.arm_counts.received += 1;
        self.arm_counts.overflowed += u64::from(put(&mut self.arm, stamp, state) && self.next.is_some());
        if self.awaiting && state.following {
            self.begin_at(stamp);
        }
    }

    /// Returns the next sample, once every stream has passed it or has kept it waiting too long. A sample without any
    /// image of a camera, or without the arm, is lost and counted.
    pub fn next(&mut self, now: Time) -> Option<Tick<P>> {
        loop {
            let tick = self.next?;
            if self.until.is_some_and(|until| tick > until) {
                self.next = None;
                return None;
            }
            let overdue = now.seconds_since(tick) > self.rule.wait_s;
            let past = |stamp: Option<Time>| stamp.is_some_and(|stamp| stamp >= tick);
            let all_past = past(self.arm.back().map(|(stamp, _)| *stamp))
                && self
                    .cameras
                    .iter()
                    .all(|camera| past(camera.waiting.back().map(|(stamp, _)| *stamp)));
            if !all_past && !overdue {
                return None;
            }
            self.samples += 1;
            self.next = Some(self.begun.offset_secs(self.samples as f64 / self.rule.fps));
            match self.sample(tick) {
                Some(sample) => return Some(sample),
                None => self.lost += 1,
            }
        }
    }

    fn sample(&mut self, tick: Time) -> Option<Tick<P>> {
        let arm = arm::at(&mut self.arm, tick, self.rule.slop_s.min(ARM_SLOP_S));
        self.arm_counts.note(arm.is_none());
        let joints = arm.map(|arm| arm.joints);
        let rule = self.rule;
        let pictures: Vec<_> = self
            .cameras
            .iter_mut()
            .map(|camera| camera.sample(tick, &rule, joints))
            .collect();
        Some(Tick {
            time: tick,
            pictures: pictures.into_iter().collect::<Option<_>>()?,
            arm: arm?,
        })
    }

    /// Returns the number of samples since the beginning, including lost ones.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// Returns the counts of each stream: the cameras by their names, then `arm`.
    pub fn counts(&self) -> impl Iterator<Item = (&str, StreamCounts)> {
        let cameras = self.cameras.iter().map(|camera| (camera.name.as_str(), camera.counts));
        cameras.chain([("arm", self.arm_counts)])
    }

    /// Returns the reason why the samples are not valid data, if there is one.
    pub fn refusal(&self) -> Option<String> {
        let SamplingRule {
            fps,
            missing_share,
            gap_s,
            frozen_s,
            ..
        } = self.rule;
        let of_stream = self.counts().find_map(|(stream, counts)| {
            if counts.frozen > 0 {
                return Some(format!(
                    "{stream}: {} samples with one picture for more than {frozen_s} s while the arm moved: the camera is frozen",
                    counts.frozen
                ));
            }
            let allowed = (missing_share * self.samples as f64).ceil() as u64;
            if counts.missing > allowed {
                return Some(format!(
                    "{stream}: expected at most {allowed} of {} samples without it ({:.1} %), found {}",
                    self.samples,
                    100.0 * missing_share,
                    counts.missing
                ));
            }
            let gap = counts.longest_gap as f64 / fps;
            (gap > gap_s).then(|| format!("{stream}: expected gaps of at most {gap_s} s, found one of {gap:.2} s"))
        });
        // A lost row would give its neighbour the motion of two.
        let of_rows = || {
            (self.lost > 0).then(|| {
                format!(
                    "{} of {} samples lack arm or camera altogether",
                    self.lost, self.samples
                )
            })
        };
        of_stream.or_else(of_rows)
    }
}
