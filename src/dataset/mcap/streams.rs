//! What messages of a topic say, as numbers or as a picture.

use nalgebra::{Quaternion, UnitQuaternion};

use super::cdr::CdrError;
use super::export::{EE7, JOINT8};
use super::messages::{ActionChunk, CompressedImage, Image, JointState, PoseStamped, decode_array};
use crate::camera::image_view::{ImageFields, ImageView};
use crate::camera::rgb::RgbImage;
use crate::control::tool_rotation::{TURN_FROM_DOWN, turn_from_down};
use crate::dataset::frame::{ImageMode, Picture};

/// Named numbers at a time.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Numbers {
    /// Time in the header; where there is none, when it was recorded [ns].
    pub stamp: u64,
    /// Names of the values.
    pub names: Vec<String>,
    /// Steps of values; one unless it is a chunk.
    pub steps: Vec<Vec<f64>>,
    /// Time from one step to the next [s]; 0 unless it is a chunk.
    pub step_period: f64,
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Reads numbers out of a message of type `kind`.
pub(super) fn numbers(kind: &str, log_time: u64, data: &[u8]) -> Result<Numbers, String> {
    let failed = |e: CdrError| e.to_string();
    let one = |stamp, names: Vec<String>, values: Vec<f64>| Numbers {
        stamp,
        names,
        steps: vec![values],
        step_period: 0.0,
    };
    match kind {
        "sensor_msgs/msg/JointState" => {
            let joints = JointState::decode(data).map_err(failed)?;
            if joints.names.len() != joints.positions.len() {
                return Err(format!(
                    "{} names and {} positions",
                    joints.names.len(),
                    joints.positions.len()
                ));
            }
            Ok(one(joints.header.stamp, joints.names, joints.positions))
        }
        "geometry_msgs/msg/PoseStamped" => {
            let pose = PoseStamped::decode(data).map_err(failed)?;
            let [x, y, z, w] = pose.orientation;
            let turn = UnitQuaternion::try_new(Quaternion::new(w, x, y, z), 1e-6).ok_or("a quaternion of length 0")?;
            let turn = turn_from_down(&turn);
            let names = [["x", "y", "z"], TURN_FROM_DOWN].concat();
            let values = pose.position.into_iter().chain(turn.iter().copied()).collect();
            Ok(one(pose.header.stamp, owned(&names), values))
        }
        "thinkvla/msg/ActionChunk" => {
            let chunk = ActionChunk::decode(data).map_err(failed)?;
            let names = match (chunk.space, chunk.dim as usize) {
                (0, 7) => owned(&EE7),
                (1, JOINT8) => (1..=7)
                    .map(|joint| format!("joint{joint}"))
                    .chain(["gripper".into()])
                    .collect(),
                (space, dim) => return Err(format!("a chunk of space {space} with {dim} values a step")),
            };
            let steps = chunk.values.chunks_exact(names.len()).map(<[f64]>::to_vec).collect();
            Ok(Numbers {
                stamp: chunk.observation_stamp,
                names,
                steps,
                step_period: chunk.step_period,
            })
        }
        "std_msgs/msg/Float64MultiArray" | "std_msgs/msg/Float32MultiArray" => {
            let values = decode_array(data, kind.contains("64")).map_err(failed)?;
            Ok(one(
                log_time,
                (0..values.len()).map(|i| i.to_string()).collect(),
                values,
            ))
        }
        other => Err(format!(
            "expected JointState, PoseStamped, thinkvla ActionChunk or Float32/64MultiArray, found {other}"
        )),
    }
}

/// Time of a picture message [ns], without decoding it.
pub(super) fn picture_stamp(kind: &str, data: &[u8]) -> Result<u64, String> {
    match kind {
        "sensor_msgs/msg/CompressedImage" | "sensor_msgs/msg/Image" => {
            let mut fields = super::cdr::CdrReader::new(data).map_err(|e| e.to_string())?;
            fields.time().map_err(|e| e.to_string())
        }
        other => Err(format!("expected CompressedImage or Image, found {other}")),
    }
}

/// Reads a picture; one that is a JPEG or PNG file stays as it is, another becomes one as `mode` says.
pub(super) fn picture(kind: &str, data: &[u8], mode: ImageMode) -> Result<Picture, String> {
    if kind == "sensor_msgs/msg/CompressedImage" {
        let message = CompressedImage::decode(data).map_err(|e| e.to_string())?;
        return Picture::of_bytes(message.data);
    }
    let message = Image::decode(data).map_err(|e| e.to_string())?;
    let fields = ImageFields {
        width: message.width,
        height: message.height,
        encoding: &message.encoding,
        step: message.step,
        data: &message.data,
    };
    let mut rgb = RgbImage::default();
    ImageView::new(fields).map_err(|e| e.to_string())?.to_rgb(&mut rgb);
    Picture::encode(&rgb, mode)
}
