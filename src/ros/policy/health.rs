//! Health monitor of cameras and network, checked by the heartbeat thread before every beat.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::frozen_camera::FreezeWatch;
use super::settings::PolicySettings;
use crate::ros::client::arm_status::ArmMonitor;
use crate::ros::node::lock::lock;
use crate::ros::subscribe::images::Slot;
use crate::stats::percentile;

/// Number of intervals between images from which the rate of a camera is computed.
const INTERVALS: usize = 30;
/// Number of intervals from which on the rate counts as known.
const KNOWN: usize = 10;
/// Factor on the 90th percentile of the intervals: a stream whose images often come late is given that much time.
const LATENESS_FACTOR: f64 = 1.5;
/// Share of a camera's limit after its last image, from which on a message of another stream shows that this node receives.
const RECEIVING_SHARE: f64 = 0.5;

/// Fault that stops the heartbeat.
#[derive(Debug, Clone, PartialEq)]
pub enum HealthFault {
    /// No usable image for longer than allowed.
    Silent {
        /// Name of the camera.
        camera: String,
        /// Time since the last usable image (s); `None` when there was none.
        seconds: Option<f64>,
        /// Longest time allowed (s).
        limit: f64,
    },
    /// Identical images while the arm moves.
    Frozen {
        /// Name of the camera.
        camera: String,
        /// Number of identical images.
        images: u32,
    },
    /// The last images could not be decoded.
    Unreadable,
    /// The forward pass takes too long.
    Hung {
        /// Time since it began (s).
        seconds: f64,
        /// Longest time allowed (s).
        limit: f64,
    },
}

impl fmt::Display for HealthFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent {
                camera, seconds: None, ..
            } => write!(f, "camera {camera}: no usable image yet"),
            Self::Silent {
                camera,
                seconds: Some(s),
                limit,
            } => {
                write!(
                    f,
                    "camera {camera}: expected an image every {limit:.2} s, found none for {s:.2} s"
                )
            }
            Self::Frozen { camera, images } => write!(
                f,
                "camera {camera} is frozen: {images} identical images while the arm moved; check its driver"
            ),
            Self::Unreadable => write!(f, "the last images could not be decoded"),
            Self::Hung { seconds, limit } => {
                write!(
                    f,
                    "the network has been computing for {seconds:.2} s, expected at most {limit:.2} s"
                )
            }
        }
    }
}

/// Intervals between the last images of one camera, as they arrived.
#[derive(Debug, Default)]
struct ArrivalIntervals {
    /// Arrival of the newest image, and the number of images up to it.
    newest: Option<(Instant, u64)>,
    /// Intervals, oldest first (s).
    seconds: VecDeque<f64>,
}

impl ArrivalIntervals {
    /// Records that `received` images have arrived so far, the newest at `at`.
    fn record(&mut self, at: Instant, received: u64) {
        if let Some((before, count)) = self.newest
            && received > count
        {
            let images = received - count;
            let mean = at.duration_since(before).as_secs_f64() / images as f64;
            for _ in 0..images.min(INTERVALS as u64) {
                if self.seconds.len() == INTERVALS {
                    self.seconds.pop_front();
                }
                self.seconds.push_back(mean);
            }
        }
        self.newest = Some((at, received));
    }

    /// Longest silence of a camera that sends like this (s): `periods` of its median interval, or more if every tenth image
    /// comes late. `None` until its rate is known.
    fn limit(&self, periods: f64) -> Option<f64> {
        if self.seconds.len() < KNOWN {
            return None;
        }
        let seconds: Vec<f64> = self.seconds.iter().copied().collect();
        Some((periods * percentile(&seconds, 50.0)?).max(LATENESS_FACTOR * percentile(&seconds, 90.0)?))
    }

    /// Returns the camera's limit (s) if it has missed `periods` images, judged at `silence` (s) after its last one. `heard` is
    /// the time since the newest message of any other stream (s): if none has arrived meanwhile either, this node or its
    /// machine has stalled, and the camera need not be faulty.
    fn missed(&self, periods: f64, silence: f64, heard: f64) -> Option<f64> {
        let limit = self.limit(periods).filter(|_| periods > 0.0)?;
        (silence > limit && silence - heard >= RECEIVING_SHARE * limit).then_some(limit)
    }
}

/// A camera and what is known of its stream.
struct WatchedCamera {
    slot: Arc<Slot>,
    freeze: FreezeWatch,
    intervals: ArrivalIntervals,
}

impl WatchedCamera {
    fn new(slot: Arc<Slot>) -> Self {
        Self {
            slot,
            freeze: FreezeWatch::default(),
            intervals: ArrivalIntervals::default(),
        }
    }
}

/// Health monitor of cameras and network.
///
/// A camera is lost when it misses `camera_periods` images of the rate at which it really sends, and in any case after
/// `camera_age_limit`. The rate is the measured one: a simulated camera, and any camera on a busy machine, sends as fast as
/// it can.
pub struct HealthMonitor {
    settings: Arc<PolicySettings>,
    arm: Arc<ArmMonitor>,
    cameras: Mutex<Vec<WatchedCamera>>,
    inference_since: Mutex<Option<Instant>>,
    unreadable: AtomicBool,
}

impl HealthMonitor {
    /// Creates a monitor without cameras, which reports no fault.
    pub fn new(settings: Arc<PolicySettings>, arm: Arc<ArmMonitor>) -> Self {
        Self {
            settings,
            arm,
            cameras: Mutex::default(),
            inference_since: Mutex::default(),
            unreadable: AtomicBool::new(false),
        }
    }

    /// Sets the cameras to monitor.
    pub fn watch(&self, slots: Vec<Arc<Slot>>) {
        *lock(&self.cameras) = slots.into_iter().map(WatchedCamera::new).collect();
    }

    /// Records the beginning of network computation.
    pub fn begin_inference(&self) {
        *lock(&self.inference_since) = Some(Instant::now());
    }

    /// Records its end, and whether the images could be decoded.
    pub fn end_inference(&self, readable: bool) {
        *lock(&self.inference_since) = None;
        self.unreadable.store(!readable, Ordering::Release);
    }

    /// Records its end when it has processed no new image.
    pub fn end_answer_step(&self) {
        *lock(&self.inference_since) = None;
    }

    /// Returns the first fault found, if any.
    pub fn fault(&self) -> Option<HealthFault> {
        if let Some(fault) = self.camera_fault() {
            return Some(fault);
        }
        let limit = self.settings.inference_limit.get();
        match *lock(&self.inference_since) {
            Some(since) if since.elapsed().as_secs_f64() > limit => Some(HealthFault::Hung {
                seconds: since.elapsed().as_secs_f64(),
                limit,
            }),
            _ if self.unreadable.load(Ordering::Acquire) => Some(HealthFault::Unreadable),
            _ => None,
        }
    }

    fn camera_fault(&self) -> Option<HealthFault> {
        let (age_limit, periods) = (self.settings.camera_age_limit.get(), self.settings.camera_periods.get());
        let travel = self.arm.travel();
        let arm_age = self.arm.latest().map(|(_, age)| age.as_secs_f64());
        let mut cameras = lock(&self.cameras);
        let silences: Vec<Option<f64>> = cameras.iter().map(|camera| silence(&camera.slot)).collect();
        for (index, camera) in cameras.iter_mut().enumerate() {
            let health = camera.slot.health();
            if let Some(newest) = camera.slot.latest() {
                camera.intervals.record(newest.received, health.received());
            }
            let seconds = silence(&camera.slot);
            let others = silences.iter().enumerate().filter(|(other, _)| *other != index);
            let heard = others.filter_map(|(_, silence)| *silence).chain(arm_age);
            let heard = heard.fold(f64::INFINITY, f64::min);
            let limit = match seconds {
                Some(seconds) if seconds <= age_limit => camera.intervals.missed(periods, seconds, heard),
                _ => Some(age_limit),
            };
            if let Some(limit) = limit {
                let camera = camera.slot.camera().to_owned();
                return Some(HealthFault::Silent { camera, seconds, limit });
            }
            if camera.freeze.is_frozen(&health, travel) {
                return Some(HealthFault::Frozen {
                    camera: camera.slot.camera().to_owned(),
                    images: health.repeats(),
                });
            }
        }
        None
    }
}

/// Time since the last usable image (s); `None` before the first.
fn silence(slot: &Slot) -> Option<f64> {
    slot.silence().map(|silence| silence.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A camera whose images arrived at these intervals (s).
    fn camera(seconds: &[f64]) -> ArrivalIntervals {
        let mut intervals = ArrivalIntervals::default();
        let mut at = Instant::now();
        intervals.record(at, 1);
        for (count, interval) in (2..).zip(seconds) {
            at += Duration::from_secs_f64(*interval);
            intervals.record(at, count);
        }
        intervals
    }

    fn limit(seconds: &[f64]) -> f64 {
        camera(seconds).limit(3.0).unwrap()
    }

    #[test]
    fn a_camera_of_30_hz_is_lost_after_three_periods() {
        let steady = camera(&[1.0 / 30.0; 40]);
        assert_eq!(steady.missed(3.0, 0.099, 0.01), None);
        let found = steady.missed(3.0, 0.101, 0.01).unwrap();
        assert!((found - 0.1).abs() < 1e-6, "{found}");
        assert_eq!(steady.missed(0.0, 0.4, 0.01), None, "no periods, no limit of their own");
        assert!((limit(&[0.1; 40]) - 0.3).abs() < 1e-6, "the rate is that of the stream");
    }

    #[test]
    fn jitter_and_single_lost_images_do_not_shorten_or_lengthen_the_limit() {
        let jitter: Vec<f64> = (0..40).map(|i| if i % 2 == 0 { 0.020 } else { 0.046 }).collect();
        assert!(limit(&jitter) > 0.068, "{}", limit(&jitter));
        let mut lost = vec![1.0 / 30.0; 40];
        lost[20] = 2.0 / 30.0;
        lost[30] = 0.7;
        assert!((limit(&lost) - 0.1).abs() < 1e-6, "{}", limit(&lost));
    }

    #[test]
    fn a_stream_that_is_often_late_is_given_more_time() {
        let starved: Vec<f64> = (0..40).map(|i| if i % 5 == 0 { 0.6 } else { 0.1 }).collect();
        assert!(limit(&starved) > 0.89, "{}", limit(&starved));
    }

    #[test]
    fn a_node_that_receives_nothing_at_all_blames_no_camera() {
        let steady = camera(&[1.0 / 30.0; 40]);
        assert_eq!(steady.missed(3.0, 0.2, 0.2), None);
        assert_eq!(
            steady.missed(3.0, 0.2, f64::INFINITY),
            None,
            "nothing else was ever heard"
        );
        assert!(steady.missed(3.0, 0.2, 0.14).is_some());
    }

    #[test]
    fn a_rate_is_known_after_ten_intervals_and_images_between_two_looks_count() {
        assert_eq!(camera(&[0.03; 9]).missed(3.0, 0.4, 0.0), None);
        let mut camera = camera(&[]);
        let start = Instant::now();
        camera.record(start, 10);
        camera.record(start + Duration::from_secs(1), 30);
        let found = camera.limit(3.0).unwrap();
        assert!((found - 0.15).abs() < 1e-3, "{found}");
    }
}
