//! Decodes messages to numbers or images.

use nalgebra::{Quaternion, UnitQuaternion};

use super::MessageError;
use super::cdr::CdrReader;
use super::clock::Times;
use super::messages::{CompressedImage, Image, JointState, PoseStamped, RecordedChunk, decode_array};
use super::plan::{EE7, JOINT8};
use crate::camera::compressed::Compression;
use crate::camera::image_view::{ImageFields, ImageView};
use crate::camera::rgb::RgbImage;
use crate::control::tool_rotation::{TURN_FROM_DOWN, turn_from_down};
use crate::dataset::frame::{ImageMode, Picture};

/// Named numbers of one message.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Numbers {
    /// Times in the header and of recording.
    pub times: Times,
    /// Names of the values.
    pub names: Vec<String>,
    /// Values, or steps of them.
    pub values: Values,
}

/// Values of a message.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Values {
    /// Current values.
    Now(Vec<f64>),
    /// Values commanded for several steps.
    Chunk(Chunk),
}

/// Steps of an action chunk.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Chunk {
    /// Values of each step.
    pub steps: Vec<Vec<f64>>,
    /// Time between steps (s).
    pub step_period: f64,
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Returns whether messages of this type may each hold only some of the values.
pub(super) fn comes_by_turns(kind: &str) -> bool {
    kind == "sensor_msgs/msg/JointState"
}

/// Decodes the numbers of a message of type `kind`; `None` if it has none, like joint states with velocities only.
pub(super) fn numbers(kind: &str, log_time: u64, data: &[u8]) -> Result<Option<Numbers>, MessageError> {
    match kind {
        "sensor_msgs/msg/JointState" => of_joints(log_time, data),
        "geometry_msgs/msg/PoseStamped" => of_pose(log_time, data).map(Some),
        "thinkvla/msg/ActionChunk" => of_chunk(log_time, data).map(Some),
        "std_msgs/msg/Float64MultiArray" | "std_msgs/msg/Float32MultiArray" => {
            let values = decode_array(data, kind.contains("64"))?;
            let names = (0..values.len()).map(|i| i.to_string()).collect();
            Ok(Some(Numbers {
                times: Times {
                    header: None,
                    log: log_time,
                },
                names,
                values: Values::Now(values),
            }))
        }
        other => Err(MessageError::NoNumbers(other.to_owned())),
    }
}

/// Positions of joints; `None` if the message has none.
fn of_joints(log_time: u64, data: &[u8]) -> Result<Option<Numbers>, MessageError> {
    let joints = JointState::decode(data)?;
    let (names, positions) = (joints.names, joints.positions);
    if positions.is_empty() {
        return Ok(None);
    }
    if names.len() != positions.len() {
        return Err(MessageError::Uneven {
            names: names.len(),
            positions: positions.len(),
        });
    }
    let mut sorted: Vec<&String> = names.iter().collect();
    sorted.sort_unstable();
    if let Some(&[twice, _]) = sorted.windows(2).find(|pair| pair.first() == pair.last()) {
        return Err(MessageError::Twice(twice.clone()));
    }
    Ok(Some(Numbers {
        times: Times {
            header: Some(joints.header.stamp),
            log: log_time,
        },
        names,
        values: Values::Now(positions),
    }))
}

/// Position, and rotation from the tool pointing down.
fn of_pose(log_time: u64, data: &[u8]) -> Result<Numbers, MessageError> {
    let pose = PoseStamped::decode(data)?;
    let [x, y, z, w] = pose.orientation;
    let turn = UnitQuaternion::try_new(Quaternion::new(w, x, y, z), 1e-6).ok_or(MessageError::Quaternion)?;
    let turn = turn_from_down(&turn);
    let names = [["x", "y", "z"], TURN_FROM_DOWN].concat();
    let values = pose.position.into_iter().chain(turn.iter().copied()).collect();
    Ok(Numbers {
        times: Times {
            header: Some(pose.header.stamp),
            log: log_time,
        },
        names: owned(&names),
        values: Values::Now(values),
    })
}

/// Steps of an action chunk.
fn of_chunk(log_time: u64, data: &[u8]) -> Result<Numbers, MessageError> {
    let chunk = RecordedChunk::decode(data)?;
    let names = match (chunk.space, chunk.dim as usize) {
        (0, 7) => owned(&EE7),
        (1, JOINT8) => (1..=7)
            .map(|joint| format!("joint{joint}"))
            .chain(["gripper".into()])
            .collect(),
        (space, dim) => return Err(MessageError::Chunk { space, dim }),
    };
    let steps = chunk.values.chunks_exact(names.len()).map(<[f64]>::to_vec).collect();
    Ok(Numbers {
        times: Times {
            header: Some(chunk.observation_stamp),
            log: log_time,
        },
        names,
        values: Values::Chunk(Chunk {
            steps,
            step_period: chunk.step_period,
        }),
    })
}

/// Returns the times of an image message without decoding the image.
pub(super) fn picture_times(kind: &str, log_time: u64, data: &[u8]) -> Result<Times, MessageError> {
    match kind {
        "sensor_msgs/msg/CompressedImage" | "sensor_msgs/msg/Image" => {
            let header = CdrReader::new(data)?.time()?;
            Ok(Times {
                header: Some(header),
                log: log_time,
            })
        }
        other => Err(MessageError::NoImage(other.to_owned())),
    }
}

/// Decodes an image message. JPEG and PNG files stay as they are; raw images are encoded as `mode` says. `pixels`
/// becomes the decoded image in both cases, so that a damaged file is refused before it becomes a row.
pub(super) fn picture(
    kind: &str,
    data: &[u8],
    mode: ImageMode,
    pixels: &mut RgbImage,
) -> Result<Picture, MessageError> {
    if kind == "sensor_msgs/msg/CompressedImage" {
        let message = CompressedImage::decode(data)?;
        // The bytes tell JPEG from PNG; any other format (depth, video) is refused by its name.
        if !message.format.is_empty() {
            Compression::parse(&message.format).map_err(|e| MessageError::Image(e.to_string()))?;
        }
        let picture = Picture::of_bytes(message.data).map_err(MessageError::Image)?;
        picture.decode(pixels).map_err(MessageError::Image)?;
        return Ok(picture);
    }
    let message = Image::decode(data)?;
    let fields = ImageFields {
        width: message.width,
        height: message.height,
        encoding: &message.encoding,
        step: message.step,
        data: &message.data,
    };
    let view = ImageView::new(fields).map_err(|e| MessageError::Image(e.to_string()))?;
    view.to_rgb(pixels);
    Picture::encode(pixels, mode).map_err(MessageError::Image)
}
