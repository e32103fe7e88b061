//! Where the arm is in a scene that is looked at.

use nalgebra::{Translation3, Vector3};
use rand::Rng as _;
use rand_chacha::ChaCha8Rng;

use super::config::SimConfig;
use super::tasks::{Form, Layout};
use super::world::{Setpoint, World, start_joints};
use crate::control::kinematics::Rm75;
use crate::control::tool_rotation::turned_from_down;
use crate::control::types::{JOINTS, Joints, Pose};

/// Where each joint may be above the scene [°]; joint 6 turns the tool down, give or take its range.
const ABOVE: [[f64; 2]; JOINTS] = [
    [-32.0, 32.0],
    [12.0, 45.0],
    [-12.0, 12.0],
    [40.0, 75.0],
    [-12.0, 12.0],
    [-22.0, 22.0],
    [-60.0, 60.0],
];
/// Lowest place of the tool above the scene: what stands on the table stays free of it [m].
const LOWEST_ABOVE_M: f64 = 0.22;
/// Postures tried before the arm stays as it was.
const TRIES: usize = 50;
/// Physics steps until the block lies.
const SETTLING: usize = 150;

/// Lowest and highest place of the tool at work [m]; the fingers reach 1 cm below it.
const WORKING_M: [f64; 2] = [0.018, 0.28];
/// Where the tool may be at work when it is near nothing in particular, x and y [m].
const TABLE_M: [[f64; 2]; 2] = [[0.20, 0.46], [-0.24, 0.24]];
/// Otherwise it is within this of a thing, along x and y [m].
const NEAR_M: f64 = 0.12;
/// Share of working postures near a thing.
const NEAR_SHARE: f64 = 0.7;
/// Share of working postures with the block in the fingers.
const HOLDING_SHARE: f64 = 0.2;
/// Share of working postures that point straight down.
const UPRIGHT_SHARE: f64 = 0.7;
/// How far the others are tilted about x and y [rad].
const TILT_RAD: f64 = 0.15;
/// How far the tool is turned about the vertical [rad].
const TURN_RAD: f64 = 0.9;
/// Share of working postures without the block that have the gripper wide open.
const OPEN_SHARE: f64 = 0.6;
/// The wrist camera's mount hangs beside the fingers, this high above the tool, and would stand in what is taller [m].
const MOUNT_M: f64 = 0.09;
/// How far from the tool the mount reaches, with what it may meet [m].
const MOUNT_REACH_M: f64 = 0.17;
/// How high above the block's middle the fingers hold it, and how much that varies, as the rest of its place does [m].
const GRASP_M: [f64; 2] = [0.004, 0.004];

/// What the gripper was told: the driver reports no measured one.
pub type Opening = f64;

/// Puts the arm in a random posture above the scene and lets the block settle.
pub fn above(world: &mut World, tool_offset_m: [f64; 3], random: &mut ChaCha8Rng) -> Opening {
    let tool = Translation3::from(tool_offset_m);
    for _ in 0..TRIES {
        let posture = Setpoint {
            joints: draw_above(random),
            opening: random.random(),
        };
        world.place_arm(&posture);
        if (world.base_from_flange() * tool).translation.z >= LOWEST_ABOVE_M {
            settle(world, &posture);
            return posture.opening;
        }
    }
    world.opening()
}

/// Lets the block settle and puts the arm in a random posture as the tasks have them: the tool pointing down, high or
/// low, often near something, sometimes with the block in its fingers, touching nothing else.
pub fn at_work(world: &mut World, (config, layout): (&SimConfig, &Layout), random: &mut ChaCha8Rng) -> Opening {
    let start = Setpoint {
        joints: start_joints(),
        opening: 1.0,
    };
    settle(world, &start);
    let lies = world.object();
    let arm = Rm75::b();
    let flange_from_tool = Pose::from(Translation3::from(config.driver.tool_offset_m));
    for _ in 0..TRIES {
        let tool = draw_tool(layout, config.block.side_m, random);
        let holds = random.random_bool(HOLDING_SHARE);
        let (opening, told) = draw_opening(holds, config.block.side_m, random);
        let Ok(joints) = arm.inverse_nearest(&(tool * flange_from_tool.inverse()), &start.joints) else {
            continue;
        };
        world.place_object(&lies);
        world.place_arm(&Setpoint { joints, opening });
        let is_free = if holds {
            world.place_object(&held(&tool, random));
            let touching = world.touching();
            !(touching.palm || touching.support || touching.other) && world.gripper_is_free()
        } else {
            !world.touching().gripper() && world.gripper_is_free()
        };
        if is_free {
            return told;
        }
    }
    world.place_object(&lies);
    world.place_arm(&start);
    start.opening
}

fn settle(world: &mut World, arm: &Setpoint) {
    for _ in 0..SETTLING {
        world.step(arm);
    }
}

fn draw_above(random: &mut ChaCha8Rng) -> Joints {
    let mut joints = ABOVE.map(|[low, high]| random.random_range(low..high));
    let [_, second, _, fourth, _, sixth, _] = &mut joints;
    *sixth += 180.0 - *second - *fourth;
    Joints::from(joints.map(f64::to_radians))
}

/// Opening of the fingers, and what they were told.
fn draw_opening(holds: bool, side_m: f64, random: &mut ChaCha8Rng) -> (f64, Opening) {
    if holds {
        return (side_m / (2.0 * super::world::FINGER_TRAVEL), 0.0);
    }
    let opening = match random.random_bool(OPEN_SHARE) {
        true => 1.0,
        false => random.random(),
    };
    (opening, opening)
}

/// Somewhere for the tool, `base_from_tool`.
fn draw_tool(layout: &Layout, side_m: f64, random: &mut ChaCha8Rng) -> Pose {
    let around = |[low, high]: [f64; 2], random: &mut ChaCha8Rng| random.random_range(low..high);
    let things: Vec<[f64; 3]> = std::iter::once(layout.object.position)
        .chain(layout.props.iter().map(|prop| prop.position))
        .collect();
    let [x, y] = match things.get(random.random_range(0..things.len())) {
        Some([x, y, _]) if random.random_bool(NEAR_SHARE) => {
            [x, y].map(|middle| middle + around([-NEAR_M, NEAR_M], random))
        }
        _ => TABLE_M.map(|range| around(range, random)),
    };
    let [low, high] = WORKING_M;
    let z = around([low.max(tallest(layout, side_m, [x, y]) - MOUNT_M), high], random);
    let tilt = match random.random_bool(UPRIGHT_SHARE) {
        true => [0.0; 2],
        false => [0.0; 2].map(|_: f64| around([-TILT_RAD, TILT_RAD], random)),
    };
    let turn = around([-TURN_RAD, TURN_RAD], random);
    let [about_x, about_y] = tilt;
    Pose::from_parts(
        Translation3::new(x, y, z),
        turned_from_down(Vector3::new(about_x, about_y, turn)),
    )
}

/// Height of the tallest thing that the camera's mount could meet [m].
fn tallest(layout: &Layout, side_m: f64, [x, y]: [f64; 2]) -> f64 {
    let [bx, by, bz] = layout.object.position;
    let props = layout.props.iter().filter(|prop| prop.solid).map(|prop| {
        let [px, py, pz] = prop.position;
        let half = match prop.form {
            Form::Box([_, _, half]) | Form::Cylinder([_, half]) => half,
        };
        [px, py, pz + half]
    });
    props
        .chain([[bx, by, bz + side_m / 2.0]])
        .filter(|[px, py, _]| (px - x).hypot(py - y) < MOUNT_REACH_M)
        .map(|[_, _, top]| top)
        .fold(0.0, f64::max)
}

/// The block in the fingers.
fn held(tool: &Pose, random: &mut ChaCha8Rng) -> Pose {
    let [below, give] = GRASP_M;
    let mut about = |middle: f64| middle + random.random_range(-give..give);
    let place = Translation3::new(about(0.0), 0.0, about(below));
    tool * Pose::from(place)
}
