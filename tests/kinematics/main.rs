//! Tests of forward, inverse and differential kinematics of the RM75.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // helpers of tests may panic

mod forward;
mod inverse;
mod paths;
mod swivel;

use std::f64::consts::PI;

use nalgebra::{Translation3, UnitQuaternion, Vector3};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use thinkvla::control::kinematics::Rm75;
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
