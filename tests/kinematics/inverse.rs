//! Tests of inverse kinematics of single poses, reached or refused.

use std::f64::consts::{FRAC_PI_2, TAU};

use nalgebra::{Translation3, UnitQuaternion};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use thinkvla::control::kinematics::{Branch, Conditioning, InverseError, Rm75};
use thinkvla::types::Pose;

use super::{assert_reaches, degrees, down_at, poses, random_joints};

#[test]
fn inverse_reaches_every_pose_near_its_joints() {
    let arm = Rm75::b();
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    for _ in 0..poses() {
        let mut joints = random_joints(&arm, &mut rng, 0.03);
        while joints[1].abs() < 0.15 || joints[5].abs() < 0.15 {
            joints = random_joints(&arm, &mut rng, 0.03);
        }
        let near = joints.map(|q| q + rng.random_range(-0.01..0.01));
        let pose = arm.forward(&joints);
        let found = arm.inverse(&pose, &near).unwrap_or_else(|e| panic!("{joints:?}: {e}"));
        assert_reaches(&arm, &found, &pose);
    }
}

#[test]
fn inverse_nearest_reaches_every_pose_from_anywhere() {
    let arm = Rm75::b();
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let mut continued = 0;
    for _ in 0..poses() {
        let joints = random_joints(&arm, &mut rng, 0.01);
        let near = random_joints(&arm, &mut rng, 0.01);
        let pose = arm.forward(&joints);
        let found = arm
            .inverse_nearest(&pose, &near)
            .unwrap_or_else(|e| panic!("{joints:?}: {e}"));
        assert_reaches(&arm, &found, &pose);
        // Following may refuse a far target, but an accepted one must be correct.
        if let Ok(found) = arm.inverse(&pose, &near) {
            assert_reaches(&arm, &found, &pose);
            continued += 1;
        }
    }
    assert!(continued > poses() / 10, "{continued}");
}

#[test]
fn joints_come_back_from_their_own_swivel_and_branch() {
    let arm = Rm75::b();
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    for _ in 0..2_000 {
        let joints = random_joints(&arm, &mut rng, 0.01);
        let pose = arm.forward(&joints);
        let swivel = arm.swivel(&joints);
        let found = arm.inverse_at_swivel(&pose, swivel, Branch::of(&joints)).unwrap();
        let difference = (found - joints).map(|d| d - TAU * (d / TAU).round());
        assert!(difference.amax() < 1e-7, "{joints:?} {found:?}");
        let mut branches = 0;
        for solution in arm.all_branches(&pose, swivel) {
            assert_reaches(&arm, &solution.joints, &pose);
            assert_eq!(Branch::of(&solution.joints), solution.branch);
            assert!((arm.swivel(&solution.joints) - swivel).sin().abs() < 1e-6);
            branches += 1;
        }
        assert!((1..=8).contains(&branches));
    }
}

#[test]
fn poses_out_of_reach_say_how_far() {
    let arm = Rm75::b();
    let near = degrees([0.0, 30.0, 0.0, 60.0, 0.0, 90.0, 0.0]);
    let Err(InverseError::OutOfReach {
        distance,
        nearest,
        farthest,
    }) = arm.inverse(&down_at(0.7, 0.0, 0.2), &near)
    else {
        panic!("0.7 m is out of reach")
    };
    assert!((distance - 0.7f64.hypot(0.2 + 0.144 - 0.2405)).abs() < 1e-12);
    assert!((farthest - 0.466).abs() < 1e-12 && nearest > 0.18 && nearest < 0.19);
    let folded = down_at(0.05, 0.0, 0.15);
    assert!(matches!(
        arm.inverse(&folded, &near),
        Err(InverseError::OutOfReach { .. })
    ));
    let message = arm.inverse(&down_at(0.7, 0.0, 0.2), &near).unwrap_err().to_string();
    assert!(
        message.contains("0.4660 m") && message.contains("0.7076 m"),
        "{message}"
    );
}

#[test]
fn input_that_is_not_finite_is_refused() {
    let arm = Rm75::b();
    let near = degrees([0.0, 30.0, 0.0, 60.0, 0.0, 90.0, 0.0]);
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        for axis in 0..3 {
            let mut pose = arm.forward(&near);
            pose.translation.vector[axis] = bad;
            assert_eq!(arm.inverse(&pose, &near), Err(InverseError::NonFinitePose));
            assert_eq!(arm.inverse_nearest(&pose, &near), Err(InverseError::NonFinitePose));
        }
        for joint in 0..7 {
            let mut joints = near;
            joints[joint] = bad;
            assert_eq!(
                arm.inverse(&arm.forward(&near), &joints),
                Err(InverseError::NonFiniteNear)
            );
        }
    }
    let spun = Pose::from_parts(
        Translation3::new(0.3, 0.0, 0.3),
        UnitQuaternion::new_unchecked(nalgebra::Quaternion::new(f64::NAN, 0.0, 0.0, 0.0)),
    );
    assert_eq!(arm.inverse(&spun, &near), Err(InverseError::NonFinitePose));
}

#[test]
fn singular_poses_give_joints_that_stay_where_they_are() {
    let arm = Rm75::b();
    for joints in [
        [0.0; 7],
        [20.0, 0.0, 40.0, 0.0, 30.0, 0.0, -50.0],
        [0.0, 30.0, 0.0, 60.0, 90.0, 0.0, 0.0],
        [30.0, 0.0, 60.0, 90.0, 0.0, 90.0, 0.0],
        [10.0, 40.0, 20.0, 0.0, 30.0, 50.0, 20.0],
        [10.0, -40.0, 20.0, 87.0, 30.0, 50.0, 20.0],
        [0.0, 0.0, 90.0, 90.0, 0.0, 0.0, 0.0],
    ] {
        let joints = degrees(joints);
        let pose = arm.forward(&joints);
        let found = arm.inverse(&pose, &joints).unwrap();
        assert_reaches(&arm, &found, &pose);
        assert!((found - joints).amax() < 1e-6, "{joints:?} became {found:?}");
        assert!(!Conditioning::new(&arm.jacobian(&joints), 0.61).number().is_nan());
        for solution in arm.all_branches(&pose, 0.3) {
            assert_reaches(&arm, &solution.joints, &pose);
        }
    }
    // The wrist exactly above the shoulder, starting from other joints.
    let over = Pose::translation(0.0, 0.0, 0.2405 + 0.3 + 0.144);
    let near = degrees([15.0, -35.0, 0.0, 80.0, 0.0, -45.0, 0.0]);
    assert_reaches(&arm, &arm.inverse(&over, &near).unwrap(), &over);
    assert!((FRAC_PI_2 - 90f64.to_radians()).abs() < 1e-15);
}
