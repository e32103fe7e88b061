//! Camera images into a latest-value slot, as the middleware delivered them.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rclrs::{IntoPrimitiveOptions as _, Node, RclrsError, Subscription};
// The RMW-native types: the idiomatic ones copy element by element.
use ros_env::sensor_msgs::msg::rmw::{CompressedImage, Image};

use super::time::from_message;
use super::{qos, topics};
use crate::control::time::Time;

/// Time over which a camera's rate is measured.
const RATE_WINDOW: Duration = Duration::from_secs(1);
/// Arrivals remembered for it.
const REMEMBERED_ARRIVALS: usize = 256;
/// Causes of unusable images that are remembered, so that a hostile sender cannot fill memory or log.
const REMEMBERED_CAUSES: usize = 32;

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
    /// Pixels, or the compressed bytes.
    pub fn data(&self) -> &[u8] {
        match self {
            Self::Raw(image) => &image.data,
            Self::Compressed(image) => &image.data,
        }
    }

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

/// Looks at an image on its way in; the error says what was expected and found.
pub type Check = fn(&Payload) -> Result<(), String>;

/// The newest usable image of one camera; older ones are dropped unread.
#[derive(Debug)]
pub struct Slot {
    camera: String,
    check: Check,
    state: Mutex<State>,
    arrival: Arc<Arrival>,
}

#[derive(Debug, Default)]
struct State {
    latest: Option<Arc<Arrived>>,
    received: u64,
    rejected: Rejected,
    changes: u64,
    changed: Option<Instant>,
    recent: VecDeque<Instant>,
}

/// Images that could not be used.
#[derive(Debug, Clone, Default)]
pub struct Rejected {
    /// How many since start.
    pub count: u64,
    /// Why the last one.
    pub reason: String,
    /// Causes that were logged.
    known: HashSet<String>,
}

impl Slot {
    /// An empty slot.
    pub fn new(camera: &str, check: Check, arrival: Arc<Arrival>) -> Self {
        Self {
            camera: camera.to_owned(),
            check,
            state: Mutex::default(),
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

    /// Time since a usable image came in; `None` before the first.
    pub fn silence(&self) -> Option<Duration> {
        lock(&self.state).latest.as_ref().map(|image| image.received.elapsed())
    }

    /// How often the pixels have changed, and since when they have not.
    pub fn unchanged(&self) -> (u64, Duration) {
        let state = lock(&self.state);
        let since = state.changed.map_or(Duration::ZERO, |at| at.elapsed());
        (state.changes, since)
    }

    /// Usable images a second over the last second; `None` while they span too little time to tell.
    pub fn rate_hz(&self) -> Option<f64> {
        let state = lock(&self.state);
        let recent = state.recent.iter().filter(|at| at.elapsed() <= RATE_WINDOW);
        let (count, first) = recent.fold((0_u32, None), |(n, first), at| (n + 1, first.or(Some(*at))));
        let span = state.recent.back()?.duration_since(first?);
        (span >= RATE_WINDOW / 3).then(|| f64::from(count - 1) / span.as_secs_f64())
    }

    /// Images that could not be used.
    pub fn rejected(&self) -> Rejected {
        lock(&self.state).rejected.clone()
    }

    /// Counts an image as unusable; each cause is logged once.
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
        if let Err(reason) = (self.check)(&payload) {
            self.reject(reason);
            return;
        }
        let received = Instant::now();
        let mut state = lock(&self.state);
        let before = state.latest.as_ref();
        // Comparing ends at the first pixel that differs; only a frozen camera is compared to the end.
        if before.is_none_or(|before| before.payload.data() != payload.data()) {
            state.changes += 1;
            state.changed = Some(received);
        }
        if state.recent.len() == REMEMBERED_ARRIVALS {
            state.recent.pop_front();
        }
        state.recent.push_back(received);
        let sequence = state.received;
        state.received += 1;
        state.latest = Some(Arc::new(Arrived {
            payload,
            stamp,
            received,
            sequence,
        }));
        drop(state);
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
    /// Listens to a camera; images that fail `check` are counted and ignored.
    ///
    /// # Errors
    /// When a subscription cannot be made.
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

    fn image(data: &[u8]) -> Payload {
        Payload::Raw(Image {
            data: data.into(),
            ..Default::default()
        })
    }

    fn slot(arrival: &Arc<Arrival>) -> Slot {
        let check = |payload: &Payload| (!payload.data().is_empty()).then_some(()).ok_or("empty".into());
        Slot::new("top", check, Arc::clone(arrival))
    }

    #[test]
    fn only_the_newest_image_is_kept_and_waiters_wake() {
        let arrival = Arc::new(Arrival::default());
        let slot = slot(&arrival);
        assert!(slot.latest().is_none() && slot.silence().is_none());
        for stamp in 1..=3 {
            slot.put(image(&[1]), Time(stamp));
        }
        assert_eq!(slot.latest().map(|a| (a.stamp, a.sequence)), Some((Time(3), 2)));
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

    #[test]
    fn identical_pixels_are_no_change_whatever_their_stamp() {
        let slot = slot(&Arc::default());
        for (stamp, pixels) in [[1, 2], [1, 2], [1, 3], [1, 3]].iter().enumerate() {
            slot.put(image(pixels), Time(stamp as i64));
        }
        assert_eq!(slot.unchanged().0, 2);
    }
}
