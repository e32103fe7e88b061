//! Publishes recorded frames as both cameras, for measurements that rendering would disturb.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rclrs::{IntoPrimitiveOptions as _, Publisher};
use ros_env::sensor_msgs::msg::rmw::Image;

use crate::ros::convert::image::{rgb8, set_stamp};
use crate::ros::node::runtime::Runtime;
use crate::ros::node::time::NodeClock;
use crate::ros::node::{qos, topics};

use super::error::HarnessError;
use super::monitor::CAMERAS;
use super::observations::CapturedFrame;

/// Path of a camera's recorded frame.
pub fn file(directory: &Path, camera: &str) -> PathBuf {
    directory.join(format!("{camera}.png"))
}

/// Writes a frame to where [`run`] reads it.
///
/// # Errors
/// When the file cannot be written.
pub fn save(directory: &Path, camera: &str, frame: &CapturedFrame) -> Result<(), HarnessError> {
    let path = file(directory, camera);
    image::save_buffer(&path, &frame.rgb, frame.width, frame.height, image::ColorType::Rgb8).map_err(|error| {
        HarnessError::File {
            path,
            message: error.to_string(),
        }
    })
}

/// Publishes the recorded frame of each camera at `rate_hz`, stamped when sent, until a signal arrives. The first byte
/// counts up, because a camera whose pixels never change is taken for frozen.
///
/// # Errors
/// When a frame cannot be read or ROS reports an error.
pub fn run(directory: &Path, rate_hz: f64) -> Result<(), HarnessError> {
    let runtime = Runtime::start("frame_replay")?;
    let mut cameras = Vec::new();
    for camera in CAMERAS {
        let topic = topics::image(camera);
        let publisher = runtime
            .node()
            .create_publisher::<Image>(topic.as_str().qos(qos::images()))?;
        cameras.push((publisher, message(directory, camera)?));
    }
    let clock = NodeClock::of(runtime.node());
    let shutdown = runtime.shutdown().clone();
    let period = Duration::from_secs_f64(1.0 / rate_hz);
    runtime.shutdown().run_beside(move || {
        let mut next = Instant::now();
        while !shutdown.is_requested() {
            for (publisher, image) in &mut cameras {
                publish(publisher, image, &clock)?;
            }
            next = (next + period).max(Instant::now());
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        }
        Ok::<_, rclrs::RclrsError>(())
    });
    Ok(runtime.spin()?)
}

fn publish(publisher: &Publisher<Image>, image: &mut Image, clock: &NodeClock) -> Result<(), rclrs::RclrsError> {
    set_stamp(image, clock.now());
    if let Some(pixel) = image.data.first_mut() {
        *pixel = pixel.wrapping_add(1);
    }
    publisher.publish(&*image)
}

fn message(directory: &Path, camera: &str) -> Result<Image, HarnessError> {
    let path = file(directory, camera);
    let frame = image::open(&path)
        .map_err(|error| HarnessError::File {
            path,
            message: error.to_string(),
        })?
        .into_rgb8();
    let mut image = rgb8(frame.width(), frame.height(), frame.as_raw());
    image.header.frame_id = format!("{camera}_camera_optical_frame").as_str().into();
    Ok(image)
}
