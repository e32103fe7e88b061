//! A situation in the physics: where the joints and the block are, if they can be there.

use nalgebra::{Translation3, UnitQuaternion, Vector3};

use super::situation::{Block, Situation};
use crate::control::kinematics::Rm75;
use crate::control::types::{Joints, Pose};
use crate::sim::config::SimConfig;
use crate::sim::error::SimError;
use crate::sim::expert::GRASP;
use crate::sim::scene::SceneOptions;
use crate::sim::world::{FINGER_TRAVEL, Setpoint, Snapshot, World, start_joints};

/// The tool follows its commands this much later; measured in collected episodes [s].
const LAG_S: f64 = 0.057;
/// The fingers are let into the block by this, as a grip is in the physics [m].
const GRIP_M: f64 = 0.0002;

/// What a row tells of the arm.
pub(super) struct Placed {
    /// Measured `base_from_tool` [m].
    pub tool: Pose,
    /// Measured joints [rad].
    pub joints: Joints,
    /// Joints that were told, now and at the end of the first step [rad].
    pub commanded: [Joints; 2],
    /// What its pictures are made from.
    pub snapshot: Snapshot,
}

/// Puts arm and block where the situation has them; nothing where the arm does not reach or touches what it should not.
pub(super) fn place(config: &SimConfig, of: &Situation) -> Result<Option<Placed>, SimError> {
    let tool_from_flange = Translation3::from(config.driver.tool_offset_m).inverse();
    let arm = Rm75::b();
    let joints = |pose: Pose| arm.inverse_nearest(&(pose * tool_from_flange), &start_joints()).ok();
    let tool = of.pose(of.time_s - LAG_S, 1.0);
    let (Some(measured), Some(now), Some(next)) = (joints(tool), joints(of.commanded(0)), joints(of.commanded(1)))
    else {
        return Ok(None);
    };
    let options = SceneOptions {
        smooth_edges: false,
        ..SceneOptions::default()
    };
    let mut world = World::new(config, &of.layout, options)?;
    let grips = of.block == Block::Held;
    let opening = match grips {
        true => (config.block.side_m / 2.0 - GRIP_M) / FINGER_TRAVEL,
        false => of.opening,
    };
    match of.block {
        Block::Lies => {}
        Block::Held => world.place_object(&held(of, &tool)),
        Block::Placed => world.place_object(&placed(config, of)),
    }
    world.place_arm(&Setpoint {
        joints: measured,
        opening,
    });
    let touching = world.touching();
    let in_block = touching.palm || (!grips && touching.gripper() && !closes(of));
    if in_block || !world.gripper_is_free() {
        return Ok(None);
    }
    Ok(Some(Placed {
        tool,
        joints: measured,
        commanded: [now, next],
        snapshot: world.snapshot(),
    }))
}

/// Whether the fingers are just closing on the block or letting go of it.
fn closes(of: &Situation) -> bool {
    of.kind == super::Kind::Expert
        && of
            .path
            .gripper_times()
            .iter()
            .any(|at| (0.0..0.5).contains(&(of.time_s - at)))
}

/// The block in the fingers, turned with them since they took it.
fn held(of: &Situation, tool: &Pose) -> Pose {
    let [closes, _] = of.path.gripper_times();
    let turned = tool.rotation * of.path.pose(closes).rotation.inverse();
    let yaw = UnitQuaternion::from_axis_angle(&Vector3::z_axis(), of.layout.object.yaw);
    let middle = tool.translation.vector - Vector3::z() * GRASP;
    Pose::from_parts(Translation3::from(middle), turned * yaw)
}

/// The block at the goal, turned as it was let go.
fn placed(config: &SimConfig, of: &Situation) -> Pose {
    let [_, opens] = of.path.gripper_times();
    let let_go = of.path.pose(opens);
    let [x, y] = [let_go.translation.x, let_go.translation.y];
    let height = of.layout.goal.surface + config.block.side_m / 2.0;
    Pose::from_parts(Translation3::new(x, y, height), held(of, &let_go).rotation)
}
