//! Assigns topics to the columns of an exported dataset.

use std::collections::BTreeMap;

use nalgebra::{UnitQuaternion, Vector3};

use super::exported::Exported;
use super::topic_names::{TopicNames, Wanted};
use crate::control::proprioception::TRACKING_ERROR;
use crate::control::tool_rotation::{TURN_FROM_DOWN, turned_from_down};
use crate::dataset::Dataset;
use crate::dataset::schema::{ACTION, JOINT_ACTION, PICTURES, STATE};

/// Names of the values of an end-effector step.
pub(super) const EE7: [&str; 7] = ["x", "y", "z", "rx", "ry", "rz", "gripper"];
/// Number of values of a joint target: seven joints and the gripper.
pub(super) const JOINT8: usize = 8;

/// Prefix and suffix of a camera's topic, around the camera's name.
pub(super) const CAMERA: &str = "/camera/";
pub(super) const COMPRESSED: &str = "/image/compressed";

/// Topic of the instruction.
pub(super) const INSTRUCTION: &str = "/instruction";
/// Topics of the parts of `observation.state`.
const JOINT_STATES: &str = "/joint_states";
const TOOL_POSE: &str = "/tool_pose";
const TRACKING: &str = "/tracking_error";

/// Conversion of three values of a state to a rotation.
pub(super) type Turned = fn(Vector3<f64>) -> UnitQuaternion<f64>;

/// Messages of a column of numbers, or of a part of it.
#[derive(Debug)]
pub(super) enum Telling {
    /// Named positions: topic, with index and name of each value.
    Joints(String, Vec<(usize, String)>),
    /// Pose of the tool: topic, index of its first value, and conversion of its last three values to a rotation.
    Pose(String, usize, Turned),
    /// One step of an action chunk.
    Step {
        /// Name of the topic.
        topic: String,
        /// Action space: 0 end-effector steps, 1 joints.
        space: u8,
    },
}

/// Topics of the columns.
#[derive(Debug)]
pub(super) struct Plan {
    /// Columns of numbers, with their messages.
    pub tellings: Vec<(String, Telling)>,
    /// Columns of images, with the names of their cameras in topics.
    pub cameras: BTreeMap<String, String>,
    /// The same assignment as metadata for the import.
    pub exported: Exported,
}

impl Plan {
    /// Assigns topics to the columns of a dataset.
    pub fn of(dataset: &Dataset) -> Self {
        let info = dataset.info();
        let (numbers, pictures): (Vec<_>, Vec<_>) = (info.vectors().collect(), info.pictures().collect());
        let mut names = TopicNames::except(&[INSTRUCTION, JOINT_STATES, TOOL_POSE, TRACKING]);
        let wanted = |before, column, after| Wanted { before, column, after };
        let columns = numbers.iter().map(|(name, _)| wanted("/", name, ""));
        let cameras = pictures.iter().map(|(name, _)| {
            let camera = name.strip_prefix(PICTURES).unwrap_or(name);
            wanted(CAMERA, camera, COMPRESSED)
        });
        let mut parts = names.assign(&columns.chain(cameras).collect::<Vec<_>>()).into_iter();
        let mut plan = Self {
            tellings: Vec::new(),
            cameras: BTreeMap::new(),
            exported: Exported::default(),
        };
        for ((name, feature), part) in numbers.iter().zip(&mut parts) {
            let values = feature.value_names();
            for telling in tellings(name, &values, format!("/{part}")) {
                plan.exported.add(name, &values, telling.topic());
                plan.tellings.push(((*name).to_owned(), telling));
            }
        }
        for ((name, _), part) in pictures.iter().zip(parts) {
            plan.exported.add(name, &[], &format!("{CAMERA}{part}{COMPRESSED}"));
            plan.cameras.insert((*name).to_owned(), part);
        }
        plan
    }
}

impl Telling {
    fn topic(&self) -> &str {
        match self {
            Self::Joints(topic, _) | Self::Pose(topic, ..) | Self::Step { topic, .. } => topic,
        }
    }
}

/// Messages for the values of a column, by the names of column and values; `topic` is the column's own topic.
fn tellings(column: &str, names: &[String], topic: String) -> Vec<Telling> {
    let is_ee7 = names.iter().map(String::as_str).eq(EE7);
    let is_joint8 = names.len() == JOINT8 && names.iter().take(7).all(|name| name.starts_with("joint"));
    let named = |keep: &dyn Fn(&str) -> bool| -> Vec<(usize, String)> {
        names
            .iter()
            .cloned()
            .enumerate()
            .filter(|(_, name)| keep(name))
            .collect()
    };
    match column {
        ACTION if is_ee7 => vec![Telling::Step { topic, space: 0 }],
        JOINT_ACTION if is_joint8 => vec![Telling::Step { topic, space: 1 }],
        STATE => {
            let rotations: [([&str; 3], Turned); 2] = [
                (TURN_FROM_DOWN, turned_from_down),
                (["rx", "ry", "rz"], UnitQuaternion::from_scaled_axis),
            ];
            let pose = rotations.into_iter().find_map(|(turn, rotation)| {
                let pose = [["x", "y", "z"], turn].concat();
                let first = names.windows(6).position(|window| window == pose)?;
                Some((pose, first, rotation))
            });
            let is_error = |name: &str| TRACKING_ERROR.contains(&name);
            let in_pose = |name: &str| pose.as_ref().is_some_and(|(pose, ..)| pose.contains(&name));
            let joints = named(&|name| !in_pose(name) && !is_error(name));
            let mut all = Vec::new();
            if !joints.is_empty() {
                all.push(Telling::Joints(JOINT_STATES.into(), joints));
            }
            if let Some((_, first, rotation)) = pose {
                all.push(Telling::Pose(TOOL_POSE.into(), first, rotation));
            }
            let errors = named(&is_error);
            if !errors.is_empty() {
                all.push(Telling::Joints(TRACKING.into(), errors));
            }
            all
        }
        _ => vec![Telling::Joints(topic, named(&|_| true))],
    }
}
