//! Safety tests: each guarantee of the control side and each known hazard of the driver, on a virtual clock with a stand-in
//! for the driver.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // helpers of tests may panic

#[path = "../support/arm_rig.rs"]
mod arm_rig;
mod arming;
mod chunks;
mod graph;
mod leases;
mod motion;
mod reports;
mod signs_of_life;
mod stops;

use arm_rig::{PERIOD, Rig};
use thinkvla::supervisor::ArmMode;
use thinkvla::types::Joints;

/// Steps towards the base, where the arm has room: 6 cm/s.
const INWARD: [f64; 7] = [-0.006, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0];

fn moving() -> Rig {
    let mut rig = Rig::armed();
    rig.follow(20, INWARD);
    rig.run(0.5);
    assert_eq!(rig.mode(), ArmMode::Executing);
    assert!(rig.velocities(0).last().unwrap().amax() > 0.05);
    rig
}

/// Runs on; returns the time until the speed began to fall, and asserts that the arm rests and no commands follow.
fn braking_delay(rig: &mut Rig) -> f64 {
    let from = rig.sent().len() - 2;
    rig.run(2.0);
    let speeds: Vec<f64> = rig.velocities(from).iter().map(Joints::norm).collect();
    let cruising = speeds.iter().take_while(|speed| **speed > 0.9 * speeds[0]).count();
    assert!(*speeds.last().unwrap() < 1e-4, "comes to rest");
    for pair in rig.velocities(from).windows(2) {
        assert!(
            (pair[1] - pair[0]).amax() <= 0.1 + 1e-3,
            "inside the acceleration limits"
        );
    }
    let silent = rig.sent().len();
    rig.run(1.0);
    assert_eq!(rig.sent().len(), silent, "silence after rest");
    cruising as f64 * PERIOD
}

/// Starts a motion of an arm in `ready`: a still chunk, or a named move.
fn start(rig: &mut Rig, is_named: bool) {
    if is_named {
        rig.supervisor.move_named("home", 0.8, rig.lease, rig.now).unwrap();
    } else {
        rig.follow(20, [0.0; 7]);
    }
}
