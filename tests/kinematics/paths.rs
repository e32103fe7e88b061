//! Tests of paths of poses: the joints change without flips and come back.

use std::f64::consts::TAU;

use nalgebra::{Translation3, Vector3};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use thinkvla::control::kinematics::{Conditioning, InverseError, MAX_SWIVEL_DRIFT, Rm75, SWIVEL_COMFORT};
use thinkvla::types::{Joints, Pose};

use super::{assert_reaches, degrees, down_at, poses, random_joints};

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
