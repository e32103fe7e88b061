//! Tests of lost, frozen and impossible signs of life: the state of the joints and the heartbeat of the policy.

use thinkvla::contract::ActionSpace;
use thinkvla::control::event::{Check, EventKind};
use thinkvla::control::lease::Priority;
use thinkvla::supervisor::ArmMode;
use thinkvla::types::Joints;

use super::arm_rig::{Rig, config, steps};
use super::{INWARD, braking_delay, moving};

#[test]
fn a_dead_policy_is_braked_within_100_ms_then_the_arm_rests_in_silence_and_can_go_on() {
    let mut rig = moving();
    rig.heartbeat = false;
    let delay = braking_delay(&mut rig);
    assert!(delay <= 0.1, "{delay}");
    assert_eq!(rig.mode(), ArmMode::Holding);
    assert!(rig.has(EventKind::Held, Check::Fresh));
    assert!(rig.stops().is_empty(), "a held arm needs no stop");
    rig.acquire("policy again", Priority::Policy);
    rig.heartbeat = true;
    rig.plan_id = 0;
    rig.follow(5, INWARD);
    rig.run(0.2);
    assert_eq!(rig.mode(), ArmMode::Executing);
}

#[test]
fn a_lost_joint_state_is_braked_within_100_ms_and_latched() {
    let mut rig = moving();
    rig.drop_states = true;
    let delay = braking_delay(&mut rig);
    assert!(delay <= 0.1, "{delay}");
    assert_eq!(rig.mode(), ArmMode::Fault);
    assert!(rig.has(EventKind::Fault, Check::Fresh));
    rig.drop_states = false;
    rig.run(0.5);
    assert_eq!(rig.mode(), ArmMode::Fault, "the state's return does not unlatch");
    rig.rearm();
    assert_eq!(rig.mode(), ArmMode::Holding);
}

#[test]
fn a_frozen_state_with_fresh_stamps_is_found_by_its_content() {
    let mut rig = moving();
    rig.frozen = true;
    rig.run(0.4);
    assert_eq!(rig.mode(), ArmMode::Executing);
    rig.run(0.3);
    assert_ne!(rig.mode(), ArmMode::Executing);
    rig.run(1.0);
    assert_eq!(rig.mode(), ArmMode::Fault);
    assert!(rig.has(EventKind::Fault, Check::State));
}

#[test]
fn an_arm_that_rests_is_not_taken_for_frozen() {
    let mut rig = Rig::armed();
    rig.frozen = true;
    rig.run(5.0);
    assert_eq!(rig.mode(), ArmMode::Holding);
    rig.frozen = false;
    rig.follow(10, INWARD);
    rig.run(0.5);
    assert_eq!(rig.mode(), ArmMode::Executing);
}

#[test]
fn a_driver_that_never_heard_from_its_arm_cannot_be_armed() {
    let mut rig = Rig::new(config());
    rig.joints = Joints::zeros();
    rig.run(0.5);
    let refusal = rig.supervisor.arm(rig.now).unwrap_err();
    assert_eq!(refusal.check, Check::State);
    assert!(refusal.message.contains("exactly zero"), "{refusal}");
}

#[test]
fn a_clock_that_goes_back_makes_nothing_fresh() {
    let mut rig = moving();
    rig.heartbeat = false;
    rig.now.ros = rig.now.ros.offset_secs(-3600.0);
    let from = rig.sent().len() - 2;
    rig.run(2.0);
    assert!(rig.has(EventKind::Held, Check::Clock));
    assert_eq!(rig.mode(), ArmMode::Holding);
    assert!(rig.velocities(from).last().unwrap().amax() < 1e-4);
    let chunk = rig.chunk(ActionSpace::Ee7, steps(5, INWARD));
    assert!(
        rig.supervisor.on_chunk(chunk, rig.now).is_err(),
        "the heartbeat has to come anew"
    );
}

#[test]
fn a_state_that_is_no_number_counts_as_none() {
    let mut rig = moving();
    rig.drop_states = true;
    for _ in 0..100 {
        rig.supervisor.on_state(Joints::repeat(f64::NAN), rig.now.ros, rig.now);
        rig.tick();
    }
    assert_eq!(rig.mode(), ArmMode::Fault);
    assert!(rig.has(EventKind::Refused, Check::Finite));
    assert_eq!(rig.status().nonfinite, 0);
}
