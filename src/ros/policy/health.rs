//! Health monitor of cameras and network, checked by the heartbeat thread before every beat.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::freeze::FreezeWatch;
use super::settings::PolicySettings;
use crate::ros::client::arm_status::ArmMonitor;
use crate::ros::node::lock::lock;
use crate::ros::subscribe::images::Slot;

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

/// Health monitor of cameras and network.
pub struct HealthMonitor {
    settings: Arc<PolicySettings>,
    arm: Arc<ArmMonitor>,
    cameras: Mutex<Vec<(Arc<Slot>, FreezeWatch)>>,
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
        *lock(&self.cameras) = slots.into_iter().map(|slot| (slot, FreezeWatch::default())).collect();
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
        let limit = self.settings.camera_age_limit.get();
        let travel = self.arm.travel();
        for (slot, freeze) in lock(&self.cameras).iter_mut() {
            let seconds = slot.silence().map(|silence| silence.as_secs_f64());
            if seconds.is_none_or(|s| s > limit) {
                let camera = slot.camera().to_owned();
                return Some(HealthFault::Silent { camera, seconds, limit });
            }
            let health = slot.health();
            if freeze.is_frozen(&health, travel) {
                return Some(HealthFault::Frozen {
                    camera: slot.camera().to_owned(),
                    images: health.repeats(),
                });
            }
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
}
