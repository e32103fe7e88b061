//! Streams with stamps in, samples at a steady rate out; what is late, missing or frozen is counted.

mod arm;
mod camera;
#[cfg(test)]
mod tests;
mod waiting;

use std::collections::VecDeque;

pub use arm::ArmState;
use camera::Camera;
pub use camera::Shot;
pub use waiting::Counts;
use waiting::{forget, put};

use crate::control::time::Time;

/// A stream without a value for longer is silent (s).
const SILENT_S: f64 = 1.0;

/// The nearest state of the arm may be no further from the sample's time, where there are none on both sides of it (s).
const ARM_SLOP_S: f64 = 0.05;

/// How streams are sampled, and what is no longer data.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rule {
    /// Samples a second.
    pub fps: f64,
    /// A picture may be this far from the sample's time (s).
    pub slop_s: f64,
    /// How long a sample waits for a late stream (s).
    pub wait_s: f64,
    /// A picture that repeats for longer while the arm moves is of a frozen camera (s).
    pub frozen_s: f64,
    /// Share of samples of which a stream may be missing.
    pub missing_share: f64,
    /// Longest run of samples of which a stream may be missing (s).
    pub gap_s: f64,
    /// Whether the first sample is when the arm first follows somebody: what is before is no part of the task.
    pub begin_with_motion: bool,
}

/// One moment: a picture of each camera, and the arm.
#[derive(Debug, Clone, PartialEq)]
pub struct Tick<P> {
    /// Its time.
    pub time: Time,
    /// One picture of each camera.
    pub pictures: Vec<P>,
    /// The arm.
    pub arm: ArmState,
}

/// Samples cameras and arm.
#[derive(Debug)]
pub struct Sampler<P> {
    rule: Rule,
    cameras: Vec<Camera<P>>,
    arm: VecDeque<(Time, ArmState)>,
    arm_counts: Counts,
    next: Option<Time>,
    /// Whether the arm's first following begins the sampling.
    awaiting: bool,
    begun: Time,
    /// The last moment to be sampled, once it is known.
    until: Option<Time>,
    samples: u64,
    /// Samples without arm or without any picture of a camera.
    lost: u64,
}

impl<P: Clone> Sampler<P> {
    /// Of these cameras.
    pub fn new(rule: Rule, cameras: impl IntoIterator<Item = String>) -> Self {
        let camera = |name| Camera {
            name,
            waiting: VecDeque::new(),
            counts: Counts::default(),
            shown: None,
        };
        Self {
            rule,
            cameras: cameras.into_iter().map(camera).collect(),
            arm: VecDeque::new(),
            arm_counts: Counts::default(),
            next: None,
            awaiting: false,
            begun: Time::default(),
            until: None,
            samples: 0,
            lost: 0,
        }
    }

    /// Samples from `now` on, or from the arm's first following after it, as the rule says.
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
        self.arm_counts = Counts::default();
        // What came before is old news but for the last of it.
        forget(&mut self.arm);
        for camera in &mut self.cameras {
            forget(&mut camera.waiting);
            (camera.counts, camera.shown) = (Counts::default(), None);
        }
    }

    /// Streams of which nothing has come for a while, or ever: their episode would begin without them.
    pub fn silent(&self, now: Time) -> Vec<&str> {
        let silent = |last: Option<Time>| last.is_none_or(|stamp| now.seconds_since(stamp) > SILENT_S);
        let cameras = self.cameras.iter();
        let cameras = cameras.map(|camera| (camera.name.as_str(), camera.waiting.back().map(|(stamp, _)| *stamp)));
        let arm = ("arm", self.arm.back().map(|(stamp, _)| *stamp));
        let streams = cameras.chain([arm]).filter(|(_, last)| silent(*last));
        streams.map(|(name, _)| name).collect()
    }

    /// Samples up to `now`, and then no more: what has come is still to be taken.
    pub fn end(&mut self, now: Time) {
        self.until = Some(now);
        self.awaiting = false;
    }

    /// Samples no more, from now on.
    pub fn stop(&mut self) {
        (self.next, self.awaiting) = (None, false);
    }

    /// Whether it samples, or waits for the arm to begin.
    pub fn is_sampling(&self) -> bool {
        self.next.is_some() || self.awaiting
    }

    /// Whether it waits for the arm to begin.
    pub fn is_awaiting(&self) -> bool {
        self.awaiting
    }

    /// Takes a picture of a camera, in the order given at first. Stamps that do not grow are of no use and dropped.
    pub fn picture(&mut self, camera: usize, stamp: Time, shot: Shot<P>) {
        let Some(camera) = self.cameras.get_mut(camera) else {
            return;
        };
        camera.counts.received += 1;
        camera.counts.overflowed += u64::from(put(&mut camera.waiting, stamp, shot) && self.next.is_some());
    }

    /// Takes what the arm does.
    pub fn arm(&mut self, stamp: Time, state: ArmState) {
        self.arm_counts.received += 1;
        self.arm_counts.overflowed += u64::from(put(&mut self.arm, stamp, state) && self.next.is_some());
        if self.awaiting && state.following {
            self.begin_at(stamp);
        }
    }

    /// The next sample, once every stream has come past it or has kept it waiting too long. A sample without any
    /// picture of a camera, or without the arm, is lost and counted.
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

    /// Samples since the beginning, lost ones included.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// What was counted of each stream: the cameras by their names, then `arm`.
    pub fn counts(&self) -> impl Iterator<Item = (&str, Counts)> {
        let cameras = self.cameras.iter().map(|camera| (camera.name.as_str(), camera.counts));
        cameras.chain([("arm", self.arm_counts)])
    }

    /// Why what was sampled is no data, if it is none.
    pub fn refusal(&self) -> Option<String> {
        let Rule {
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
        // A row that was lost would leave its neighbour with the motion of two.
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
