//! The way through a task: over the block, down, grasp, up, over the goal, down, release, up.

use nalgebra::Vector3;

use super::path::{Pace, Path};
use crate::control::types::Pose;
use crate::sim::config::SimConfig;
use crate::sim::stage::quarter;
use crate::sim::tasks::Layout;

/// Height of the fingers' tips above the block before they go down [m].
const HOVER: f64 = 0.035;
/// Height of the carried block's underside above what it passes over [m].
const OVER: f64 = 0.030;
/// Height of the block's underside at release [m]; less than a millimetre would press on the goal.
const DROP: f64 = 0.004;
/// How far the tool goes up after the release [m].
const RETREAT: f64 = 0.08;
/// How far the fingers' tips reach below the tool centre point [m].
const TIP: f64 = 0.010;
/// How high above the block's middle the fingers take it [m].
const GRASP: f64 = 0.004;
/// Opening to release at: wider than the block, narrow enough for a box.
const RELEASE: f64 = 0.82;
/// What the fingers need to close on the block and to let go of it [s].
const CLOSING_S: f64 = 0.4;
const OPENING_S: f64 = 0.3;
/// How long before the end of a move the next one begins, on corners away from contact [s].
const ROUNDED_S: f64 = 0.25;

/// Plans the whole way from the tool at `base_from_tool`, pointing down.
pub fn plan(config: &SimConfig, layout: &Layout, base_from_tool: Pose) -> Path {
    let side = config.block.side_m;
    let pace = Pace {
        speed: config.expert.speed_m_s,
        acceleration: config.expert.acceleration_m_s2,
        turn: config.expert.turn_rad_s,
        turn_acceleration: config.expert.turn_acceleration_rad_s2,
    };
    let [x, y, z] = layout.object.position;
    let [gx, gy] = layout.goal.centre;
    // The block looks the same after a quarter turn: the smallest turn will do.
    let grasp_yaw = quarter(layout.object.yaw);
    // A box has walls that fingers and block must be parallel to.
    let place_yaw = grasp_yaw + quarter(layout.goal.yaw - grasp_yaw);
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
