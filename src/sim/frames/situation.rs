//! Situation of a frame: the layout, the expert's path through it, and the moment on that path.

use nalgebra::{Translation3, UnitQuaternion, Vector3};

use crate::sim::config::SimConfig;
use crate::sim::expert::{GRASP, Path, STEP_PERIOD_S};
use crate::sim::tasks::{EpisodeId, Task, TaskLayout};
use crate::types::Pose;

/// Kind of situation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// On the expert's path through a task.
    Expert,
    /// After a mishap: the fingers closed on nothing, or the block was pushed or dropped.
    Recovery,
    /// On the path to an object that is named.
    Pointing,
}

impl Kind {
    /// Returns the name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Expert => "expert",
            Self::Recovery => "recovery",
            Self::Pointing => "pointing",
        }
    }
}

/// Shares of the kinds of situations.
#[derive(Debug, Clone, PartialEq)]
pub struct Mix {
    /// Tasks of expert and recovery frames; pointing frames use scenes of all tasks.
    pub tasks: Vec<Task>,
    /// Share of recovery frames.
    pub recovery: f64,
    /// Share of pointing frames; the rest are expert frames.
    pub pointing: f64,
}

/// A moment of a simulated episode.
#[derive(Debug, Clone)]
pub struct Situation {
    /// Kind of situation.
    pub kind: Kind,
    /// Episode whose layout was drawn; recoveries move the block.
    pub id: EpisodeId,
    /// Positions of all objects; of the block as in this frame, unless it is held or placed.
    pub layout: TaskLayout,
    /// Instruction for the policy.
    pub instruction: String,
    /// The path from the tool's start.
    pub path: Path,
    /// Time of the moment along the path (s).
    pub time_s: f64,
    /// Offset of the tool from the path.
    pub offset: PathOffset,
    /// Opening of the fingers, 0 closed to 1 open, unless the block is between them.
    pub opening: f64,
    /// Last command of the gripper, 0 closed to 1 open.
    pub gripper_command: f64,
    /// Position of the block.
    pub block: BlockPlacement,
    /// The path onwards, if the arm has come to rest here.
    pub from_rest: Option<Path>,
}

/// Offset of the tool from a path.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PathOffset {
    /// Translation (m).
    pub translation: Vector3<f64>,
    /// Rotation about the vertical (rad).
    pub turn: f64,
}

impl PathOffset {
    /// Returns the offset of a tool on its path.
    pub fn none() -> Self {
        Self {
            translation: Vector3::zeros(),
            turn: 0.0,
        }
    }
}

/// Position of the block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockPlacement {
    /// At its place in the layout.
    Lies,
    /// Between the fingers.
    Held,
    /// At the goal.
    Placed,
}

impl Situation {
    /// Returns `base_from_tool` on the path after `time_s` (s), with this share of the offset.
    pub(super) fn pose(&self, time_s: f64, share: f64) -> Pose {
        let on_path = self.path.pose(time_s.max(0.0));
        let (place, turn) = (self.offset.translation * share, self.offset.turn * share);
        let turn = UnitQuaternion::from_axis_angle(&Vector3::z_axis(), turn);
        Pose::from_parts(
            Translation3::from(on_path.translation.vector + place),
            turn * on_path.rotation,
        )
    }

    /// Returns the target of the tool `steps` steps from now; the offset fades within four.
    pub(super) fn commanded(&self, steps: usize) -> Pose {
        let ahead = steps as f64 * STEP_PERIOD_S;
        if let Some(path) = &self.from_rest {
            return path.pose(ahead);
        }
        let share = (1.0 - steps as f64 / 4.0).max(0.0);
        self.pose(self.time_s + ahead, share)
    }

    /// Returns the command of the gripper `steps` steps from now, 0 closed to 1 open.
    pub(super) fn commanded_opening(&self, steps: usize) -> f64 {
        let ahead = steps as f64 * STEP_PERIOD_S;
        match &self.from_rest {
            Some(path) => path.opening(ahead),
            None => self.path.opening(self.time_s + ahead),
        }
    }

    /// Returns the measured `base_from_tool`, `lag_s` (s) behind the commands.
    pub(super) fn measured(&self, lag_s: f64) -> Pose {
        match &self.from_rest {
            Some(path) => path.pose(0.0),
            None => self.pose(self.time_s - lag_s, 1.0),
        }
    }

    /// Returns the pose of the block's centre with the tool at `base_from_tool` (m).
    pub(super) fn block_pose(&self, config: &SimConfig, base_from_tool: &Pose) -> Pose {
        match self.block {
            BlockPlacement::Lies => {
                let [x, y, z] = self.layout.object.position;
                Pose::from_parts(Translation3::new(x, y, z), self.block_turn())
            }
            BlockPlacement::Held => self.held(base_from_tool),
            BlockPlacement::Placed => self.placed(config),
        }
    }

    /// Returns the block's rotation in the layout.
    fn block_turn(&self) -> UnitQuaternion<f64> {
        UnitQuaternion::from_axis_angle(&Vector3::z_axis(), self.layout.object.yaw)
    }

    /// Returns the pose of the block between the fingers, rotated with them since the grasp.
    fn held(&self, tool: &Pose) -> Pose {
        let [closes, _] = self.path.gripper_times();
        let turned = tool.rotation * self.path.pose(closes).rotation.inverse();
        let middle = tool.translation.vector - Vector3::z() * GRASP;
        Pose::from_parts(Translation3::from(middle), turned * self.block_turn())
    }

    /// Returns the pose of the block at the goal, with the orientation of its release.
    fn placed(&self, config: &SimConfig) -> Pose {
        let [_, opens] = self.path.gripper_times();
        let let_go = self.path.pose(opens);
        let [x, y] = [let_go.translation.x, let_go.translation.y];
        let height = self.layout.goal.surface + config.block.side_m / 2.0;
        Pose::from_parts(Translation3::new(x, y, height), self.held(&let_go).rotation)
    }
}
