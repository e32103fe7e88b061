//! All cameras of the contract.

use std::hash::{DefaultHasher, Hasher as _};
use std::sync::Arc;

use rclrs::{Node, RclrsError};

use super::settings::Settings;
use crate::camera::compressed::Compression;
use crate::camera::freeze::{FreezeRule, content_hash};
use crate::camera::image_view::{ImageFields, ImageView};
use crate::contract::Camera;
use crate::ros::images::{Arrival, CameraFeed, Payload, Slot};

/// The cameras, in the contract's order.
pub struct Eyes {
    feeds: Vec<CameraFeed>,
    arrival: Arc<Arrival>,
}

impl Eyes {
    /// Listens to the contract's cameras.
    ///
    /// # Errors
    /// When a subscription cannot be made.
    pub fn open(node: &Node, cameras: &[Camera], settings: &Settings) -> Result<Self, RclrsError> {
        let arrival = Arc::new(Arrival::default());
        let freeze = FreezeRule {
            frames: 3,
            seconds: settings.frozen_after,
        };
        let feeds = cameras
            .iter()
            .map(|camera| {
                let slot = Slot::new(&camera.name, freeze, fingerprint, Arc::clone(&arrival));
                CameraFeed::subscribe(node, slot, settings.transport)
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

/// What tells this image's content from another's, if its fields say that it can be decoded.
fn fingerprint(payload: &Payload) -> Result<u64, String> {
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
        fingerprint(&Payload::Raw(image)).unwrap_err()
    }

    #[test]
    fn malformed_images_are_refused_with_expected_and_found() {
        assert!(fingerprint(&Payload::Raw(image())).is_ok());
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
