//! Subscriptions to the cameras of the contract.

use std::sync::Arc;

use rclrs::{Node, RclrsError};

use super::settings::PolicySettings;
use crate::camera::stream_health::FreezeRule;
use crate::contract::Camera;
use crate::ros::subscribe::images::{Arrival, CameraFeed, Slot};

/// The cameras, in the contract's order.
pub struct CameraSet {
    feeds: Vec<CameraFeed>,
    arrival: Arc<Arrival>,
}

impl CameraSet {
    /// Subscribes to the contract's cameras.
    ///
    /// # Errors
    /// When a subscription cannot be created.
    pub fn open(node: &Node, cameras: &[Camera], settings: &PolicySettings) -> Result<Self, RclrsError> {
        let arrival = Arc::new(Arrival::default());
        let freeze = FreezeRule {
            frames: 3,
            seconds: settings.frozen_after,
        };
        let feeds = cameras
            .iter()
            .map(|camera| {
                let slot = Slot::new(&camera.name, freeze, Arc::clone(&arrival));
                CameraFeed::subscribe(node, slot, settings.transport)
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { feeds, arrival })
    }

    /// The slots, in the contract's order.
    pub fn slots(&self) -> Vec<Arc<Slot>> {
        self.feeds.iter().map(|feed| Arc::clone(&feed.slot)).collect()
    }

    /// Notification of images from any of the cameras.
    pub fn arrival(&self) -> Arc<Arrival> {
        Arc::clone(&self.arrival)
    }
}
