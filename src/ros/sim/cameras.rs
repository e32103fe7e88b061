//! The thread that renders and publishes both cameras.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use rclrs::{IntoPrimitiveOptions as _, Node, Publisher, QoSProfile, RclrsError};
use ros_env::sensor_msgs::msg::CameraInfo;
// The RMW-native type: the idiomatic one copies pixel by pixel.
use ros_env::sensor_msgs::msg::rmw::Image;
use ros_env::std_msgs::msg::Header;

use super::SimNodeError;
use super::parameters::{CameraFault, CameraFaults, SimSettings};
use crate::ros::convert::image::{rgb8, set_stamp};
use crate::ros::node::runtime::{Runtime, Shutdown};
use crate::ros::node::time::{NodeClock, to_message};
use crate::ros::node::topics;
use crate::sim::camera::{self, HEIGHT, Intrinsics, SceneRenderer, View, WIDTH};
use crate::sim::error::SimError;
use crate::sim::world::Snapshot;
use crate::types::time::Time;

/// Delay of a camera with the fault `late` (s).
const LATE_S: f64 = 0.5;
/// Longest time until the thread notices that the node shuts down.
const IDLE_PERIOD: Duration = Duration::from_millis(100);

/// Slot for the newest snapshot to render; older ones are dropped.
#[derive(Clone)]
pub struct Cameras(Arc<Slot>);

#[derive(Default)]
struct Slot {
    newest: Mutex<Option<(Snapshot, Time)>>,
    changed: Condvar,
}

impl Cameras {
    /// Requests an image of each camera, stamped `stamp`.
    pub fn take(&self, of: Snapshot, stamp: Time) {
        *self.0.newest.lock().unwrap_or_else(PoisonError::into_inner) = Some((of, stamp));
        self.0.changed.notify_one();
    }

    fn next(&self) -> Option<(Snapshot, Time)> {
        let newest = self.0.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .0
            .changed
            .wait_timeout_while(newest, IDLE_PERIOD, |newest| newest.is_none());
        waited.unwrap_or_else(PoisonError::into_inner).0.take()
    }
}

/// Starts the thread; returns `None` when the camera rate is 0.
///
/// # Errors
/// When a publisher cannot be created.
pub fn start(runtime: &Runtime, settings: &SimSettings, faults: CameraFaults) -> Result<Option<Cameras>, SimNodeError> {
    if settings.camera_rate_hz <= 0.0 {
        return Ok(None);
    }
    let node = runtime.node();
    let publishers = View::ALL.map(|view| Camera::new(node, view));
    let mut publishers = publishers.into_iter().collect::<Result<Vec<_>, _>>()?;
    let cameras = Cameras(Arc::default());
    let (mine, shutdown, clock) = (cameras.clone(), runtime.shutdown().clone(), NodeClock::of(node));
    runtime
        .shutdown()
        .run_beside(move || render_loop(&mine, &mut publishers, &faults, &shutdown, &clock));
    Ok(Some(cameras))
}

fn render_loop(
    cameras: &Cameras,
    publishers: &mut [Camera],
    faults: &CameraFaults,
    shutdown: &Shutdown,
    clock: &NodeClock,
) -> Result<(), SimNodeError> {
    let mut renderer = None;
    while !shutdown.is_requested() {
        let Some((snapshot, stamp)) = cameras.next() else {
            continue;
        };
        let renderer = match &mut renderer {
            Some(renderer) => renderer,
            // Created here, because the OpenGL context belongs to this thread.
            none => none.insert(SceneRenderer::new(&snapshot)?),
        };
        for camera in publishers.iter_mut() {
            let intrinsics = camera::intrinsics(&snapshot, camera.view)?;
            let pixels = renderer.take(&snapshot, camera.view)?;
            camera.queue_image(pixels, stamp, faults.of(camera.view))?;
            camera.publish(&intrinsics, clock.now(), faults.of(camera.view))?;
        }
    }
    Ok(())
}

/// Publishers of one camera, and its images that wait to be published.
struct Camera {
    view: View,
    image: Publisher<Image>,
    info: Publisher<CameraInfo>,
    waiting: VecDeque<(Time, Image)>,
    /// Last image published.
    last: Option<Image>,
}

impl Camera {
    fn new(node: &Node, view: View) -> Result<Self, RclrsError> {
        // Reliable, as image publishers should be; a small depth, because only recent images are useful.
        let few = || QoSProfile::topics_default().keep_last(2);
        Ok(Self {
            view,
            image: node.create_publisher(topics::image(view.name()).as_str().qos(few()))?,
            info: node.create_publisher(topics::camera_info(view.name()).as_str().qos(few()))?,
            waiting: VecDeque::new(),
            last: None,
        })
    }

    /// Queues an image for publication, changed according to the fault.
    fn queue_image(&mut self, pixels: &[u8], stamp: Time, fault: CameraFault) -> Result<(), SimError> {
        let image = match (fault, self.last.take()) {
            (CameraFault::Frozen, Some(old)) => stamped(old, stamp),
            (CameraFault::Truncated, _) => {
                let half = pixels.get(..pixels.len() / 2).unwrap_or_default();
                image(self.view, half, stamp)
            }
            (_, Some(mut old)) if old.data.len() == pixels.len() => {
                old.data.copy_from_slice(pixels);
                stamped(old, stamp)
            }
            _ => image(self.view, pixels, stamp),
        };
        if fault == CameraFault::Dropped {
            self.waiting.clear();
            return Ok(());
        }
        self.waiting.push_back((stamp, image));
        Ok(())
    }

    /// Publishes the images that are due.
    fn publish(&mut self, intrinsics: &Intrinsics, now: Time, fault: CameraFault) -> Result<(), RclrsError> {
        while let Some((stamp, image)) = self.waiting.pop_front() {
            if fault == CameraFault::Late && now.seconds_since(stamp) < LATE_S {
                self.waiting.push_front((stamp, image));
                return Ok(());
            }
            self.image.publish(&image)?;
            self.info.publish(info(self.view, intrinsics, stamp))?;
            self.last = Some(image);
        }
        Ok(())
    }
}

fn image(view: View, pixels: &[u8], stamp: Time) -> Image {
    let mut image = rgb8(WIDTH, HEIGHT, pixels);
    image.header.frame_id = view.frame().into();
    stamped(image, stamp)
}

fn stamped(mut image: Image, stamp: Time) -> Image {
    set_stamp(&mut image, stamp);
    image
}

fn info(view: View, intrinsics: &Intrinsics, stamp: Time) -> CameraInfo {
    let Intrinsics { focal, cx, cy } = *intrinsics;
    CameraInfo {
        header: Header {
            stamp: to_message(stamp),
            frame_id: view.frame().to_owned(),
        },
        height: HEIGHT,
        width: WIDTH,
        distortion_model: "plumb_bob".to_owned(),
        d: vec![0.0; 5],
        k: [focal, 0.0, cx, 0.0, focal, cy, 0.0, 0.0, 1.0],
        r: [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        p: [focal, 0.0, cx, 0.0, 0.0, focal, cy, 0.0, 0.0, 0.0, 1.0, 0.0],
        ..CameraInfo::default()
    }
}
