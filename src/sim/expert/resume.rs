//! Plans the expert's path onwards from any state into which another policy has brought the arm.
//!
//! The resulting chunks have to lead a policy that imitates them only roughly to the end. If the descent waited for the
//! tool's rotation, a policy that does not rotate would be given that wait in every chunk and never descend; so here
//! the descent does not wait. Likewise the gripper is worked early when the tool is nearly there: a policy that
//! perceives height to a centimetre only and has come to rest would otherwise be given a small descent, with the
//! gripper working at its end, in every chunk, and never reach that end.

use nalgebra::Vector3;

use super::path::{Path, ToolSpeedLimits};
use super::plan::{CLOSING_S, DROP, GRASP, HOVER, OPENING_S, OVER, RELEASE, RETREAT, ROUNDED_S, TIP};
use crate::sim::config::SimConfig;
use crate::sim::scene_sampler::{heading, quarter};
use crate::sim::tasks::{Form, TaskLayout, on_rotated_axes};
use crate::types::Pose;

/// Distance to the grasp, both horizontal and vertical, within which the fingers close, however rotated: they align the
/// block (m).
const AT_GRASP: f64 = 0.010;
/// Height above the release position below which a tool at rest drops the block (m).
const AT_GOAL: f64 = 0.018;
/// The same height for a moving tool (m).
const ARRIVING: f64 = 0.006;
/// Speed below which the tool counts as at rest (m/s).
const AT_REST: f64 = 0.02;
/// Horizontal distance to the block within which the tool goes straight down, rotating on the way (m).
const OVER_GRASP: f64 = 0.016;
/// Horizontal distance to the block within which fingers below its top would push it (m).
const PUSH_DISTANCE_M: f64 = 0.09;
/// Horizontal distance to the goal within which the block goes straight down, rotating on the way (m).
const OVER_GOAL: f64 = 0.020;
/// Horizontal distance from an obstacle within which the carried block, or a finger beside it, could touch it (m).
const OBSTACLE_DISTANCE_M: f64 = 0.05;
/// Tolerance of the height at which the block counts as placed (m).
const RESTING: f64 = 0.006;
/// Opening by which fingers have to be closer than the block's width to have missed it.
const MISSED: f64 = 0.06;

/// State from which the expert continues.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interrupted {
    /// Commanded `base_from_tool` (m).
    pub tool: Pose,
    /// Velocity of the tool (m/s).
    pub velocity: Vector3<f64>,
    /// Pose of the block's centre (m).
    pub block: Pose,
    /// Whether the block is between the fingers.
    pub held: bool,
    /// Last command of the gripper, 0 closed to 1 open.
    pub gripper_command: f64,
    /// Opening of the fingers, 0 closed to 1 open.
    pub opening: f64,
}

/// Plans the path onwards, beginning with the tool's velocity.
pub fn resume(config: &SimConfig, layout: &TaskLayout, from: &Interrupted) -> Path {
    let view = View::new(config, layout, from);
    let begin = |opening: f64| Path::coasting(from.tool, opening, from.velocity, ToolSpeedLimits::of(&config.expert));
    if from.held && from.gripper_command < 0.5 {
        return view.carry(begin(0.0));
    }
    if view.is_placed() {
        return view.leave(begin);
    }
    view.fetch(begin)
}

/// Scene and state from which the path is planned.
struct View<'a> {
    from: &'a Interrupted,
    layout: &'a TaskLayout,
    side: f64,
    /// Position of the tool.
    tool: Vector3<f64>,
    /// Position of the block.
    block: Vector3<f64>,
    /// Rotation of the tool that the fingers need to grasp the block (rad).
    grasp_yaw: f64,
    /// Rotation of the tool with the block that the goal needs (rad).
    place_yaw: f64,
}

impl<'a> View<'a> {
    fn new(config: &SimConfig, layout: &'a TaskLayout, from: &'a Interrupted) -> Self {
        let turned = heading(from.tool.rotation.to_rotation_matrix().matrix());
        let block = heading(from.block.rotation.to_rotation_matrix().matrix());
        Self {
            from,
            layout,
            side: config.block.side_m,
            tool: from.tool.translation.vector,
            block: from.block.translation.vector,
            grasp_yaw: quarter(block - turned),
            place_yaw: layout.goal.walls.map_or(0.0, |walls| quarter(walls - block)),
        }
    }

    fn above(at: Vector3<f64>, height: f64) -> Vector3<f64> {
        Vector3::new(at.x, at.y, height)
    }

    /// Carries the held block over the goal, lowers and releases it.
    fn carry(&self, path: Path) -> Path {
        let goal = &self.layout.goal;
        let [gx, gy] = goal.centre;
        // The block stays where it was gripped, which need not be in the middle of the fingers.
        let grip = self.block - self.tool;
        let over = goal.rim.max(goal.surface).max(self.obstacle_top());
        let height = over + OVER + self.side / 2.0 - grip.z;
        let place = Vector3::new(gx - grip.x, gy - grip.y, goal.surface + DROP + self.side / 2.0 - grip.z);
        let off = (self.block.x - gx).hypot(self.block.y - gy);
        let path = if off < OVER_GOAL {
            path
        } else if self.tool.z > height - 0.015 {
            path.to(
                Self::above(place, height.max(self.tool.z.min(height + 0.02))),
                self.place_yaw,
                0.0,
            )
        } else {
            path.to(Self::above(self.tool, height), 0.0, 0.0)
                .to(Self::above(place, height), self.place_yaw, ROUNDED_S)
        };
        let low = if self.from.velocity.norm() < AT_REST {
            AT_GOAL
        } else {
            ARRIVING
        };
        let path = match self.tool.z - place.z < low && off < OVER_GOAL {
            true => path,
            false => path.to_while_turning(place, self.place_yaw, ROUNDED_S),
        };
        path.grip(RELEASE, OPENING_S)
            .to(Self::above(place, place.z + RETREAT), self.place_yaw, 0.0)
            .grip_later(1.0, 0.2)
    }

    /// Height of the highest obstacle that the block is over or beside (m), e.g. of the stand it was taken from; the
    /// table is at 0.
    fn obstacle_top(&self) -> f64 {
        let tops = self.layout.props.iter().filter(|prop| prop.solid).map(|prop| {
            let [x, y, z] = prop.position;
            let ([half_x, half_y], half_height) = match prop.form {
                Form::Box([x, y, height]) => ([x, y], height),
                Form::Cylinder([radius, height]) => ([radius; 2], height),
            };
            let [along, across] = on_rotated_axes(prop.yaw, [self.block.x - x, self.block.y - y]);
            let near = along.abs() < half_x + OBSTACLE_DISTANCE_M && across.abs() < half_y + OBSTACLE_DISTANCE_M;
            if near { z + half_height } else { 0.0 }
        });
        tops.fold(0.0, f64::max)
    }

    /// Reports whether the block rests at the goal.
    fn is_placed(&self) -> bool {
        let goal = &self.layout.goal;
        let resting = (self.block.z - goal.surface - self.side / 2.0).abs() < RESTING;
        resting && goal.contains(self.block.x, self.block.y)
    }

    /// Releases the block and retreats.
    fn leave(&self, begin: impl Fn(f64) -> Path) -> Path {
        let around = Vector3::new(self.tool.x - self.block.x, self.tool.y - self.block.y, 0.0).norm() < self.side;
        let low = self.block.z + GRASP + RETREAT;
        if !around || self.tool.z > low - 0.005 {
            // Keep the last command: nothing is left to do.
            return begin(1.0);
        }
        let path = match self.from.gripper_command < RELEASE - 0.05 {
            true => begin(RELEASE).grip(RELEASE, OPENING_S),
            false => begin(RELEASE),
        };
        path.to(Self::above(self.tool, low), 0.0, 0.0).grip_later(1.0, 0.2)
    }

    /// Approaches the block, grasps it and carries it to the goal.
    fn fetch(&self, begin: impl Fn(f64) -> Path) -> Path {
        let grasp = Vector3::new(self.block.x, self.block.y, self.block.z + GRASP);
        let top = self.block.z + self.side / 2.0;
        let hover = top + HOVER + TIP;
        let off = (self.tool.x - grasp.x).hypot(self.tool.y - grasp.y);
        let is_there = off < AT_GRASP && self.tool.z - grasp.z < AT_GRASP;
        let stops = self.side / (2.0 * crate::sim::world::FINGER_TRAVEL);
        let missed = self.from.gripper_command < 0.5 && self.from.opening < stops - MISSED;
        let path = if is_there && !missed {
            begin(0.0)
        } else {
            let path = begin(1.0);
            let path = if off < OVER_GRASP && !missed {
                path
            } else if self.tool.z - TIP < top && off < PUSH_DISTANCE_M {
                path.to(Self::above(self.tool, hover), 0.0, 0.0).to(
                    Self::above(grasp, hover),
                    self.grasp_yaw,
                    ROUNDED_S,
                )
            } else {
                path.to(Self::above(grasp, hover), self.grasp_yaw, 0.0)
            };
            path.to_while_turning(grasp, self.grasp_yaw, ROUNDED_S)
        };
        let goal = &self.layout.goal;
        let [gx, gy] = goal.centre;
        let over = goal.rim.max(goal.surface);
        let height = (over + OVER).max(self.block.z - self.side / 2.0 + OVER) + self.side / 2.0 + GRASP;
        let place = Vector3::new(gx, gy, goal.surface + DROP + self.side / 2.0 + GRASP);
        let yaw = self.grasp_yaw + self.place_yaw;
        path.grip(0.0, CLOSING_S)
            .to(Self::above(grasp, height), self.grasp_yaw, 0.0)
            .to(Self::above(place, height), yaw, ROUNDED_S)
            .to(place, yaw, ROUNDED_S)
    }
}

#[cfg(test)]
mod tests {
    use nalgebra::{Translation3, UnitQuaternion};

    use super::*;
    use crate::sim::tasks::{EpisodeId, Task, layout};

    #[test]
    fn a_block_that_stands_on_its_stand_is_lifted_before_it_is_carried() {
        let config = SimConfig::shipped().unwrap();
        for (variation, seed) in (0..3).flat_map(|variation| (0..10).map(move |seed| (variation, seed))) {
            let id = EpisodeId {
                task: Task::Height,
                variation,
                seed,
            };
            let layout = layout(&config, id).unwrap();
            let [x, y, z] = layout.object.position;
            let down = UnitQuaternion::from_axis_angle(&Vector3::x_axis(), std::f64::consts::PI);
            let from = Interrupted {
                tool: Pose::from_parts(Translation3::new(x, y, z + GRASP), down),
                velocity: Vector3::zeros(),
                block: Pose::translation(x, y, z),
                held: true,
                gripper_command: 0.0,
                opening: 0.0,
            };
            let path = resume(&config, &layout, &from);
            let stand = z - config.block.side_m / 2.0;
            // The block's underside, while it is over the stand.
            for step in 0..200 {
                let at = path.pose(0.02 * f64::from(step)).translation;
                let moved = (at.x - x).hypot(at.y - y);
                let underside = at.z - GRASP - config.block.side_m / 2.0;
                assert!(
                    !(0.02..=0.15).contains(&moved) || underside > stand + 0.01,
                    "{id:?}: {underside:.3} m high after {moved:.3} m, over a stand of {stand:.3} m"
                );
            }
        }
    }
}
