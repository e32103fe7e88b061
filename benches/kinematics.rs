//! Benchmark of the kinematics in one control period.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use thinkvla::control::kinematics::{Conditioning, Rm75};
use thinkvla::types::{Joints, Pose};

fn degrees(values: [f64; 7]) -> Joints {
    Joints::from(values.map(f64::to_radians))
}

fn kinematics(c: &mut Criterion) {
    let arm = Rm75::b();
    let joints = degrees([10.0, 35.0, -5.0, 65.0, 8.0, 75.0, 20.0]);
    let near = joints.add_scalar(0.002);
    let pose = arm.forward(&joints);
    let jacobian = arm.jacobian(&joints);
    // Joint 3 is inside its comfort zone, so that the swivel is searched.
    let pressed = degrees([10.0, 35.0, 175.0, 65.0, 8.0, 75.0, 20.0]);
    let pressed_pose = arm.forward(&pressed);

    let mut group = c.benchmark_group("kinematics");
    group.bench_function("forward", |b| b.iter(|| arm.forward(black_box(&joints))));
    group.bench_function("points", |b| {
        b.iter(|| arm.points(black_box(&joints), &Pose::identity()))
    });
    group.bench_function("jacobian", |b| b.iter(|| arm.jacobian(black_box(&joints))));
    group.bench_function("condition_number", |b| {
        b.iter(|| Conditioning::new(black_box(&jacobian), 1.0).number())
    });
    group.bench_function("inverse", |b| {
        b.iter(|| arm.inverse(black_box(&pose), black_box(&near)))
    });
    group.bench_function("inverse_near_limit", |b| {
        b.iter(|| arm.inverse(black_box(&pressed_pose), black_box(&pressed)))
    });
    group.bench_function("inverse_nearest", |b| {
        b.iter(|| arm.inverse_nearest(black_box(&pose), black_box(&near)))
    });
    group.bench_function("tick", |b| {
        b.iter(|| {
            let found = arm.inverse(black_box(&pose), black_box(&near)).unwrap_or(near);
            let reached = arm.forward(&found);
            (reached, Conditioning::new(&arm.jacobian(&found), 1.0).number())
        });
    });
    group.finish();
}

criterion_group!(benches, kinematics);
criterion_main!(benches);
