//! Columns and cameras of a recording.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::{Map, Value, json};

use super::error::DatasetError;
use super::feature::Feature;
use super::frame::ImageMode;
use super::info::Info;
use crate::contract::{ActionSpace, Contract};
use crate::control::proprioception::TRACKING_ERROR;
use crate::control::tool_rotation::TURN_FROM_DOWN;

/// Column of the robot's state.
pub const STATE: &str = "observation.state";
/// Column of commanded end-effector steps and gripper.
pub const ACTION: &str = "action";
/// Column of commanded joint angles and gripper.
pub const JOINT_ACTION: &str = "action.joint";
/// Column of several commanded steps, one after another, for datasets whose rows are not consecutive in time.
pub const CHUNK: &str = "action.chunk";
/// Prefix of the columns of images.
pub const PICTURES: &str = "observation.images.";

/// Returns the column that holds the actions of a space.
pub fn action_column(space: ActionSpace) -> &'static str {
    match space {
        ActionSpace::Ee7 => ACTION,
        ActionSpace::Joint8 => JOINT_ACTION,
    }
}

/// Columns and robot of a recording.
#[derive(Debug, Clone, PartialEq)]
pub struct DatasetSchema {
    /// Type of the robot.
    pub robot_type: String,
    /// Rows per second (Hz).
    pub fps: u32,
    /// Columns of numbers, sorted by name; vectors of a frame have this order.
    pub vectors: Vec<VectorSchema>,
    /// Cameras, sorted by name; images of a frame have this order.
    pub cameras: Vec<CameraSchema>,
    /// Encoding of the images.
    pub images: ImageMode,
}

/// Column of numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct VectorSchema {
    /// Name of the column.
    pub name: String,
    /// Name of each value.
    pub values: Vec<String>,
    /// Groups of values.
    pub groups: Vec<ValueGroup>,
}

/// Group of values, as GR00T and StarVLA select them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueGroup {
    /// Name of the group.
    pub name: &'static str,
    /// Range of the values in the column.
    pub values: Range<usize>,
    /// Whether values are absolute, so that each holds until the next. Steps are not, and are 0 after the end of an
    /// episode.
    pub absolute: bool,
}

/// Column of images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CameraSchema {
    /// Name of the camera, e.g. `top`.
    pub name: String,
    /// Width (px).
    pub width: u32,
    /// Height (px).
    pub height: u32,
}

/// Names of the values of the seven joints.
fn joints(suffix: &str) -> Vec<String> {
    (1..=7).map(|joint| format!("joint{joint}{suffix}")).collect()
}

fn named(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

impl DatasetSchema {
    /// Returns the layout for a Realman arm: joints, tool pose and gripper; commanded tool steps and joint targets; and
    /// the contract's cameras.
    ///
    /// # Errors
    /// When the contract's rate is not a whole number, which LeRobot needs.
    pub fn of_arm(contract: &Contract, images: ImageMode) -> Result<Self, DatasetError> {
        let fps = contract.data.fps;
        if fps.fract() != 0.0 || !(1.0..=1000.0).contains(&fps) {
            let message =
                format!("data.fps: expected a whole number of 1 to 1000 Hz for a LeRobot dataset, found {fps}");
            return Err(DatasetError::Request(message));
        }
        let group = |name, values, absolute| ValueGroup { name, values, absolute };
        let tool = named(&["x", "y", "z"]).into_iter().chain(named(&TURN_FROM_DOWN));
        let state = VectorSchema {
            name: STATE.into(),
            values: joints("")
                .into_iter()
                .chain(tool)
                .chain(named(&["gripper"]))
                .chain(named(&TRACKING_ERROR))
                .collect(),
            groups: vec![
                group("joints", 0..7, true),
                group("position", 7..10, true),
                group("rotation_vector_from_down", 10..13, true),
                group("gripper", 13..14, true),
                group("tracking_error", 14..17, true),
            ],
        };
        let action = VectorSchema {
            name: ACTION.into(),
            values: named(&["x", "y", "z", "rx", "ry", "rz", "gripper"]),
            groups: vec![
                group("position_step", 0..3, false),
                group("rotation_vector_step", 3..6, false),
                group("gripper", 6..7, true),
            ],
        };
        let joint_action = VectorSchema {
            name: JOINT_ACTION.into(),
            values: joints("").into_iter().chain(named(&["gripper"])).collect(),
            groups: vec![group("joints", 0..7, true), group("gripper", 7..8, true)],
        };
        let cameras = contract.robot.cameras.iter().map(|camera| CameraSchema {
            name: camera.name.clone(),
            width: camera.width,
            height: camera.height,
        });
        let mut cameras: Vec<_> = cameras.collect();
        cameras.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self {
            robot_type: contract.robot.arm.clone(),
            fps: fps as u32,
            vectors: vec![action, joint_action, state],
            cameras,
            images,
        })
    }

    /// Adds a column with a chunk of `steps` tool steps per row, for datasets whose rows are not consecutive in time.
    #[must_use]
    pub fn with_chunk(mut self, steps: usize) -> Self {
        let action = self.vectors.iter().find(|vector| vector.name == ACTION);
        let names = action.map(|action| action.values.clone()).unwrap_or_default();
        let values = (1..=steps).flat_map(|step| names.iter().map(move |name| format!("{name}.{step}")));
        self.vectors.push(VectorSchema {
            name: CHUNK.into(),
            values: values.collect(),
            groups: Vec::new(),
        });
        self.vectors.sort_by(|a, b| a.name.cmp(&b.name));
        self
    }

    /// Returns the description of an empty dataset with this layout.
    pub fn info(&self) -> Info {
        let vectors = self
            .vectors
            .iter()
            .map(|vector| (vector.name.clone(), Feature::vector(&vector.values)));
        let cameras = self.cameras.iter().map(|camera| {
            let feature = Feature::image(camera.width, camera.height);
            (camera.key(), feature)
        });
        Info::empty(&self.robot_type, self.fps, vectors.chain(cameras).collect())
    }

    /// Returns the content of `meta/modality.json`.
    pub fn modality(&self) -> Value {
        let mut kinds: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
        for vector in &self.vectors {
            let kind = if vector.name.starts_with(ACTION) {
                "action"
            } else {
                "state"
            };
            for group in &vector.groups {
                // Groups of a second column of actions get a prefix, so that names stay unique.
                let name = match vector.name.strip_prefix("action.") {
                    Some(part) => format!("{part}_{}", group.name),
                    None => group.name.to_owned(),
                };
                let described = json!({
                    "start": group.values.start,
                    "end": group.values.end,
                    "absolute": group.absolute,
                    "original_key": vector.name,
                });
                kinds.entry(kind).or_default().insert(name, described);
            }
        }
        for camera in &self.cameras {
            let described = json!({ "original_key": camera.key() });
            kinds.entry("video").or_default().insert(camera.name.clone(), described);
        }
        let task = json!({ "human.action.task_description": { "original_key": "task_index" } });
        let mut all = json!(kinds);
        if let Some(all) = all.as_object_mut() {
            all.insert("annotation".into(), task);
        }
        all
    }
}

impl CameraSchema {
    /// Returns the name of the column.
    pub fn key(&self) -> String {
        format!("{PICTURES}{}", self.name)
    }
}
