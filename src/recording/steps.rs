//! Makes rows of consecutive samples, with the action between them.

use std::collections::BTreeMap;

use crate::control::proprioception::tracking_error;
use crate::control::tool_rotation::turn_from_down;
use crate::dataset::frame::{Frame, Picture};
use crate::dataset::schema::{ACTION, JOINT_ACTION, STATE};
use crate::types::{Joints, Pose};

/// Observation of everything at one time.
#[derive(Debug, Clone, PartialEq)]
pub struct StepSample {
    /// Images, in the order of the dataset's columns (by name).
    pub pictures: Vec<Picture>,
    /// Measured joints (rad).
    pub joints: Joints,
    /// Measured `base_from_tool` (m).
    pub tool: Pose,
    /// Command at this time, after the gate.
    pub commanded: Commanded,
}

/// Command that was sent to the arm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Commanded {
    /// Joints (rad).
    pub joints: Joints,
    /// `base_from_tool` (m).
    pub tool: Pose,
    /// Gripper opening, from 0 (closed) to 1 (open). Realman's driver reports no measured one.
    pub gripper: f64,
}

/// Makes rows of samples.
#[derive(Debug, Clone, Default)]
pub struct Steps {
    last: Option<StepSample>,
}

impl Steps {
    /// Takes the next sample and returns the row of the one before. The last sample of an episode makes no row, because
    /// what was commanded after it is unknown.
    pub fn push(&mut self, sample: StepSample) -> Option<Frame> {
        let row = self.last.as_ref().map(|last| row(last, &sample.commanded));
        self.last = Some(sample);
        row
    }
}

/// Returns the values of LeRobot's columns `action`, `action.joint` and `observation.state`.
fn row(at: &StepSample, next: &Commanded) -> Frame {
    let from = &at.commanded;
    let step = next.tool.translation.vector - from.tool.translation.vector;
    let turn = (next.tool.rotation * from.tool.rotation.inverse()).scaled_axis();
    let gripper = [next.gripper];
    let action = step.iter().chain(turn.iter()).chain(&gripper);
    let joints = next.joints.iter().chain(&gripper);
    let turned = turn_from_down(&at.tool.rotation);
    let gripper = [from.gripper];
    let error = tracking_error(&from.tool, &at.tool);
    let state = at
        .joints
        .iter()
        .chain(at.tool.translation.vector.iter())
        .chain(turned.iter())
        .chain(&gripper)
        .chain(error.iter());
    Frame {
        vectors: BTreeMap::from([
            (ACTION.to_owned(), narrow(action)),
            (JOINT_ACTION.to_owned(), narrow(joints)),
            (STATE.to_owned(), narrow(state)),
        ]),
        pictures: at.pictures.clone(),
    }
}

fn narrow<'a>(values: impl Iterator<Item = &'a f64>) -> Vec<f32> {
    values.map(|value| *value as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::tool_rotation::turned_from_down;
    use approx::assert_relative_eq;
    use nalgebra::{Isometry3, UnitQuaternion, Vector3};
    use proptest::prelude::*;

    fn pose() -> impl Strategy<Value = Pose> {
        let triple = |range: std::ops::Range<f64>| prop::array::uniform3(range);
        (triple(-0.6..0.6), triple(-0.3..0.3))
            .prop_map(|(position, turn)| Isometry3::new(Vector3::from(position), Vector3::from(turn)))
    }

    proptest! {
        #[test]
        fn actions_composed_from_the_first_pose_give_the_commanded_path(path in prop::collection::vec(pose(), 2..12)) {
            let mut steps = Steps::default();
            let mut reached = path[0];
            for (at, tool) in path.iter().enumerate() {
                let commanded = Commanded { joints: Joints::zeros(), tool: *tool, gripper: at as f64 / 20.0 };
                let sample = StepSample { pictures: vec![], joints: Joints::zeros(), tool: *tool, commanded };
                let Some(row) = steps.push(sample) else { continue };
                let action: Vec<f64> = row.vectors[ACTION].iter().map(|v| f64::from(*v)).collect();
                let turn = [10, 11, 12].map(|i| f64::from(row.vectors[STATE][i]));
                prop_assert!(turned_from_down(turn.into()).angle_to(&path[at - 1].rotation) < 1e-5);
                reached.translation.vector += Vector3::new(action[0], action[1], action[2]);
                let turn = UnitQuaternion::new(Vector3::new(action[3], action[4], action[5]));
                reached.rotation = turn * reached.rotation;
                assert_relative_eq!(reached.translation.vector, tool.translation.vector, epsilon = 1e-5);
                prop_assert!(reached.rotation.angle_to(&tool.rotation) < 1e-5);
                assert_relative_eq!(action[6], at as f64 / 20.0, epsilon = 1e-6);
            }
        }
    }
}
