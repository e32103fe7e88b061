//! Tests of the simulator: physics of arm and gripper, a judge that detects false successes, repeatable episodes, and an
//! expert that does every task through the supervisor.

#![cfg(feature = "sim")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::path::Path;

use nalgebra::{UnitQuaternion, Vector3};
use thinkvla::control::config::ArmConfig;
use thinkvla::control::kinematics::Rm75;
use thinkvla::sim::camera::{HEIGHT, SceneRenderer, View, WIDTH};
use thinkvla::sim::config::SimConfig;
use thinkvla::sim::episode;
use thinkvla::sim::error::SimError;
use thinkvla::sim::judge::{Conditions, HOLD_S, Judge};
use thinkvla::sim::scene::SceneOptions;
use thinkvla::sim::tasks::{self, EpisodeId, Task, TaskLayout};
use thinkvla::sim::world::{STEP_S, Setpoint, World, start_joints};
use thinkvla::types::{Joints, Pose};

const OPTIONS: SceneOptions = SceneOptions {
    shadows: false,
    smooth_edges: true,
};

fn config() -> SimConfig {
    SimConfig::shipped().unwrap()
}

fn arm() -> ArmConfig {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/robots/rm75.yaml");
    ArmConfig::load(&path).unwrap()
}

fn id(task: Task, variation: u8, seed: u64) -> EpisodeId {
    EpisodeId { task, variation, seed }
}

fn scene(task: Task) -> (TaskLayout, World) {
    let layout = tasks::layout(&config(), id(task, 0, 3)).unwrap();
    let world = World::new(&config(), &layout, OPTIONS).unwrap();
    (layout, world)
}

fn at_start(opening: f64) -> Setpoint {
    Setpoint {
        joints: start_joints(),
        opening,
    }
}

fn run(world: &mut World, setpoint: &Setpoint, seconds: f64) {
    for _ in 0..(seconds / STEP_S) as usize {
        world.step(setpoint);
    }
}

#[test]
fn the_simulated_arm_has_the_kinematics_of_the_real_one() {
    let (_, mut world) = scene(Task::Height);
    let kinematics = Rm75::b();
    let configurations = [
        [0.0; 7],
        [0.0, 30.0, 0.0, 60.0, 0.0, 90.0, 0.0],
        [20.0, -40.0, 100.0, 70.0, -130.0, 25.0, 200.0],
    ];
    for degrees in configurations {
        let joints = Joints::from(degrees.map(f64::to_radians));
        world.place_arm(&Setpoint { joints, opening: 1.0 });
        let (simulated, computed) = (world.base_from_flange(), kinematics.forward(&joints));
        assert!((simulated.translation.vector - computed.translation.vector).norm() < 1e-9);
        assert!(simulated.rotation.angle_to(&computed.rotation) < 1e-7);
    }
    world.place_arm(&Setpoint {
        joints: Joints::zeros(),
        opening: 1.0,
    });
    assert!((world.base_from_flange().translation.z - 0.8505).abs() < 1e-9);
}

#[test]
fn servos_hold_the_arm_against_gravity_and_follow() {
    let (_, mut world) = scene(Task::Height);
    run(&mut world, &at_start(1.0), 2.0);
    assert!((world.joints() - start_joints()).amax() < 1e-3);
    assert!(world.joint_velocities().amax() < 1e-3);
    let mut target = at_start(1.0);
    target.joints[0] += 0.3;
    target.joints[3] -= 0.2;
    run(&mut world, &target, 1.0);
    assert!((world.joints() - target.joints).amax() < 2e-3);
}

#[test]
fn fingers_hold_the_block_by_friction_while_the_arm_lifts_it() {
    let (_, mut world) = scene(Task::Position);
    let arm = Rm75::b();
    let tool = Pose::translation(0.0, 0.0, 0.125);
    let down = (arm.forward(&start_joints())).rotation;
    let over = |z: f64| {
        let flange = Pose::from_parts(Vector3::new(0.33, 0.0, z).into(), down) * tool.inverse();
        arm.inverse(&flange, &start_joints()).unwrap()
    };
    let side = config().block.side_m;
    world.place_object(&Pose::translation(0.33, 0.0, side / 2.0));
    let low = Setpoint {
        joints: over(side / 2.0),
        opening: 1.0,
    };
    world.place_arm(&low);
    world.place_object(&Pose::translation(0.33, 0.0, side / 2.0));
    run(&mut world, &Setpoint { opening: 0.0, ..low }, 0.5);
    assert!(world.touching().left && world.touching().right);
    let steps = 500;
    for i in 0..steps {
        let z = side / 2.0 + 0.15 * f64::from(i) / f64::from(steps);
        world.step(&Setpoint {
            joints: over(z),
            opening: 0.0,
        });
    }
    run(
        &mut world,
        &Setpoint {
            joints: over(side / 2.0 + 0.15),
            opening: 0.0,
        },
        1.0,
    );
    let height = world.object().translation.z - side / 2.0;
    assert!((height - 0.15).abs() < 0.005, "lifted by {height}");
    assert!(world.object_speed().linear_m_s < 1e-3);
    run(
        &mut world,
        &Setpoint {
            joints: over(side / 2.0 + 0.15),
            opening: 1.0,
        },
        1.0,
    );
    assert!(world.object().translation.z < side, "an open gripper drops it");
}

/// Runs `seconds` with the setpoint held, and returns the judge.
fn judged(layout: &TaskLayout, world: &mut World, setpoint: &Setpoint, seconds: f64) -> Judge {
    let mut judge = Judge::new(layout.goal.clone(), config().block.side_m);
    for _ in 0..(seconds / STEP_S) as usize {
        world.step(setpoint);
        judge.watch(world);
    }
    judge
}

fn goal_pose(layout: &TaskLayout, lift: f64) -> Pose {
    let [x, y] = layout.goal.centre;
    Pose::translation(x, y, layout.goal.surface + config().block.side_m / 2.0 + lift)
}

#[test]
fn a_block_released_at_rest_in_the_goal_is_a_success_after_a_second() {
    for task in Task::ALL {
        let (layout, mut world) = scene(task);
        world.place_object(&goal_pose(&layout, 0.0005));
        let early = judged(&layout, &mut world, &at_start(1.0), HOLD_S * 0.9);
        assert!(!early.success(), "{task}: {}", early.detail());
        let late = judged(&layout, &mut world, &at_start(1.0), HOLD_S * 1.3);
        assert!(late.success(), "{task}: {}", late.detail());
    }
}

#[test]
fn a_block_that_never_left_its_place_is_no_success() {
    for task in Task::ALL {
        let (layout, mut world) = scene(task);
        let judge = judged(&layout, &mut world, &at_start(1.0), 2.0);
        assert!(!judge.success() && !judge.conditions().inside, "{task}");
    }
}

#[test]
fn a_block_held_over_or_in_the_goal_is_no_success() {
    let (layout, mut world) = scene(Task::Position);
    let arm = Rm75::b();
    let [x, y] = layout.goal.centre;
    let half = config().block.side_m / 2.0;
    let down = arm.forward(&start_joints()).rotation;
    for height in [half, half + 0.05] {
        let flange = Pose::from_parts(Vector3::new(x, y, height + 0.125).into(), down);
        let joints = arm.inverse_nearest(&flange, &start_joints()).unwrap();
        let block = Pose::from_parts(Vector3::new(x, y, height).into(), UnitQuaternion::identity());
        world.place_arm(&Setpoint { joints, opening: 0.6 });
        world.place_object(&block);
        let judge = judged(&layout, &mut world, &Setpoint { joints, opening: 0.0 }, 2.0);
        assert!(!judge.success() && !judge.conditions().released, "{}", judge.detail());
        assert!(world.touching().left && world.touching().right);
    }
}

#[test]
fn a_block_beside_the_goal_is_no_success() {
    for task in Task::ALL {
        let (layout, mut world) = scene(task);
        let mut beside = goal_pose(&layout, 0.001);
        beside.translation.x += 0.11;
        beside.translation.z = config().block.side_m / 2.0;
        world.place_object(&beside);
        let judge = judged(&layout, &mut world, &at_start(1.0), 2.0);
        assert!(
            !judge.success() && !judge.conditions().inside,
            "{task}: {}",
            judge.detail()
        );
    }
}

#[test]
fn a_block_still_sliding_in_the_goal_does_not_count_yet() {
    let (layout, mut world) = scene(Task::Position);
    world.place_object(&goal_pose(&layout, 0.0));
    world.push_object(Vector3::new(0.0, 0.2, 0.0));
    let judge = judged(&layout, &mut world, &at_start(1.0), 0.01);
    let expected = Conditions {
        at_rest: false,
        ..judge.conditions()
    };
    assert_eq!(judge.conditions(), expected);
    assert!(judge.conditions().inside);
}

#[test]
fn a_block_in_the_goal_under_a_closed_gripper_is_not_released() {
    let (layout, mut world) = scene(Task::Height);
    world.place_object(&goal_pose(&layout, 0.0005));
    let judge = judged(&layout, &mut world, &at_start(0.2), 2.0);
    assert!(!judge.success() && judge.conditions().inside && !judge.conditions().released);
}

#[test]
fn the_same_episode_runs_the_same_to_the_last_bit() {
    let trajectory = || {
        let mut joints = Vec::new();
        let outcome = episode::run::<SimError>(&config(), &arm(), id(Task::Container, 1, 11), |moment| {
            let world = &moment.episode_world.world;
            joints.push((world.joints(), world.object().translation.vector));
            Ok(())
        });
        (outcome.unwrap(), joints)
    };
    assert!(trajectory() == trajectory());
}

#[test]
fn the_expert_does_every_task_and_level_through_the_supervisor() {
    for task in Task::ALL {
        for variation in 0..3 {
            for seed in [100, 101] {
                let outcome =
                    episode::run::<SimError>(&config(), &arm(), id(task, variation, seed), |_| Ok(())).unwrap();
                assert!(outcome.success, "{outcome:?}");
                assert_eq!(outcome.refusals, 0, "{:?}", outcome.events);
                assert!((30..=100).contains(&outcome.steps), "{} steps", outcome.steps);
            }
        }
    }
}

#[test]
fn the_block_is_seen_by_the_top_camera_where_it_lies() {
    let (layout, world) = scene(Task::Position);
    let snapshot = world.snapshot();
    let mut renderer = SceneRenderer::new(&snapshot).unwrap();
    let pixels = renderer.take(&snapshot, View::Top).unwrap().to_vec();
    assert_eq!(pixels.len(), (WIDTH * HEIGHT * 3) as usize);
    // In the camera's frame: it stands at (0.86, 0, 0.72), with base y to the right, and looks down at the table.
    let from_camera = world.object().translation.vector - Vector3::new(0.86, 0.0, 0.72);
    let up = Vector3::new(-0.74, 0.0, 0.67).normalize();
    let right = Vector3::y();
    let back = right.cross(&up);
    let depth = -from_camera.dot(&back);
    let focal = f64::from(HEIGHT) / 2.0 / 24f64.to_radians().tan();
    let column = 319.5 + focal * from_camera.dot(&right) / depth;
    let row = 239.5 - focal * from_camera.dot(&up) / depth;
    let at = (row.round() as usize * WIDTH as usize + column.round() as usize) * 3;
    let seen = Vector3::from_iterator(pixels[at..at + 3].iter().map(|c| f64::from(*c)));
    let colour = Vector3::from(layout.object.colour.rgb);
    // Lighting changes brightness, not hue.
    let cosine = seen.normalize().dot(&colour.normalize());
    assert!(
        cosine > 0.97,
        "pixel {seen:?} at row {row:.0}, column {column:.0}, colour {colour:?}"
    );
}
