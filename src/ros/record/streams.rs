//! Subscriptions of the recorder.

use std::sync::Arc;

use nalgebra::Isometry3;
use rclrs::{IntoPrimitiveOptions as _, Node, QoSProfile, RclrsError};
use ros_env::sensor_msgs::msg::rmw::{CompressedImage, Image};
use ros_env::thinkvla::msg::ArmStatus;

use super::error::RecordError;
use super::session::RecordingSession;
use crate::camera::compressed::Compression;
use crate::camera::rgb::RgbImage;
use crate::dataset::frame::{ImageMode, Picture};
use crate::recording::sampler::{ArmState, CameraSample};
use crate::recording::steps::Commanded;
use crate::ros::convert::image::{ImageMessageError, Payload};
use crate::ros::convert::pose::pose_from_message;
use crate::ros::node::services::Handles;
use crate::ros::node::time::from_message;
use crate::ros::node::{qos, topics};
use crate::ros::subscribe::images::Transport;
use crate::types::Joints;

/// Depth of the image subscriptions (images): the recorder needs every image, not only the newest.
const DEPTH: u32 = 30;

/// Subscribes to cameras and arm status until the returned handles are dropped.
///
/// # Errors
/// When a subscription cannot be created.
pub fn listen(node: &Node, session: &Arc<RecordingSession>, transport: Transport) -> Result<Handles, RclrsError> {
    let mut kept: Handles = Vec::new();
    let every: QoSProfile = qos::images().keep_last(DEPTH);
    for (index, camera) in session.cameras().iter().enumerate() {
        if transport != Transport::Compressed {
            let session = Arc::clone(session);
            let topic = topics::image(camera);
            kept.push(Box::new(
                node.create_subscription(topic.qos(every), move |image: Image| {
                    session.picture(index, Payload::Raw(image))
                })?,
            ));
        }
        if transport != Transport::Raw {
            let session = Arc::clone(session);
            let topic = topics::compressed_image(camera);
            kept.push(Box::new(
                node.create_subscription(topic.qos(every), move |image: CompressedImage| {
                    session.picture(index, Payload::Compressed(image))
                })?,
            ));
        }
    }
    let session = Arc::clone(session);
    let status = topics::ARM_STATUS.name.qos(qos::events());
    kept.push(Box::new(node.create_subscription(
        status,
        move |status: ArmStatus| {
            if let Some(state) = arm_state(&status) {
                session.arm(from_message(&status.header.stamp), state);
            }
        },
    )?));
    Ok(kept)
}

/// Wraps an image with its fingerprint for the sampler.
///
/// # Errors
/// Names what is wrong with the image.
pub fn camera_sample(payload: Payload) -> Result<CameraSample<Arc<Payload>>, ImageMessageError> {
    let content = payload.fingerprint()?;
    Ok(CameraSample {
        payload: Arc::new(payload),
        content,
    })
}

/// Encodes an image for the dataset. A compressed image that already has the wanted encoding is kept unchanged.
///
/// # Errors
/// When the image cannot be decoded, or not be encoded.
pub fn picture(payload: &Payload, mode: ImageMode, scratch: &mut RgbImage) -> Result<Picture, RecordError> {
    // Decoded in any case, because a damaged image must not become a row.
    payload.decode(scratch)?;
    let wanted = match mode {
        ImageMode::Jpeg(_) => Compression::Jpeg,
        ImageMode::Png => Compression::Png,
    };
    if let Payload::Compressed(image) = payload {
        let came = Picture::of_bytes(image.data.to_vec()).map_err(|e| RecordError::Encoding(e.to_string()))?;
        if came.compression == wanted {
            return Ok(came);
        }
    }
    Picture::encode(scratch, mode).map_err(|e| RecordError::Encoding(e.to_string()))
}

/// Converts a status; `None` before the arm node has received a state of the driver, or when a pose is invalid.
fn arm_state(status: &ArmStatus) -> Option<ArmState> {
    let joints = |values: &[f64; 7]| Joints::from_column_slice(values);
    let tool = |pose| -> Option<Isometry3<f64>> { pose_from_message(pose).ok() };
    let measured = joints(&status.measured_joints);
    (measured != Joints::zeros()).then_some(())?;
    Some(ArmState {
        joints: measured,
        tool: tool(&status.measured_pose)?,
        commanded: Commanded {
            joints: joints(&status.commanded_joints),
            tool: tool(&status.commanded_pose)?,
            gripper: status.gripper,
        },
        following: status.mode == ArmStatus::EXECUTING,
    })
}
