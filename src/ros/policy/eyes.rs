//! All cameras of the contract: the newest frames that belong together.

use std::sync::Arc;
use std::time::Duration;

use rclrs::{Node, RclrsError};

use crate::camera::compressed::Compression;
use crate::camera::image_view::{ImageFields, ImageView};
use crate::contract::Camera;
use crate::control::time::Time;
use crate::ros::images::{Arrival, Arrived, CameraFeed, Payload, Slot, Transport};

/// The cameras, in the contract's order.
pub struct Eyes {
    feeds: Vec<CameraFeed>,
    arrival: Arc<Arrival>,
}

/// Frames of one moment.
#[derive(Debug, Clone)]
pub struct Moment {
    /// One a camera, in the contract's order.
    pub frames: Vec<Arc<Arrived>>,
    /// Stamp of the oldest: what a chunk is anchored at.
    pub observed: Time,
}

impl Eyes {
    /// Listens to the contract's cameras.
    ///
    /// # Errors
    /// When a subscription cannot be made.
    pub fn open(node: &Node, cameras: &[Camera], transport: Transport) -> Result<Self, RclrsError> {
        let arrival = Arc::new(Arrival::default());
        let feeds = cameras
            .iter()
            .map(|camera| {
                let slot = Slot::new(&camera.name, usable, Arc::clone(&arrival));
                CameraFeed::subscribe(node, slot, transport)
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { feeds, arrival })
    }

    /// The slots, in the contract's order.
    pub fn slots(&self) -> Vec<Arc<Slot>> {
        self.feeds.iter().map(|feed| Arc::clone(&feed.slot)).collect()
    }

    /// Wakes when an image of any camera comes in.
    pub fn arrival(&self) -> Arc<Arrival> {
        Arc::clone(&self.arrival)
    }
}

/// The newest frame of every camera, if their stamps lie within `slop` of each other.
pub fn newest_moment(slots: &[Arc<Slot>], slop: Duration) -> Option<Moment> {
    let frames = slots.iter().map(|slot| slot.latest()).collect::<Option<Vec<_>>>()?;
    let observed = frames.iter().map(|frame| frame.stamp).min()?;
    let newest = frames.iter().map(|frame| frame.stamp).max()?;
    (newest.seconds_since(observed) <= slop.as_secs_f64()).then_some(Moment { frames, observed })
}

/// The fields of a raw image; the error tells what is wrong with them.
pub fn view(image: &ros_env::sensor_msgs::msg::rmw::Image) -> Result<ImageView<'_>, String> {
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

/// Whether an image can be decoded, as far as its fields tell.
fn usable(payload: &Payload) -> Result<(), String> {
    match payload {
        Payload::Raw(image) => view(image).map(drop),
        Payload::Compressed(image) => Compression::parse(&image.format.to_string())
            .map(drop)
            .map_err(|e| e.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ros_env::sensor_msgs::msg::rmw::{CompressedImage, Image};

    fn image() -> Image {
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
        let mut image = image();
        break_it(&mut image);
        usable(&Payload::Raw(image)).unwrap_err()
    }

    #[test]
    fn malformed_images_are_refused_with_expected_and_found() {
        assert_eq!(usable(&Payload::Raw(image())), Ok(()));
        assert!(complaint(|i| i.encoding = "32FC1".into()).contains("32FC1"));
        assert!(complaint(|i| i.data = vec![7_u8; 23].into()).contains("expected at least 24"));
        assert!(complaint(|i| i.step = 11).contains("expected at least 12"));
        assert!(complaint(|i| i.width = u32::MAX).contains("expected"));
        let unknown = CompressedImage {
            format: "h264".into(),
            ..Default::default()
        };
        assert!(usable(&Payload::Compressed(unknown)).unwrap_err().contains("h264"));
    }
}
