//! Publisher of the geometry latents, for rviz.

use std::sync::atomic::{AtomicBool, Ordering};

use rclrs::{IntoPrimitiveOptions as _, Node, Publisher, RclrsError};
use ros_env::sensor_msgs::msg::Image;
use ros_env::std_msgs::msg::Header;

use super::backend::InferenceBackend;
use super::error::PolicyError;
use crate::ros::node::time::to_message;
use crate::ros::node::{qos, topics};
use crate::types::time::Time;

/// Publisher of pictures of the geometry latents.
pub struct GeometryView {
    publisher: Publisher<Image>,
    complained: AtomicBool,
}

impl GeometryView {
    /// Creates the publisher.
    ///
    /// # Errors
    /// When ROS refuses.
    pub fn offer(node: &Node) -> Result<Self, RclrsError> {
        Ok(Self {
            publisher: node.create_publisher(topics::GEOMETRY.name.qos(qos::display()))?,
            complained: AtomicBool::new(false),
        })
    }

    /// Publishes the latents of the last chunk, stamped with the time of its observation. The picture is for display only:
    /// an error is logged once and has no other effect.
    pub fn show(&self, backend: &dyn InferenceBackend, observed: Time) {
        let outcome = match backend.geometry() {
            Ok(Some(picture)) => {
                let frame = backend
                    .contract()
                    .robot
                    .cameras
                    .first()
                    .map(|camera| camera.frame.clone());
                let message = Image {
                    header: Header {
                        stamp: to_message(observed),
                        frame_id: frame.unwrap_or_default(),
                    },
                    height: picture.height(),
                    width: picture.width(),
                    encoding: "rgb8".to_owned(),
                    is_bigendian: 0,
                    step: 3 * picture.width(),
                    data: picture.data().to_vec(),
                };
                self.publisher.publish(message).map_err(PolicyError::Publish)
            }
            Ok(None) => Err(PolicyError::NoGeometry),
            Err(error) => Err(error.into()),
        };
        if let Err(why) = outcome
            && !self.complained.swap(true, Ordering::Relaxed)
        {
            tracing::warn!("no picture of the geometry latents: {why}");
        }
    }
}
