//! Tests of forward and differential kinematics.

use nalgebra::{Translation3, UnitQuaternion, Vector3};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use thinkvla::control::kinematics::{Conditioning, LinkVariant, Rm75};
use thinkvla::types::{Joints, Pose};

use super::{degrees, random_joints};

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
