//! Camera images into a latest-value slot, as the middleware delivered them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rclrs::{IntoPrimitiveOptions as _, Node, RclrsError, Subscription};
// The RMW-native types: the idiomatic ones copy element by element.
use ros_env::sensor_msgs::msg::rmw::{CompressedImage, Image};

use super::time::from_message;
use super::{qos, topics};
use crate::control::time::Time;

/// Which topics of a camera to listen to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// `<camera>/image_raw`.
    Raw,
    /// `<camera>/image_raw/compressed`.
    Compressed,
    /// Both; whichever comes is used.
    Auto,
}

/// An image as delivered, undecoded.
#[derive(Debug)]
pub enum Payload {
    /// Pixels.
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
    /// When it came in.
    pub received: Instant,
    /// How many came before it on this camera.
    pub sequence: u64,
}

impl Payload {
    /// Frame its header names.
    pub fn frame(&self) -> String {
        match self {
            Self::Raw(image) => image.header.frame_id.to_string(),
            Self::Compressed(image) => image.header.frame_id.to_string(),
        }
    }
}

/// Wakes whoever waits for an image of any camera.
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

    /// Waits until an image has come after the `seen` ones, or `timeout` is over; returns how many have come.
    pub fn wait(&self, seen: u64, timeout: Duration) -> u64 {
        let waiting = self
            .changed
            .wait_timeout_while(lock(&self.count), timeout, |count| *count <= seen);
        *waiting.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// The newest image of one camera; older ones are dropped unread.
#[derive(Debug)]
pub struct Slot {
    latest: Mutex<Option<Arc<Arrived>>>,
    received: AtomicU64,
    start: Instant,
    /// Milliseconds from `start` to the last arrival, plus one; 0 before the first.
    last_ms: AtomicU64,
    arrival: Arc<Arrival>,
}

impl Slot {
    /// An empty slot.
    pub fn new(arrival: Arc<Arrival>) -> Self {
        Self {
            latest: Mutex::default(),
            received: AtomicU64::new(0),
            start: Instant::now(),
            last_ms: AtomicU64::new(0),
            arrival,
        }
    }

    /// The newest image.
    pub fn latest(&self) -> Option<Arc<Arrived>> {
        lock(&self.latest).clone()
    }

    /// Images since start.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Time since an image came in; `None` before the first. Takes no lock.
    pub fn silence(&self) -> Option<Duration> {
        let last = self.last_ms.load(Ordering::Acquire).checked_sub(1)?;
        Some(self.start.elapsed().saturating_sub(Duration::from_millis(last)))
    }

    fn put(&self, payload: Payload, stamp: Time) {
        let sequence = self.received.fetch_add(1, Ordering::Relaxed);
        let arrived = Arc::new(Arrived {
            payload,
            stamp,
            received: Instant::now(),
            sequence,
        });
        let elapsed = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        *lock(&self.latest) = Some(arrived);
        self.last_ms.store(elapsed + 1, Ordering::Release);
        self.arrival.announce();
    }
}

/// The subscriptions of one camera; images come in as long as this lives.
pub struct CameraFeed {
    /// Where the newest image lies.
    pub slot: Arc<Slot>,
    _raw: Option<Subscription<Image>>,
    _compressed: Option<Subscription<CompressedImage>>,
}

impl CameraFeed {
    /// Listens to a camera.
    ///
    /// # Errors
    /// When a subscription cannot be made.
    pub fn subscribe(
        node: &Node,
        camera: &str,
        transport: Transport,
        arrival: &Arc<Arrival>,
    ) -> Result<Self, RclrsError> {
        let slot = Arc::new(Slot::new(Arc::clone(arrival)));
        let raw = (transport != Transport::Compressed)
            .then(|| {
                let slot = Arc::clone(&slot);
                node.create_subscription(topics::image(camera).qos(qos::images()), move |image: Image| {
                    let stamp = stamp_of(&image.header.stamp);
                    slot.put(Payload::Raw(image), stamp);
                })
            })
            .transpose()?;
        let compressed = (transport != Transport::Raw)
            .then(|| {
                let slot = Arc::clone(&slot);
                let topic = topics::compressed_image(camera);
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

fn stamp_of(stamp: &ros_env::builtin_interfaces::msg::rmw::Time) -> Time {
    from_message(&ros_env::builtin_interfaces::msg::Time {
        sec: stamp.sec,
        nanosec: stamp.nanosec,
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_image_is_kept_and_waiters_wake() {
        let arrival = Arc::new(Arrival::default());
        let slot = Slot::new(Arc::clone(&arrival));
        assert!(slot.latest().is_none() && slot.silence().is_none());
        for stamp in 1..=3 {
            slot.put(Payload::Raw(Image::default()), Time(stamp));
        }
        assert_eq!(slot.latest().map(|a| (a.stamp, a.sequence)), Some((Time(3), 2)));
        assert_eq!(slot.received(), 3);
        assert!(slot.silence().is_some());
        assert_eq!(arrival.wait(2, Duration::from_secs(60)), 3);
        assert_eq!(arrival.wait(3, Duration::ZERO), 3);
    }
}
