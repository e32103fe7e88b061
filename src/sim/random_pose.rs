//! Random poses of the arm above a scene.

use nalgebra::Translation3;
use rand::Rng as _;
use rand_chacha::ChaCha8Rng;

use super::world::{Setpoint, World};
use crate::types::{JOINTS, Joints};

/// Range of each joint above the scene (°); joint 6 turns the tool down, plus or minus its range.
const ABOVE: [[f64; 2]; JOINTS] = [
    [-32.0, 32.0],
    [12.0, 45.0],
    [-12.0, 12.0],
    [40.0, 75.0],
    [-12.0, 12.0],
    [-22.0, 22.0],
    [-60.0, 60.0],
];
/// Lowest height of the tool above the scene, clear of what stands on the table (m).
const LOWEST_ABOVE_M: f64 = 0.22;
/// Number of poses tried before the arm stays as it was.
const TRIES: usize = 50;
/// Physics steps until the block has settled.
const SETTLING_STEPS: usize = 150;

/// Last command of the gripper, 0 closed to 1 open; the driver reports no measured opening.
pub type Opening = f64;

/// Puts the arm in a random pose above the scene and lets the block settle.
pub fn above(world: &mut World, tool_offset_m: [f64; 3], random: &mut ChaCha8Rng) -> Opening {
    let tool = Translation3::from(tool_offset_m);
    for _ in 0..TRIES {
        let pose = Setpoint {
            joints: draw_above(random),
            opening: random.random(),
        };
        world.place_arm(&pose);
        if (world.base_from_flange() * tool).translation.z >= LOWEST_ABOVE_M {
            let_block_settle(world, &pose);
            return pose.opening;
        }
    }
    world.opening()
}

fn let_block_settle(world: &mut World, arm: &Setpoint) {
    for _ in 0..SETTLING_STEPS {
        world.step(arm);
    }
}

fn draw_above(random: &mut ChaCha8Rng) -> Joints {
    let mut joints = ABOVE.map(|[low, high]| random.random_range(low..high));
    let [_, second, _, fourth, _, sixth, _] = &mut joints;
    *sixth += 180.0 - *second - *fourth;
    Joints::from(joints.map(f64::to_radians))
}
