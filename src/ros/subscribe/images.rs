//! Subscriptions to camera images that keep the newest one, as the middleware delivered it.

use std::collections::HashSet;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rclrs::{IntoPrimitiveOptions as _, Node, RclrsError, Subscription};
// The RMW-native types: the idiomatic ones copy element by element.
use ros_env::sensor_msgs::msg::rmw::{CompressedImage, Image};

use crate::camera::stream_health::{FreezeRule, StreamHealth};
use crate::ros::convert::image::Payload;
use crate::ros::node::lock::lock;
use crate::ros::node::{qos, topics};
use crate::types::time::Time;

/// Number of different causes of unusable images that are remembered, so that a sender cannot fill memory or log.
const REMEMBERED_CAUSES: usize = 32;

/// Image topics of a camera to subscribe to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// `<camera>/image_raw`.
    Raw,
    /// `<camera>/image_raw/compressed`.
    Compressed,
    /// Both; every image that arrives is used.
    Auto,
}

/// The newest image of a camera.
#[derive(Debug)]
pub struct Arrived {
    /// The image.
    pub payload: Payload,
    /// Stamp of its header.
    pub stamp: Time,
    /// Time of arrival.
    pub received: Instant,
}

/// Notification of images from any camera.
#[derive(Debug, Default)]
pub struct Arrival {
    count: Mutex<u64>,
    changed: Condvar,
}

impl Arrival {
    fn announce(&self) {
        *lock(&self.count) += 1;
        self.changed.notify_all();
    }

    /// Waits until more than `seen` images have arrived in total, or until `timeout`; returns the total.
    pub fn wait(&self, seen: u64, timeout: Duration) -> u64 {
        let waiting = self
            .changed
            .wait_timeout_while(lock(&self.count), timeout, |count| *count <= seen);
        *waiting.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// The newest usable image of one camera; older ones are dropped unread.
#[derive(Debug)]
pub struct Slot {
    camera: String,
    start: Instant,
    state: Mutex<State>,
    arrival: Arc<Arrival>,
}

#[derive(Debug)]
struct State {
    latest: Option<Arc<Arrived>>,
    health: StreamHealth,
    rejected: Rejected,
}

/// Statistics of images that could not be used.
#[derive(Debug, Clone, Default)]
pub struct Rejected {
    /// Number of them since start.
    pub count: u64,
    /// Cause of the last one.
    pub reason: String,
    /// Causes that have been logged.
    known: HashSet<String>,
}

impl Rejected {
    /// Counts an image; returns whether its cause is to be logged.
    fn add(&mut self, reason: &str) -> bool {
        self.count += 1;
        reason.clone_into(&mut self.reason);
        self.known.len() < REMEMBERED_CAUSES && self.known.insert(reason.to_owned())
    }
}

impl Slot {
    /// Creates an empty slot.
    pub fn new(camera: &str, rule: FreezeRule, arrival: Arc<Arrival>) -> Self {
        let state = State {
            latest: None,
            health: StreamHealth::new(rule),
            rejected: Rejected::default(),
        };
        Self {
            camera: camera.to_owned(),
            start: Instant::now(),
            state: Mutex::new(state),
            arrival,
        }
    }

    /// Name of the camera.
    pub fn camera(&self) -> &str {
        &self.camera
    }

    /// The newest image.
    pub fn latest(&self) -> Option<Arc<Arrived>> {
        lock(&self.state).latest.clone()
    }

    /// Time since the last usable image arrived; `None` before the first.
    pub fn silence(&self) -> Option<Duration> {
        lock(&self.state).latest.as_ref().map(|image| image.received.elapsed())
    }

    /// Rate and content of the usable images.
    pub fn health(&self) -> StreamHealth {
        lock(&self.state).health.clone()
    }

    /// Statistics of images that could not be used.
    pub fn rejected(&self) -> Rejected {
        lock(&self.state).rejected.clone()
    }

    /// Counts an image as unusable; logs each cause once.
    pub fn reject(&self, reason: &str) {
        let is_new = lock(&self.state).rejected.add(reason);
        if is_new {
            tracing::warn!("camera {}: image ignored: {reason}", self.camera);
        }
    }

    fn put(&self, payload: Payload) {
        let content = match payload.fingerprint() {
            Ok(content) => content,
            Err(error) => return self.reject(&error.to_string()),
        };
        let stamp = payload.stamp();
        let received = Instant::now();
        let steady = Time::default() + received.duration_since(self.start);
        let mut state = lock(&self.state);
        state.health.observe(steady, stamp, content);
        state.latest = Some(Arc::new(Arrived {
            payload,
            stamp,
            received,
        }));
        drop(state);
        self.arrival.announce();
    }
}

/// The subscriptions of one camera; images are received as long as this lives.
pub struct CameraFeed {
    /// Slot with the newest image.
    pub slot: Arc<Slot>,
    _raw: Option<Subscription<Image>>,
    _compressed: Option<Subscription<CompressedImage>>,
}

impl CameraFeed {
    /// Subscribes to a camera; images that cannot be decoded are counted and dropped.
    ///
    /// # Errors
    /// When a subscription cannot be created.
    pub fn subscribe(node: &Node, slot: Slot, transport: Transport) -> Result<Self, RclrsError> {
        let slot = Arc::new(slot);
        let camera = slot.camera().to_owned();
        let raw = (transport != Transport::Compressed)
            .then(|| {
                let slot = Arc::clone(&slot);
                node.create_subscription(topics::image(&camera).qos(qos::images()), move |image: Image| {
                    slot.put(Payload::Raw(image));
                })
            })
            .transpose()?;
        let compressed = (transport != Transport::Raw)
            .then(|| {
                let slot = Arc::clone(&slot);
                let topic = topics::compressed_image(&camera);
                node.create_subscription(topic.qos(qos::images()), move |image: CompressedImage| {
                    slot.put(Payload::Compressed(image));
                })
            })
            .transpose()?;
        Ok(Self {
            slot,
            _raw: raw,
            _compressed: compressed,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ros::convert::image::{rgb8, set_stamp};

    fn image(data: &[u8], stamp: Time) -> Payload {
        let mut image = rgb8(1, 1, data);
        set_stamp(&mut image, stamp);
        Payload::Raw(image)
    }

    fn slot(arrival: &Arc<Arrival>) -> Slot {
        Slot::new("top", FreezeRule::default(), Arc::clone(arrival))
    }

    #[test]
    fn only_the_newest_image_is_kept_and_waiters_wake() {
        let arrival = Arc::new(Arrival::default());
        let slot = slot(&arrival);
        assert!(slot.latest().is_none() && slot.silence().is_none());
        for stamp in 1..=3 {
            slot.put(image(&[1; 3], Time(stamp)));
        }
        assert_eq!(slot.latest().map(|image| image.stamp), Some(Time(3)));
        assert_eq!((slot.health().received(), slot.health().repeats()), (3, 3));
        assert_eq!(arrival.wait(2, Duration::from_secs(60)), 3);
        assert_eq!(arrival.wait(3, Duration::ZERO), 3);
    }

    #[test]
    fn unusable_images_are_counted_and_never_seen() {
        let slot = slot(&Arc::default());
        slot.put(image(&[], Time(1)));
        slot.put(image(&[], Time(2)));
        assert!(slot.latest().is_none());
        let rejected = slot.rejected();
        assert_eq!(rejected.count, 2);
        assert!(
            rejected.reason.contains("expected at least 3 bytes"),
            "{}",
            rejected.reason
        );
    }
}
