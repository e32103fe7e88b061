//! Tests of the redundancy of the arm: turns of one joint alone, and the swivel of the elbow.

use nalgebra::{Translation3, UnitQuaternion, Vector3};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use thinkvla::control::kinematics::{Rm75, SWIVEL_COMFORT};
use thinkvla::types::{Joints, Pose};

use super::{assert_reaches, random_joints};

/// Joints without swivel drift, some with joint 2 or 6 close to zero, with the tool far from axis 1.
fn comfortable(arm: &Rm75, rng: &mut ChaCha8Rng) -> Joints {
    loop {
        let mut joints = random_joints(arm, rng, SWIVEL_COMFORT + 0.1);
        match rng.random_range(0..4) {
            0 => joints[1] = 0.1,
            1 => joints[5] = -0.1,
            _ => {}
        }
        let points = arm.points(&joints, &Pose::identity());
        let line = (points.wrist - points.shoulder).normalize();
        let flange = arm.forward(&joints).rotation * Vector3::z();
        if line.xy().norm() > 0.35 && line.cross(&flange).norm() > 0.35 {
            return joints;
        }
    }
}

#[test]
fn turning_a_pose_about_the_base_turns_joint_1_alone() {
    let arm = Rm75::b();
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    for _ in 0..200 {
        let near = comfortable(&arm, &mut rng);
        let angle = rng.random_range(-0.05..0.05);
        let turn = UnitQuaternion::from_axis_angle(&Vector3::z_axis(), angle);
        let found = arm.inverse(&(turn * arm.forward(&near)), &near).unwrap();
        let mut expected = near;
        expected[0] += angle;
        assert!((found - expected).amax() < 1e-7, "{near:?} became {found:?}");
    }
}

#[test]
fn turning_the_flange_about_its_own_axis_turns_joint_7_alone() {
    let arm = Rm75::b();
    let mut rng = ChaCha8Rng::seed_from_u64(10);
    for _ in 0..200 {
        let near = comfortable(&arm, &mut rng);
        let angle = rng.random_range(-0.05..0.05);
        let turn = UnitQuaternion::from_axis_angle(&Vector3::z_axis(), angle);
        let found = arm.inverse(&(arm.forward(&near) * turn), &near).unwrap();
        let mut expected = near;
        expected[6] += angle;
        assert!((found - expected).amax() < 1e-7, "{near:?} became {found:?}");
    }
}

#[test]
fn the_elbow_keeps_its_swivel_wherever_shoulder_and_wrist_are_bent() {
    let arm = Rm75::b();
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let mut tried = 0;
    for _ in 0..1000 {
        let near = comfortable(&arm, &mut rng);
        let moved = Translation3::from(Vector3::from_fn(|_, _| rng.random_range(-0.02..0.02))) * arm.forward(&near);
        let Ok(found) = arm.inverse(&moved, &near) else {
            continue;
        };
        if near[1].abs() < 0.4 || near[5].abs() < 0.4 || !arm.limits.shrunk(SWIVEL_COMFORT).contain(&found) {
            continue;
        }
        assert_reaches(&arm, &found, &moved);
        assert!(
            (arm.swivel(&found) - arm.swivel(&near)).sin().abs() < 1e-7,
            "{near:?} became {found:?}"
        );
        tried += 1;
    }
    assert!(tried > 100, "{tried}");
}

#[test]
fn with_a_straight_shoulder_joint_1_follows_the_bearing_of_the_wrist() {
    let arm = Rm75::b();
    let bearing = |joints: &Joints| {
        let wrist = arm.points(joints, &Pose::identity()).wrist;
        wrist.y.atan2(wrist.x)
    };
    let near = Joints::from([0.3, 0.1, 0.4, 1.4, 0.2, 0.9, 0.1]);
    for direction in [Vector3::x(), Vector3::y(), Vector3::z()] {
        for step in [-0.003, 0.003] {
            let pose = Translation3::from(direction * step) * arm.forward(&near);
            let found = arm.inverse(&pose, &near).unwrap();
            let turned = bearing(&found) - bearing(&near);
            assert!(
                (found[0] - near[0] - turned).abs() < 1e-7,
                "along {direction}: {found:?}"
            );
        }
    }
}

#[test]
fn with_a_straight_wrist_joint_7_follows_the_bearing_of_the_shoulder_in_the_flange() {
    let arm = Rm75::b();
    let bearing = |joints: &Joints| {
        let points = arm.points(joints, &Pose::identity());
        let line = arm.forward(joints).rotation.inverse() * (points.wrist - points.shoulder);
        line.y.atan2(line.x)
    };
    let near = Joints::from([0.3, 0.9, 0.4, 1.4, 0.2, 0.1, 0.1]);
    for direction in [Vector3::x(), Vector3::y(), Vector3::z()] {
        for step in [-0.003, 0.003] {
            let pose = Translation3::from(direction * step) * arm.forward(&near);
            let found = arm.inverse(&pose, &near).unwrap();
            let turned = bearing(&found) - bearing(&near);
            assert!((found[6] - near[6]).abs() > 1e-3, "along {direction}: {found:?}");
            assert!(
                (found[6] - near[6] + turned).sin().abs() < 1e-7,
                "along {direction}: {found:?}"
            );
        }
    }
}
