//! Places a situation in the physics and checks that it is feasible.

use nalgebra::Translation3;

use super::situation::{BlockPlacement, Situation};
use crate::sim::config::SimConfig;
use crate::sim::error::SimError;
use crate::sim::scene::SceneOptions;
use crate::sim::world::{ARM, FINGER_TRAVEL, Setpoint, Snapshot, World, start_joints};
use crate::types::{Joints, Pose};

/// Lag of the tool behind its commands (s), measured in collected episodes.
const LAG_S: f64 = 0.057;
/// Depth by which the fingers penetrate the block, as in a grip of the physics (m).
const GRIP_M: f64 = 0.0002;

/// State of arm and scene for a row.
pub(super) struct Placed {
    /// Measured `base_from_tool` (m).
    pub tool: Pose,
    /// Measured joints (rad).
    pub joints: Joints,
    /// Joints commanded now and at the end of the first step (rad).
    pub commanded: [Joints; 2],
    /// State from which its pictures are rendered.
    pub snapshot: Snapshot,
}

/// Places arm and block as in the situation; returns `None` where the arm does not reach or is in collision.
pub(super) fn place(config: &SimConfig, of: &Situation) -> Result<Option<Placed>, SimError> {
    let tool_from_flange = Translation3::from(config.driver.tool_offset_m).inverse();
    let arm = ARM.kinematics();
    let joints = |pose: Pose| arm.inverse_nearest(&(pose * tool_from_flange), &start_joints()).ok();
    let tool = of.measured(LAG_S);
    let (Some(measured), Some(now), Some(next)) = (joints(tool), joints(of.commanded(0)), joints(of.commanded(1)))
    else {
        return Ok(None);
    };
    let options = SceneOptions {
        smooth_edges: false,
        ..SceneOptions::default()
    };
    let mut world = World::new(config, &of.layout, options)?;
    let grips = of.block == BlockPlacement::Held;
    let opening = match grips {
        true => (config.block.side_m / 2.0 - GRIP_M) / FINGER_TRAVEL,
        false => of.opening,
    };
    if of.block != BlockPlacement::Lies {
        world.place_object(&of.block_pose(config, &tool));
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

/// Reports whether the fingers are just closing on the block or releasing it.
fn closes(of: &Situation) -> bool {
    of.kind == super::Kind::Expert
        && of
            .path
            .gripper_times()
            .iter()
            .any(|at| (0.0..0.5).contains(&(of.time_s - at)))
}
