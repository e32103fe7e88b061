//! Tests of a control loop that stalls.

use thinkvla::control::event::{Check, EventKind};
use thinkvla::control::lease::Priority;
use thinkvla::supervisor::ArmMode;
use thinkvla::types::Joints;

use super::arm_rig::{PERIOD, Rig};
use super::{CLOCKS, INWARD, moving_home, until};

/// Stalls the loop for `seconds` and ticks once, after the delayed callbacks.
fn stall(rig: &mut Rig, seconds: f64) {
    rig.pass(seconds - PERIOD);
    rig.tick();
}

#[test]
fn a_loop_that_stalled_in_motion_holds_where_the_arm_is_and_says_so() {
    for gap in [0.05, 0.07, 0.2, 2.0] {
        for clock in [CLOCKS[0], CLOCKS[5], CLOCKS[7]] {
            let mut rig = Rig::armed();
            rig.follow(14, [-0.015, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
            rig.run(0.5);
            let before = rig.sent().len();
            assert!(rig.velocities(before - 2)[0].amax() > 0.1);
            // The arm is a little behind its last command when commands were missing.
            rig.joints += Joints::repeat(0.004);
            rig.rate = clock.rate;
            stall(&mut rig, gap);
            assert_eq!(rig.mode(), ArmMode::Holding, "{gap} {clock:?}");
            assert!(rig.has(EventKind::Held, Check::Period), "{gap} {clock:?}");
            assert_eq!(rig.sent().len(), before, "{gap}: nothing leaves");
            assert_eq!(rig.status().commanded_joints, rig.joints, "{gap}");
            rig.rate = 1.0;
            rig.run(0.2);
            if gap > 1.0 {
                rig.acquire("policy", Priority::Policy);
            }
            let at = rig.joints;
            rig.follow(5, [-0.015, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
            rig.run(0.05);
            let mut last = (at, Joints::zeros());
            for (_, joints) in &rig.sent()[before..] {
                let velocity = (joints - last.0) / PERIOD;
                assert!((velocity - last.1).amax() <= 0.1 + 1e-3, "{gap}: a step out of rest");
                last = (*joints, velocity);
            }
        }
    }
}

#[test]
fn a_loop_that_stalled_without_a_new_state_holds_at_its_last_command() {
    let mut rig = Rig::armed();
    rig.follow(14, [-0.015, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
    rig.run(0.5);
    let commanded = rig.status().commanded_joints;
    rig.joints += Joints::repeat(0.004);
    rig.drop_states = true;
    stall(&mut rig, 0.05);
    assert_eq!(
        (rig.mode(), rig.status().commanded_joints),
        (ArmMode::Holding, commanded)
    );
}

#[test]
fn a_short_delay_of_the_loop_is_no_stall() {
    let mut rig = Rig::armed();
    rig.follow(20, INWARD);
    rig.run(0.5);
    stall(&mut rig, 0.025);
    assert_eq!(rig.mode(), ArmMode::Executing);
    rig.run(0.1);
    assert!(!rig.has(EventKind::Held, Check::Period));
}

#[test]
fn a_stall_does_not_weaken_how_braking_ends() {
    let mut rig = moving_home();
    rig.supervisor.disarm(rig.now);
    stall(&mut rig, 0.5);
    assert_eq!(rig.mode(), ArmMode::Disarmed);
    let mut rig = moving_home();
    rig.drop_states = true;
    until(&mut rig, ArmMode::Braking, 0.1);
    rig.drop_states = false;
    stall(&mut rig, 0.5);
    assert_eq!(rig.mode(), ArmMode::Fault);
}
