//! Plans the path through a task: over the block, down, grasp, up, over the goal, down, release, up.

use nalgebra::Vector3;

use super::path::{Path, ToolSpeedLimits};
use crate::sim::config::SimConfig;
use crate::sim::scene_sampler::quarter;
use crate::sim::tasks::TaskLayout;
use crate::types::Pose;

/// Height of the fingertips above the block before they go down (m).
pub(super) const HOVER: f64 = 0.035;
/// Clearance of the carried block's underside above obstacles (m).
pub(super) const OVER: f64 = 0.030;
/// Height of the block's underside at release (m); below a millimetre it would press on the goal.
pub(super) const DROP: f64 = 0.004;
/// Height by which the tool rises after the release (m).
pub(super) const RETREAT: f64 = 0.08;
/// Distance of the fingertips below the tool centre point (m).
pub(super) const TIP: f64 = 0.010;
/// Height above the block's middle at which the fingers grasp it (m).
pub(in crate::sim) const GRASP: f64 = 0.004;
/// Gripper opening at release: wider than the block, narrow enough for a box.
pub(super) const RELEASE: f64 = 0.82;
/// Times the fingers need to close on the block and to release it (s).
pub(in crate::sim) const CLOSING_S: f64 = 0.4;
pub(in crate::sim) const OPENING_S: f64 = 0.3;
/// Time before the end of a move at which the next one begins, on corners away from contact (s).
pub(super) const ROUNDED_S: f64 = 0.25;

/// Plans the whole path from the tool at `base_from_tool`, pointing down.
pub fn plan(config: &SimConfig, layout: &TaskLayout, base_from_tool: Pose) -> Path {
    let side = config.block.side_m;
    let pace = ToolSpeedLimits::of(&config.expert);
    let [x, y, z] = layout.object.position;
    let [gx, gy] = layout.goal.centre;
    let along = base_from_tool.rotation * Vector3::x();
    let turned = along.y.atan2(along.x);
    // The block is symmetric under quarter turns: the smallest rotation suffices.
    let grasp_yaw = quarter(layout.object.yaw - turned);
    // Fingers and block must be parallel to walls; without walls the block may have any orientation.
    let place_yaw = grasp_yaw
        + layout
            .goal
            .walls
            .map_or(0.0, |walls| quarter(walls - turned - grasp_yaw));
    let grasp = Vector3::new(x, y, z + GRASP);
    let top = z + side / 2.0;
    let place = Vector3::new(gx, gy, layout.goal.surface + DROP + side / 2.0 + GRASP);
    let over_goal = layout.goal.rim.max(layout.goal.surface);
    let carry = (over_goal + OVER).max(z - side / 2.0 + OVER) + side / 2.0 + GRASP;
    let at = |p: Vector3<f64>, height: f64| Vector3::new(p.x, p.y, height);
    Path::from(base_from_tool, 1.0, pace)
        .to(at(grasp, top + HOVER + TIP), grasp_yaw, 0.0)
        .to(grasp, grasp_yaw, ROUNDED_S)
        .grip(0.0, CLOSING_S)
        .to(at(grasp, carry), grasp_yaw, 0.0)
        .to(at(place, carry), place_yaw, ROUNDED_S)
        .to(place, place_yaw, ROUNDED_S)
        .grip(RELEASE, OPENING_S)
        .to(at(place, place.z + RETREAT), place_yaw, 0.0)
        .grip_later(1.0, 0.2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::tasks::{EpisodeId, Task, layout};
    use nalgebra::{Translation3, UnitQuaternion};

    #[test]
    fn only_walls_turn_the_block_on_its_way() {
        let config = SimConfig::shipped().unwrap();
        let down = UnitQuaternion::from_axis_angle(&Vector3::x_axis(), std::f64::consts::PI);
        let tool = Pose::from_parts(Translation3::new(0.3, 0.0, 0.3), down);
        for (task, turns) in [(Task::Height, false), (Task::Position, false), (Task::Container, true)] {
            let turned = (0..20).any(|seed| {
                let id = EpisodeId {
                    task,
                    variation: 0,
                    seed,
                };
                let path = plan(&config, &layout(&config, id).unwrap(), tool);
                let [closes, _] = path.gripper_times();
                let grasped = path.pose(closes).rotation;
                path.pose(path.duration()).rotation.angle_to(&grasped) > 1e-3
            });
            assert_eq!(turned, turns, "{task:?}");
        }
    }
}
