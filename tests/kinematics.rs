//! Tests of forward, inverse and differential kinematics of the RM75.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // helpers of tests may panic

use std::f64::consts::{FRAC_PI_2, PI, TAU};

use nalgebra::{Translation3, UnitQuaternion, Vector3};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use thinkvla::control::kinematics::{
    Branch, Conditioning, InverseError, LinkVariant, MAX_SWIVEL_DRIFT, Rm75, SWIVEL_COMFORT,
};
use thinkvla::types::{Joints, Pose};

/// Number of random poses of a test: a hundred thousand. `PROPTEST_CASES` in the environment sets it to twice its value,
/// for runs with mutants.
fn poses() -> usize {
    std::env::var("PROPTEST_CASES").map_or(100_000, |cases| 2 * cases.parse::<usize>().unwrap())
}

fn degrees(values: [f64; 7]) -> Joints {
    Joints::from(values.map(f64::to_radians))
}

/// Joints at least `margin` inside the limits, with joints 2, 4 and 6 at least 0.05 rad from zero.
fn random_joints(arm: &Rm75, rng: &mut ChaCha8Rng, margin: f64) -> Joints {
    let limits = arm.limits.shrunk(margin);
    loop {
        let joints = limits
            .lower
            .zip_map(&limits.upper, |lower, upper| rng.random_range(lower..upper));
        if joints[1].abs() > 0.05 && joints[3].abs() > 0.05 && joints[5].abs() > 0.05 {
            return joints;
        }
    }
}

#[track_caller]
fn assert_reaches(arm: &Rm75, joints: &Joints, pose: &Pose) {
    let reached = arm.forward(joints);
    let offset = (reached.translation.vector - pose.translation.vector).norm();
    let turned = reached.rotation.angle_to(&pose.rotation);
    assert!(
        offset < 1e-6 && turned < 1e-6,
        "off by {offset:e} m, {turned:e} rad with {joints:?}"
    );
    assert!(arm.limits.contain(joints), "outside limits: {joints:?}");
}

fn down_at(x: f64, y: f64, z: f64) -> Pose {
    let rotation = UnitQuaternion::from_axis_angle(&Vector3::y_axis(), PI);
    Pose::from_parts(Translation3::new(x, y, z), rotation)
}

/// Follows poses and checks each; returns the final joints and the largest step of any joint.
#[track_caller]
fn follow(arm: &Rm75, start: Joints, poses: impl Iterator<Item = Pose>) -> (Joints, f64) {
    let mut joints = start;
    let mut largest: f64 = 0.0;
    for (i, pose) in poses.enumerate() {
        let next = arm
            .inverse(&pose, &joints)
            .unwrap_or_else(|e| panic!("step {i} from {joints:?}: {e}"));
        assert_reaches(arm, &next, &pose);
        largest = largest.max((next - joints).amax());
        joints = next;
    }
    (joints, largest)
}

#[test]
fn check_poses_of_the_arm_are_reached_exactly() {
    let arm = Rm75::b();
    for (joints, at) in [
        ([0.0, 30.0, 0.0, 60.0, 0.0, 90.0, 0.0], [0.338, 0.0, 0.3182]),
        ([0.0, 0.0, 0.0, 90.0, 0.0, 90.0, 0.0], [0.210, 0.0, 0.3525]),
    ] {
        let pose = arm.forward(&degrees(joints));
        // The heights are stated to a tenth of a millimetre.
        assert!((pose.translation.vector - Vector3::from(at)).amax() < 5e-5, "{pose}");
        assert!((pose.rotation * Vector3::z() + Vector3::z()).amax() < 1e-12);
    }
    let zero = arm.forward(&Joints::zeros());
    assert!((zero.translation.vector - Vector3::new(0.0, 0.0, 0.8505)).amax() < 1e-12);
    assert!(zero.rotation.angle() < 1e-12);
    for (variant, height) in [(LinkVariant::SixF, 0.879), (LinkVariant::SixFb, 0.8677)] {
        let tip = Rm75::new(variant).forward(&Joints::zeros());
        assert!((tip.translation.z - height).abs() < 1e-12);
    }
}

#[test]
fn condition_number_is_that_of_the_si_jacobian() {
    let arm = Rm75::b();
    for (joints, expected) in [
        ([0.0, 30.0, 0.0, 60.0, 0.0, 90.0, 0.0], 19.1),
        ([0.0, 0.0, 0.0, 90.0, 0.0, 90.0, 0.0], 13.5),
    ] {
        let found = Conditioning::new(&arm.jacobian(&degrees(joints)), 1.0).number();
        assert!((found - expected).abs() < 0.05, "expected {expected}, found {found}");
    }
    for singular in [Joints::zeros(), degrees([0.0, 30.0, 0.0, 60.0, 90.0, 0.0, 0.0])] {
        let found = Conditioning::new(&arm.jacobian(&singular), 1.0).number();
        assert!(found > 1e9, "{singular:?} {found}");
    }
}

#[test]
fn jacobian_predicts_small_motions_of_flange_and_tool() {
    let arm = Rm75::b();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let tool = Pose::from_parts(
        Translation3::new(0.03, -0.02, 0.125),
        UnitQuaternion::from_euler_angles(0.1, 0.2, 0.3),
    );
    for _ in 0..500 {
        let joints = random_joints(&arm, &mut rng, 0.1);
        for flange_from_tool in [Pose::identity(), tool] {
            let jacobian = arm.jacobian_at(&joints, &flange_from_tool);
            for joint in 0..7 {
                let h = 1e-6;
                let mut step = Joints::zeros();
                step[joint] = h;
                let after = arm.forward(&(joints + step)) * flange_from_tool;
                let before = arm.forward(&(joints - step)) * flange_from_tool;
                let linear = (after.translation.vector - before.translation.vector) / (2.0 * h);
                let angular = (after.rotation * before.rotation.inverse()).scaled_axis() / (2.0 * h);
                let column = jacobian.column(joint);
                assert!((column.fixed_rows::<3>(0) - linear).amax() < 1e-8);
                assert!((column.fixed_rows::<3>(3) - angular).amax() < 1e-8);
            }
        }
    }
}

#[test]
fn points_along_the_arm_are_the_lengths_apart() {
    let arm = Rm75::b();
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let tool = Pose::translation(0.0, 0.0, 0.125);
    for _ in 0..100 {
        let joints = random_joints(&arm, &mut rng, 0.0);
        let points = arm.points(&joints, &tool);
        let length = |a: nalgebra::Point3<f64>, b: nalgebra::Point3<f64>| (a - b).norm();
        assert!((length(points.shoulder, points.elbow) - 0.256).abs() < 1e-12);
        assert!((length(points.elbow, points.wrist) - 0.210).abs() < 1e-12);
        assert!((length(points.wrist, points.tool) - 0.269).abs() < 1e-12);
        let pose = arm.forward(&joints) * tool;
        assert!((points.tool.coords - pose.translation.vector).amax() < 1e-12);
    }
}

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
fn straight_lines_have_no_flips() {
    let arm = Rm75::b();
    let start = degrees([0.0, 30.0, 0.0, 60.0, 0.0, 90.0, 0.0]);
    let from = arm.forward(&start);
    // Steps of 1 mm; the limits are the largest turns of the joints nearest the base in one step.
    for (x, y, z) in [
        (0.338, 0.2, 0.3182),
        (0.338, -0.2, 0.3182),
        (0.20, 0.15, 0.25),
        (0.42, 0.0, 0.20),
        (0.40, -0.2, 0.15),
        (0.25, 0.0, 0.45),
    ] {
        let to = down_at(x, y, z);
        let steps = ((to.translation.vector - from.translation.vector).norm() / 0.001).ceil() as usize;
        let path = |i: usize| from.lerp_slerp(&to, i as f64 / steps as f64);
        let (_, largest) = follow(&arm, start, (0..=steps).map(path));
        assert!(largest < 0.012, "to {x} {y} {z}: {largest}");
    }
}

#[test]
fn lines_from_the_aligned_shoulder_have_no_flips_in_any_direction() {
    let arm = Rm75::b();
    for turned in [0.0, 30.0, -45.0] {
        // Joints 1 and 3 turn about the same axis here, and can share the turn in any proportion.
        let start = degrees([turned, 0.0, -turned, 90.0, 0.0, 90.0, 0.0]);
        let from = arm.forward(&start);
        for direction in 0..24 {
            let angle = f64::from(direction) * TAU / 24.0;
            for height in [-0.5, 0.0, 0.5] {
                let along = Vector3::new(angle.cos(), angle.sin(), height).normalize();
                let path = (0..60).map(|i| Translation3::from(along * f64::from(i) * 0.001) * from);
                let (_, largest) = follow(&arm, start, path);
                assert!(largest < 0.03, "turned {turned} along {along:?}: {largest}");
            }
        }
    }
}

#[test]
fn random_lines_move_no_joint_faster_than_the_arm_needs() {
    let arm = Rm75::b();
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    let step = 0.0005;
    let lines = poses() / 50;
    let (mut steps, mut refused) = (0, 0);
    for _ in 0..lines {
        let mut joints = random_joints(&arm, &mut rng, 0.3);
        let direction = Vector3::from_fn(|_, _| rng.random_range(-1.0..1.0)).normalize();
        for _ in 0..200 {
            let jacobian = arm.jacobian(&joints);
            let conditioning = Conditioning::new(&jacobian, 0.61);
            // Close to a true singularity no bound holds; there the gate slows down.
            if conditioning.smallest < 0.1 {
                break;
            }
            let pose = Translation3::from(direction * step) * arm.forward(&joints);
            let Ok(next) = arm.inverse(&pose, &joints) else {
                refused += 1;
                break;
            };
            assert_reaches(&arm, &next, &pose);
            let moved = (next - joints).amax();
            // A motion of this size may need this much of the joints, whatever the swivel; more close to limits.
            let needed = step / 0.61 / conditioning.smallest;
            let comfortable = arm.limits.shrunk(SWIVEL_COMFORT + 0.02).contain(&next);
            let bound = if comfortable { 4.0 * needed } else { 20.0 * needed };
            assert!(moved < bound, "{moved} over {bound} at {joints:?} along {direction:?}");
            joints = next;
            steps += 1;
        }
    }
    assert!(
        steps > 50 * lines && refused < lines / 10,
        "{steps} steps, {refused} refused"
    );
}

#[test]
fn a_closed_path_closes_in_the_joints_and_the_swivel() {
    let arm = Rm75::b();
    let start = degrees([0.0, 30.0, 0.0, 60.0, 0.0, 90.0, 0.0]);
    let centre = arm.forward(&start).translation.vector;
    let circle = |i: i32| {
        let angle = f64::from(i) * TAU / 1000.0;
        down_at(
            centre.x + 0.08 * (angle.cos() - 1.0),
            centre.y + 0.08 * angle.sin(),
            centre.z,
        )
    };
    let start = arm.inverse(&circle(0), &start).unwrap();
    let (end, largest) = follow(&arm, start, (0..=10_000).map(circle));
    assert!((end - start).amax() < 1e-6, "{}", (end - start).amax());
    assert!((arm.swivel(&end) - arm.swivel(&start)).abs() < 1e-6);
    assert!(largest < 0.006, "{largest}");
}

#[test]
fn passing_over_the_shoulder_carries_the_elbow_along() {
    let arm = Rm75::b();
    let start = degrees([0.0, -40.0, 0.0, 70.0, 0.0, -60.0, 0.0]);
    let from = arm.forward(&start);
    let path = (0..=400).map(|i| Translation3::new(0.0004 * f64::from(i), 0.0001 * f64::from(i), 0.0) * from);
    let (end, largest) = follow(&arm, start, path);
    assert!(largest < 0.02, "{largest}");
    let line = |joints: &Joints| arm.points(joints, &Pose::identity());
    assert!(line(&start).wrist.x * line(&end).wrist.x < 0.0 || line(&end).wrist.x.abs() < 0.1);
}

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
fn a_joint_near_its_limit_is_relieved_gently() {
    let arm = Rm75::b();
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    let starts = (poses() / 20).min(300);
    let mut relieved = 0;
    for _ in 0..starts {
        let mut start = random_joints(&arm, &mut rng, 0.3);
        start[2] = arm.limits.upper[2] - 0.02;
        let pose = arm.forward(&start);
        let mut joints = start;
        for _ in 0..400 {
            let next = arm.inverse(&pose, &joints).unwrap();
            assert_reaches(&arm, &next, &pose);
            let moved = arm.swivel(&next) - arm.swivel(&joints);
            assert!((moved - TAU * (moved / TAU).round()).abs() < MAX_SWIVEL_DRIFT + 1e-6);
            joints = next;
        }
        relieved += usize::from(arm.limits.upper[2] - joints[2].abs() > SWIVEL_COMFORT - 1e-3);
    }
    // For the others no swivel within reach is comfortable for all joints.
    assert!(10 * relieved > 9 * starts, "{relieved} of {starts}");
}

#[test]
fn joint_seven_keeps_to_the_turn_it_is_in() {
    let arm = Rm75::b();
    for turns in [-300.0, -200.0, 0.0, 200.0, 300.0] {
        let joints = degrees([10.0, 40.0, 5.0, 70.0, -10.0, 60.0, turns]);
        let found = arm.inverse(&arm.forward(&joints), &joints).unwrap();
        assert!((found - joints).amax() < 1e-9);
    }
    // A turn beyond the range of the joint is refused; a plan from rest unwinds.
    let joints = degrees([10.0, 40.0, 5.0, 70.0, -10.0, 60.0, 358.0]);
    let turned = arm.forward(&degrees([10.0, 40.0, 5.0, 70.0, -10.0, 60.0, 5.0 + 40.0]));
    assert!(matches!(
        arm.inverse(&turned, &joints),
        Err(InverseError::NoSwivel { joint: 7, .. })
    ));
    assert_reaches(&arm, &arm.inverse_nearest(&turned, &joints).unwrap(), &turned);
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
