//! Subscriptions to camera images that keep the newest one, as the middleware delivered it.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hasher as _};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rclrs::{IntoPrimitiveOptions as _, Node, RclrsError, Subscription};
// The RMW-native types: the idiomatic ones copy element by element.
use ros_env::sensor_msgs::msg::rmw::{CompressedImage, Image};

use crate::camera::compressed::{self, Compression};
use crate::camera::freeze::{FreezeRule, StreamHealth, content_hash};
use crate::camera::image_view::{ImageFields, ImageView};
use crate::camera::rgb::RgbImage;
use crate::ros::node::lock::lock;
use crate::ros::node::time::from_message;
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

/// An image as delivered, undecoded.
#[derive(Debug)]
pub enum Payload {
    /// Uncompressed pixels.
    Raw(Image),
    /// JPEG or PNG.
    Compressed(CompressedImage),
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

impl Payload {
    /// Frame id of its header.
    pub fn frame(&self) -> String {
        match self {
            Self::Raw(image) => image.header.frame_id.to_string(),
            Self::Compressed(image) => image.header.frame_id.to_string(),
        }
    }
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

/// Check of an arriving image: returns a hash of its content, or the error with what was expected and found.
pub type Check = fn(&Payload) -> Result<u64, String>;

/// The newest usable image of one camera; older ones are dropped unread.
#[derive(Debug)]
pub struct Slot {
    camera: String,
    check: Check,
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

impl Slot {
    /// Creates an empty slot.
    pub fn new(camera: &str, rule: FreezeRule, check: Check, arrival: Arc<Arrival>) -> Self {
        let state = State {
            latest: None,
            health: StreamHealth::new(rule),
            rejected: Rejected::default(),
        };
        Self {
            camera: camera.to_owned(),
            check,
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
    pub fn reject(&self, reason: String) {
        let mut state = lock(&self.state);
        state.rejected.count += 1;
        let known = &mut state.rejected.known;
        if known.len() < REMEMBERED_CAUSES && known.insert(reason.clone()) {
            tracing::warn!("camera {}: image ignored: {reason}", self.camera);
        }
        state.rejected.reason = reason;
    }

    fn put(&self, payload: Payload, stamp: Time) {
        let content = match (self.check)(&payload) {
            Ok(content) => content,
            Err(reason) => return self.reject(reason),
        };
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
    /// Subscribes to a camera; images that fail the slot's check are counted and dropped.
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
                    let stamp = stamp_of(&image.header.stamp);
                    slot.put(Payload::Raw(image), stamp);
                })
            })
            .transpose()?;
        let compressed = (transport != Transport::Raw)
            .then(|| {
                let slot = Arc::clone(&slot);
                let topic = topics::compressed_image(&camera);
                node.create_subscription(topic.qos(qos::images()), move |image: CompressedImage| {
                    let stamp = stamp_of(&image.header.stamp);
                    slot.put(Payload::Compressed(image), stamp);
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

/// Converts the stamp of an image's header.
pub fn stamp_of(stamp: &ros_env::builtin_interfaces::msg::rmw::Time) -> Time {
    from_message(&ros_env::builtin_interfaces::msg::Time {
        sec: stamp.sec,
        nanosec: stamp.nanosec,
    })
}

/// Decodes an image as it arrived to RGB; policy and recorder both use this function, so that they see the same pixels.
///
/// # Errors
/// When the image is malformed or its encoding is not supported.
pub fn decode(payload: &Payload, rgb: &mut RgbImage) -> Result<(), String> {
    match payload {
        Payload::Raw(image) => view(image).map(|view| view.to_rgb(rgb)),
        Payload::Compressed(image) => {
            compressed::decode(&image.format.to_string(), &image.data, rgb).map_err(|e| e.to_string())
        }
    }
}

/// Views a raw image, after checks of its fields; the error names what is wrong.
fn view(image: &Image) -> Result<ImageView<'_>, String> {
    let encoding = image.encoding.to_cstr().to_str().unwrap_or("<not text>");
    let fields = ImageFields {
        width: image.width,
        height: image.height,
        encoding,
        step: image.step,
        data: &image.data,
    };
    ImageView::new(fields).map_err(|e| e.to_string())
}

/// Hash of an image's content, for the detection of repeated images. The error names what makes it undecodable: fields of a
/// raw image, format of a compressed one.
pub fn fingerprint(payload: &Payload) -> Result<u64, String> {
    match payload {
        Payload::Raw(image) => view(image).map(|view| content_hash(&view)),
        Payload::Compressed(image) => {
            Compression::parse(&image.format.to_string()).map_err(|e| e.to_string())?;
            let mut hasher = DefaultHasher::new();
            hasher.write(&image.data);
            Ok(hasher.finish())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(data: &[u8]) -> Payload {
        Payload::Raw(Image {
            data: data.into(),
            ..Default::default()
        })
    }

    fn slot(arrival: &Arc<Arrival>) -> Slot {
        let check = |payload: &Payload| match payload {
            Payload::Raw(image) => image.data.first().map(|byte| u64::from(*byte)).ok_or("empty".into()),
            Payload::Compressed(_) => Err("unexpected".into()),
        };
        Slot::new("top", FreezeRule::default(), check, Arc::clone(arrival))
    }

    #[test]
    fn only_the_newest_image_is_kept_and_waiters_wake() {
        let arrival = Arc::new(Arrival::default());
        let slot = slot(&arrival);
        assert!(slot.latest().is_none() && slot.silence().is_none());
        for stamp in 1..=3 {
            slot.put(image(&[1]), Time(stamp));
        }
        assert_eq!(slot.latest().map(|image| image.stamp), Some(Time(3)));
        assert_eq!((slot.health().received(), slot.health().repeats()), (3, 3));
        assert_eq!(arrival.wait(2, Duration::from_secs(60)), 3);
        assert_eq!(arrival.wait(3, Duration::ZERO), 3);
    }

    #[test]
    fn unusable_images_are_counted_and_never_seen() {
        let slot = slot(&Arc::default());
        slot.put(image(&[]), Time(1));
        slot.put(image(&[]), Time(2));
        assert!(slot.latest().is_none());
        let rejected = slot.rejected();
        assert_eq!((rejected.count, rejected.reason.as_str()), (2, "empty"));
    }

    fn picture() -> Image {
        Image {
            width: 4,
            height: 2,
            encoding: "rgb8".into(),
            step: 12,
            data: vec![7_u8; 24].into(),
            ..Default::default()
        }
    }

    fn complaint(break_it: impl FnOnce(&mut Image)) -> String {
        let mut image = picture();
        break_it(&mut image);
        fingerprint(&Payload::Raw(image)).unwrap_err()
    }

    #[test]
    fn malformed_images_are_refused_with_expected_and_found() {
        assert!(fingerprint(&Payload::Raw(picture())).is_ok());
        assert!(complaint(|i| i.encoding = "32FC1".into()).contains("32FC1"));
        assert!(complaint(|i| i.data = vec![7_u8; 23].into()).contains("expected at least 24"));
        assert!(complaint(|i| i.step = 11).contains("expected at least 12"));
        assert!(complaint(|i| i.width = u32::MAX).contains("expected"));
        let unknown = CompressedImage {
            format: "h264".into(),
            ..Default::default()
        };
        assert!(fingerprint(&Payload::Compressed(unknown)).unwrap_err().contains("h264"));
    }
}
