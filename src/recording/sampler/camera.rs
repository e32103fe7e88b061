//! Selects the image of a camera for a sample, and detects a frozen camera.

use std::collections::VecDeque;

use super::SamplingRule;
use super::waiting::{StreamCounts, distance};
use crate::types::Joints;
use crate::types::time::Time;

/// Joint travel that is visible to any camera on or above the arm (rad).
const VISIBLE_TRAVEL_RAD: f64 = 0.05;

/// Image of a camera, not decoded yet.
#[derive(Debug, Clone, PartialEq)]
pub struct CameraSample<P> {
    /// The image.
    pub payload: P,
    /// Hash of its content.
    pub content: u64,
}

#[derive(Debug)]
pub(super) struct Camera<P> {
    pub(super) name: String,
    pub(super) waiting: VecDeque<(Time, CameraSample<P>)>,
    pub(super) counts: StreamCounts,
    pub(super) last_image: Option<LastImage>,
}

/// Content of the last new image, the time since which it is shown, and the arm's joints then.
#[derive(Debug, Clone, Copy)]
pub(super) struct LastImage {
    content: u64,
    since: Time,
    joints: Joints,
}

impl<P: Clone> Camera<P> {
    /// Returns the image nearest to the sample. One that is too far away is used, so that rows keep their rate, and
    /// counted.
    pub(super) fn sample(&mut self, tick: Time, rule: &SamplingRule, joints: Option<Joints>) -> Option<P> {
        while let Some((second, _)) = self.waiting.get(1) {
            let first = self.waiting.front().map_or(*second, |(first, _)| *first);
            if distance(*second, tick) > distance(first, tick) {
                break;
            }
            self.waiting.pop_front();
        }
        let Some((stamp, image)) = self.waiting.front() else {
            self.counts.note(true);
            return None;
        };
        // An image too far away is missing; only images that came in time can show a frozen camera.
        let missing = distance(*stamp, tick) > rule.slop_s;
        self.counts.note(missing);
        let same = self.last_image.filter(|last_image| last_image.content == image.content);
        match (same, joints) {
            (Some(last_image), Some(joints)) => {
                self.counts.repeated += 1;
                let long = tick.seconds_since(last_image.since) > rule.frozen_s;
                if long && !missing && (joints - last_image.joints).amax() > VISIBLE_TRAVEL_RAD {
                    self.counts.frozen += 1;
                }
            }
            (None, Some(joints)) => {
                self.last_image = Some(LastImage {
                    content: image.content,
                    since: tick,
                    joints,
                });
            }
            (_, None) => (),
        }
        Some(image.payload.clone())
    }
}
