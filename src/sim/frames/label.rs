//! The row of a frame: the state as `record_node` would record it, and the expert's next chunk.

use std::collections::BTreeMap;

use nalgebra::Vector3;

use super::placement::Placed;
use super::situation::Situation;
use crate::dataset::frame::{Frame, Picture};
use crate::dataset::schema::CHUNK;
use crate::recording::steps::{Commanded, StepSample, Steps};
use crate::sim::expert::{Path, STEP_PERIOD_S};
use crate::types::{Joints, Pose};

/// Values below this are set to 0 (m, rad): normalisation would scale rounding errors to the full range of actions.
const ROUNDING: f32 = 1e-9;

/// A row without its pictures.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelledRow {
    vectors: BTreeMap<String, Vec<f32>>,
}

impl LabelledRow {
    /// Returns the row with its pictures.
    pub fn with_pictures(&self, pictures: Vec<Picture>) -> Frame {
        Frame {
            vectors: self.vectors.clone(),
            pictures,
        }
    }
}

/// State of an arm that another source has driven.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CorrectedState {
    /// Measured joints (rad).
    pub joints: Joints,
    /// Measured `base_from_tool` (m).
    pub tool: Pose,
    /// Last command of the gripper, 0 closed to 1 open.
    pub gripper_command: f64,
    /// Joints that are commanded now, and those that the expert would command at the end of the first step (rad).
    pub commanded: [Joints; 2],
}

/// Returns the row of a situation with a chunk of `steps` steps.
pub(super) fn row(of: &Situation, placed: &Placed, steps: usize) -> Option<LabelledRow> {
    let state = CorrectedState {
        joints: placed.joints,
        tool: placed.tool,
        gripper_command: of.gripper_command,
        commanded: placed.commanded,
    };
    let command = |step| ToolCommand {
        tool: of.commanded(step),
        opening: of.commanded_opening(step),
    };
    labelled(&state, command, steps)
}

/// Returns the row of an arm that another source has driven; its chunk is the expert's path onwards, `steps` steps of
/// it.
pub fn corrected(path: &Path, state: &CorrectedState, steps: usize) -> Option<LabelledRow> {
    let at = |step: usize| step as f64 * STEP_PERIOD_S;
    let command = |step| ToolCommand {
        tool: path.pose(at(step)),
        opening: path.opening(at(step)),
    };
    labelled(state, command, steps)
}

/// Command at the start of a step.
#[derive(Debug, Clone, Copy)]
struct ToolCommand {
    /// `base_from_tool` (m).
    tool: Pose,
    /// Gripper, 0 closed to 1 open.
    opening: f64,
}

/// Returns the row of a state; `command` gives the command at the start of a step.
fn labelled(state: &CorrectedState, command: impl Fn(usize) -> ToolCommand, steps: usize) -> Option<LabelledRow> {
    let sample = |at: usize, joints, gripper| StepSample {
        pictures: Vec::new(),
        joints: state.joints,
        tool: state.tool,
        commanded: Commanded {
            joints,
            tool: command(at).tool,
            gripper,
        },
    };
    let [now, next] = state.commanded;
    let mut rows = Steps::default();
    rows.push(sample(0, now, state.gripper_command));
    // The value that holds during a step is that of its start.
    let row = rows.push(sample(1, next, command(0).opening))?;
    let mut vectors = row.vectors;
    vectors.insert(CHUNK.to_owned(), chunk(command, steps));
    let values = vectors.values_mut().flatten();
    values
        .filter(|value| value.abs() < ROUNDING)
        .for_each(|value| *value = 0.0);
    Some(LabelledRow { vectors })
}

/// Returns end-effector steps from the commanded pose on, and the gripper.
///
/// # Shapes
/// (steps, 7), row major
fn chunk(command: impl Fn(usize) -> ToolCommand, steps: usize) -> Vec<f32> {
    let mut values = Vec::with_capacity(steps * 7);
    let mut before = command(0);
    for step in 0..steps {
        let after = command(step + 1);
        let way: Vector3<f64> = after.tool.translation.vector - before.tool.translation.vector;
        let turn = (after.tool.rotation * before.tool.rotation.inverse()).scaled_axis();
        values.extend(way.iter().chain(turn.iter()).map(|value| *value as f32));
        values.push(before.opening as f32);
        before = after;
    }
    values
}
