//! Tests of the executor: chunks are anchored at the arm's pose, blended without jumps, and held when they run out.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // helpers of tests may panic

#[path = "support/arm_rig.rs"]
mod arm_rig;

use arm_rig::{PERIOD, Rig, config, ready, steps};
use thinkvla::contract::{ActionSpace, Composition, Reference};
use thinkvla::control::chunk::{ActionChunk, PhysicalActions};
use thinkvla::control::event::{Check, EventKind};
use thinkvla::control::executor::{Executor, PlanTarget};
use thinkvla::supervisor::ArmMode;
use thinkvla::types::time::{Now, Steady, Time};
use thinkvla::types::{Joints, Pose};

fn pose(joints: &Joints) -> Pose {
    Executor::new(&config(), &*config().arm.kinematics()).base_from_tool(joints)
}

fn travelled(rig: &Rig, from: &Joints) -> [f64; 3] {
    (pose(&rig.joints).translation.vector - pose(from).translation.vector).into()
}

fn near(found: [f64; 3], expected: [f64; 3], tolerance: f64) {
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < tolerance, "{found} instead of {expected}");
    }
}

#[test]
fn sequential_steps_add_up_and_anchored_ones_do_not() {
    for (composition, expected) in [(Composition::Sequential, -0.03), (Composition::FromAnchor, -0.006)] {
        let mut rig = Rig::armed();
        let start = rig.joints;
        let mut chunk = rig.chunk(ActionSpace::Ee7, steps(5, [-0.006, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]));
        chunk.composition = composition;
        rig.supervisor.on_chunk(chunk, rig.now).unwrap();
        rig.run(1.0);
        near(travelled(&rig, &start), [expected, 0.0, 0.0], 1e-5);
    }
}

#[test]
fn step_k_is_reached_k_plus_one_periods_after_the_observation() {
    let mut rig = Rig::armed();
    let start = rig.joints;
    rig.follow(8, [0.0, 0.006, 0.0, 0.0, 0.0, 0.0, 1.0]);
    for step in 1..=8 {
        rig.run(0.1);
        near(travelled(&rig, &start), [0.0, 0.006 * f64::from(step), 0.0], 5e-4);
    }
}

#[test]
fn rotations_turn_about_the_axes_of_the_base() {
    let mut rig = Rig::armed();
    let start = pose(&rig.joints);
    rig.follow(5, [0.0, 0.0, 0.0, 0.0, 0.0, 0.1, 1.0]);
    rig.run(1.0);
    let end = pose(&rig.joints);
    let turn = (end.rotation * start.rotation.inverse()).scaled_axis();
    assert!((turn - nalgebra::Vector3::new(0.0, 0.0, 0.5)).norm() < 1e-5, "{turn}");
    assert!(
        (end.translation.vector - start.translation.vector).norm() < 1e-5,
        "the tool turns on the spot"
    );
}

#[test]
fn the_first_command_is_where_the_arm_is() {
    for reference in [Reference::Commanded, Reference::Measured] {
        let mut rig = Rig::armed();
        let start = rig.joints;
        let mut chunk = rig.chunk(ActionSpace::Ee7, steps(10, [-0.01, 0.0, -0.005, 0.0, 0.0, 0.1, 1.0]));
        chunk.reference = reference;
        rig.supervisor.on_chunk(chunk, rig.now).unwrap();
        rig.tick();
        let first = rig.sent()[0].1;
        assert!((first - start).amax() < 1e-3, "jump of {} rad", (first - start).amax());
        assert!((pose(&first).translation.vector - pose(&start).translation.vector).norm() < 1e-4);
    }
}

#[test]
fn a_late_chunk_skips_what_is_past_and_still_counts_it() {
    let mut rig = Rig::armed();
    let start = rig.joints;
    let chunk = rig.chunk(ActionSpace::Ee7, steps(10, [-0.006, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]));
    let observed = rig.now.steady;
    rig.run(0.3);
    rig.supervisor.on_chunk(chunk, rig.now).unwrap();
    rig.run(0.6);
    let [x, ..] = travelled(&rig, &start);
    assert!(
        (-0.0605..-0.045).contains(&x),
        "{x}: from the first step on it would be at most 0.036 by now"
    );
    rig.run(1.0);
    near(travelled(&rig, &start), [-0.06, 0.0, 0.0], 1e-5);
    assert!(rig.now.steady.seconds_since(observed) > 1.5);
}

#[test]
fn a_chunk_observed_in_motion_is_anchored_where_the_arm_then_was() {
    let mut rig = Rig::armed();
    rig.follow(20, [-0.006, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
    rig.run(0.5);
    let anchor = rig.joints;
    let chunk = rig.chunk(ActionSpace::Ee7, steps(8, [-0.006, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]));
    rig.run(0.2);
    rig.supervisor.on_chunk(chunk, rig.now).unwrap();
    rig.run(1.5);
    near(travelled(&rig, &anchor), [-0.048, 0.0, 0.0], 1e-5);
}

#[test]
fn a_plan_observed_while_the_tool_turns_begins_with_that_turn() {
    let at = |tick: u32| {
        let seconds = PERIOD * f64::from(tick);
        Now {
            ros: Time::from_secs_f64(1000.0 + seconds),
            steady: Steady::from_secs_f64(5.0 + seconds),
        }
    };
    // The last joint turns at 1 rad/s.
    let joints = |tick: u32| {
        let mut joints = ready();
        joints[6] += PERIOD * f64::from(tick);
        joints
    };
    let turn = |from: u32, to: u32| {
        let (from, to) = (pose(&joints(from)).rotation, pose(&joints(to)).rotation);
        (to * from.inverse()).scaled_axis()
    };
    let mut executor = Executor::new(&config(), &*config().arm.kinematics());
    (0..=50).for_each(|tick| executor.remember_command(at(tick), joints(tick)));
    let step = turn(0, 10);
    let values = steps(10, [0.0, 0.0, 0.0, step.x, step.y, step.z, 1.0]);
    let chunk = ActionChunk {
        actions: PhysicalActions::new(ActionSpace::Ee7, values).unwrap(),
        composition: Composition::Sequential,
        reference: Reference::Commanded,
        frame: "base_link".into(),
        step_period: 0.1,
        observed: at(40).ros,
        expires: at(90).ros,
        source: "policy".into(),
        lease: 1,
        plan_id: 1,
    };
    executor.start(&chunk, at(50), false).unwrap();
    let PlanTarget::Pose(found) = executor.plan().unwrap().at(at(45).ros) else {
        panic!("a plan of poses")
    };
    let away = found.rotation.angle_to(&pose(&joints(45)).rotation);
    assert!(
        away < 2e-3,
        "half a step after the observation the plan is {away} rad from steady turning"
    );
}

#[test]
fn waypoints_that_are_moved_inside_are_counted_and_others_are_not() {
    let mut config = config();
    config.workspace.tool_max_m[1] = 0.05;
    for (count, prefix) in [(2, None), (4, Some("2 waypoints"))] {
        let mut rig = Rig::armed_with(config.clone());
        // At 20, 40, 60 and 80 mm.
        rig.follow(count, [0.0, 0.02, 0.0, 0.0, 0.0, 0.0, 1.0]);
        rig.tick();
        let clamped = |event: &&thinkvla::control::event::Event| {
            (event.kind, event.check) == (EventKind::Clamped, Check::Workspace)
        };
        let found = rig.events.iter().find(clamped);
        match prefix {
            None => assert!(found.is_none(), "{found:?}"),
            Some(prefix) => assert!(
                found.is_some_and(|event| event.message.starts_with(prefix)),
                "{found:?}"
            ),
        }
    }
}

/// Largest change of velocity and of acceleration between two commands, as shares of the limits.
fn roughness(rig: &Rig, from: usize) -> (f64, f64) {
    let limits = config().limits;
    let velocities = rig.velocities(from);
    let accelerations: Vec<Joints> = velocities.windows(2).map(|pair| (pair[1] - pair[0]) / PERIOD).collect();
    let jerk = accelerations
        .windows(2)
        .map(|pair| (pair[1] - pair[0]).component_div(&limits.acceleration()).amax());
    let acceleration = velocities
        .windows(2)
        .map(|pair| (pair[1] - pair[0]).component_div(&limits.velocity()).amax());
    (acceleration.fold(0.0, f64::max), jerk.fold(0.0, f64::max))
}

#[test]
fn the_seam_between_chunks_that_disagree_has_continuous_velocity_and_acceleration() {
    let mut rig = Rig::armed();
    // The start is not tested here: the first step from rest is a jump of the chunk itself.
    rig.follow(10, [-0.003, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
    rig.run(0.5);
    let (from, clamps) = (rig.sent().len(), rig.status().clamps);
    let mut side = 1.0;
    for _ in 0..12 {
        rig.follow(10, [-0.003, 0.001 * side, 0.0006 * side, 0.0, 0.0, 0.003 * side, 1.0]);
        side = -side;
        rig.run(0.2);
    }
    let (velocity_step, acceleration_step) = roughness(&rig, from);
    // Without blending, the velocity jumps by several percent of its limit in one command.
    assert!(
        velocity_step < 0.03,
        "velocity changes by {velocity_step} of its limit in one command"
    );
    assert!(
        acceleration_step < 0.4,
        "acceleration changes by {acceleration_step} of its limit in one command"
    );
    assert_eq!(rig.status().clamps, clamps, "nothing for the gate to do");
    assert_eq!(rig.status().chunks, 13);
}

#[test]
fn a_chunk_that_comes_while_the_last_seam_still_fades_is_sewn_on_as_smoothly() {
    let mut rig = Rig::armed();
    rig.follow(10, [-0.003, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
    rig.run(0.5);
    let (from, clamps) = (rig.sent().len(), rig.status().clamps);
    let mut side = 1.0;
    for period in [0.05, 0.08, 0.11, 0.07, 0.04, 0.09, 0.06, 0.1, 0.05, 0.08] {
        rig.follow(10, [-0.003, 0.001 * side, 0.0006 * side, 0.0, 0.0, 0.003 * side, 1.0]);
        side = -side;
        rig.run(period);
    }
    let (velocity_step, acceleration_step) = roughness(&rig, from);
    assert!(
        velocity_step < 0.03 && acceleration_step < 0.4,
        "{velocity_step} {acceleration_step}"
    );
    assert_eq!(rig.status().clamps, clamps, "nothing for the gate to do");
}

#[test]
fn the_command_rate_is_steady_across_seams() {
    let mut rig = Rig::armed();
    for _ in 0..10 {
        rig.follow(10, [-0.004, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
        rig.run(0.3);
    }
    assert!((rig.status().command_rate - 100.0).abs() < 0.5);
    for pair in rig.sent().windows(2) {
        assert!((pair[1].0.seconds_since(pair[0].0) - PERIOD).abs() < 1e-6);
    }
}

#[test]
fn a_chunk_that_runs_out_is_held_silently_and_counted_once() {
    let mut rig = Rig::armed();
    rig.follow(3, [-0.006, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
    rig.run(1.0);
    assert_eq!(rig.mode(), ArmMode::Holding);
    let sent = rig.sent().len();
    rig.run(1.0);
    assert_eq!(rig.sent().len(), sent);
    assert_eq!(rig.status().underruns, 1);
    assert_eq!(rig.status().command_rate, 0.0);
    assert!(rig.has(EventKind::Held, Check::Underrun));
    rig.follow(3, [-0.006, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
    rig.run(1.0);
    near(travelled(&rig, &ready()), [-0.036, 0.0, 0.0], 1e-5);
}

#[test]
fn joint_chunks_move_the_joints() {
    let mut rig = Rig::armed();
    let start = rig.joints;
    let delta = [0.02, -0.01, 0.0, 0.01, 0.0, 0.03, 0.05, 0.5];
    let chunk = rig.chunk(ActionSpace::Joint8, delta.repeat(5));
    rig.supervisor.on_chunk(chunk, rig.now).unwrap();
    rig.run(1.0);
    let expected = start + Joints::from_column_slice(&delta[..7]) * 5.0;
    assert!((rig.joints - expected).amax() < 1e-6);
    assert_eq!(
        rig.supervisor
            .driver()
            .grips
            .iter()
            .map(|grip| grip.1)
            .collect::<Vec<_>>(),
        [501]
    );
}

#[test]
fn a_straight_line_is_straight() {
    let mut rig = Rig::armed();
    let start = pose(&rig.joints);
    rig.follow(15, [0.0, 0.006, 0.0, 0.0, 0.0, 0.0, 1.0]);
    rig.run(1.6);
    let mut furthest: f64 = 0.0;
    for (_, joints) in rig.sent() {
        let at = pose(joints);
        let off = at.translation.vector - start.translation.vector;
        furthest = furthest
            .max(off.x.abs())
            .max(off.z.abs())
            .max(at.rotation.angle_to(&start.rotation));
    }
    assert!(furthest < 1e-5, "{furthest}");
}

#[test]
fn a_waypoint_a_little_below_the_table_is_lifted_and_said_so() {
    let mut rig = Rig::armed();
    let height = pose(&rig.joints).translation.z;
    rig.follow(30, [0.0, 0.0, -(height + 0.02) / 30.0, 0.0, 0.0, 0.0, 1.0]);
    rig.run(4.5);
    let end = pose(&rig.joints).translation.z;
    assert!((end - 0.005).abs() < 1e-5, "3 mm of clearance and a little more: {end}");
    assert!(rig.has(EventKind::Clamped, Check::Workspace));
    assert_eq!(rig.mode(), ArmMode::Holding);
}

/// A chunk that turns joint 6 by 0.02 rad a step, as poses relative to the anchor.
fn wrist_turn(rig: &mut Rig, count: usize) -> ActionChunk {
    let start = pose(&ready());
    let values = (1..=count).flat_map(|k| {
        let mut joints = ready();
        joints[5] += 0.02 * k as f64;
        let end = pose(&joints);
        let way = end.translation.vector - start.translation.vector;
        let turn = (end.rotation * start.rotation.inverse()).scaled_axis();
        [way.x, way.y, way.z, turn.x, turn.y, turn.z, 1.0]
    });
    let mut chunk = rig.chunk(ActionSpace::Ee7, values.collect());
    chunk.composition = Composition::FromAnchor;
    chunk.step_period = 0.05;
    chunk
}

#[test]
fn a_way_that_leads_far_out_of_reach_is_refused_with_the_step_and_the_joint() {
    let mut rig = Rig::armed();
    // Joint 6 may turn by 0.61 rad; an excess of 0.2 rad is tolerated, one of 0.6 rad is not.
    let chunk = wrist_turn(&mut rig, 60);
    let refusal = rig.supervisor.on_chunk(chunk, rig.now).unwrap_err();
    assert_eq!(refusal.check, Check::Reach);
    assert!(
        refusal.message.starts_with("step 30: ") && refusal.message.contains("joint 6"),
        "{refusal}"
    );
    rig.run(0.5);
    assert!(rig.sent().is_empty() && rig.mode() == ArmMode::Holding);
}

#[test]
fn a_pose_out_of_reach_brakes_and_holds() {
    let mut rig = Rig::armed();
    let chunk = wrist_turn(&mut rig, 36);
    rig.supervisor.on_chunk(chunk, rig.now).unwrap();
    rig.run(3.0);
    assert_eq!(rig.mode(), ArmMode::Holding);
    assert!(rig.has(EventKind::Refused, Check::Reach), "{:?}", rig.events);
    for pair in rig.velocities(0).windows(2) {
        assert!((pair[1] - pair[0]).amax() <= 0.1 + 1e-3);
    }
}

#[test]
fn the_planned_path_shows_every_step_and_how_many_are_done() {
    let mut rig = Rig::armed();
    assert!(rig.supervisor.planned_path(rig.now).is_none());
    let start = pose(&rig.joints);
    rig.follow(10, [-0.006, 0.0, 0.0, 0.0, 0.0, 0.0, 0.3]);
    rig.run(0.35);
    let path = rig.supervisor.planned_path(rig.now).unwrap();
    assert_eq!((path.plan_id, path.poses.len(), path.done), (1, 10, 3));
    assert_eq!(path.gripper, [0.3; 10]);
    for (k, pose) in path.poses.iter().enumerate() {
        let travelled = pose.translation.x - start.translation.x;
        assert!((travelled + 0.006 * (k + 1) as f64).abs() < 1e-9);
    }
}
