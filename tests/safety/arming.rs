//! Tests of arming and disarming: without it nothing moves.

use thinkvla::contract::ActionSpace;
use thinkvla::control::event::Check;
use thinkvla::control::lease::Priority;
use thinkvla::supervisor::ArmMode;
use thinkvla::types::Joints;

use super::arm_rig::{Rig, config, steps};
use super::{INWARD, braking_delay, moving};

#[test]
fn an_arm_that_rests_outside_its_limits_is_not_armed() {
    let mut rig = Rig::new(config());
    rig.joints[3] = 2.34;
    rig.run(0.1);
    let refusal = rig.supervisor.arm(rig.now).unwrap_err();
    assert_eq!(refusal.check, Check::JointLimit);
    assert!(
        refusal.message.contains("joint 4") && refusal.message.contains("2.3050"),
        "{refusal}"
    );
}

#[test]
fn disarmed_means_no_command_whatever_is_asked() {
    let mut rig = Rig::new(config());
    rig.acquire("policy", Priority::Policy);
    rig.run(0.2);
    let chunk = rig.chunk(ActionSpace::Ee7, steps(5, INWARD));
    assert_eq!(rig.supervisor.on_chunk(chunk, rig.now).unwrap_err().check, Check::Mode);
    assert_eq!(
        rig.supervisor
            .move_named("home", 0.5, rig.lease, rig.now)
            .unwrap_err()
            .check,
        Check::Mode
    );
    rig.run(0.5);
    assert!(rig.sent().is_empty() && rig.supervisor.driver().grips.is_empty());
}

#[test]
fn disarming_brakes_inside_the_limits_first() {
    let mut rig = moving();
    rig.supervisor.disarm(rig.now);
    assert_eq!(rig.mode(), ArmMode::Braking);
    let delay = braking_delay(&mut rig);
    assert!(delay <= 0.02, "{delay}");
    assert_eq!(rig.mode(), ArmMode::Disarmed);
}

#[test]
fn in_a_dry_run_everything_is_computed_and_nothing_is_sent() {
    let mut config = config();
    config.dry_run = true;
    let mut rig = Rig::new(config);
    rig.run(0.1);
    rig.supervisor.arm(rig.now).unwrap();
    rig.acquire("policy", Priority::Policy);
    rig.follow(20, INWARD);
    rig.run(1.5);
    let status = rig.status();
    assert_eq!(status.mode, ArmMode::Executing);
    assert!(status.dry_run && status.commands > 140);
    assert!((status.command_rate - 100.0).abs() < 1.0);
    assert!((status.commanded_pose.translation.x - status.measured_pose.translation.x) < -0.08);
    rig.supervisor.stop("button", rig.now).unwrap();
    rig.run(0.1);
    assert!(rig.sent().is_empty() && rig.stops().is_empty() && rig.supervisor.driver().grips.is_empty());
}

#[test]
fn an_arm_that_was_just_seen_for_the_first_time_is_not_armed() {
    let mut rig = Rig::new(config());
    rig.tick();
    let refusal = rig.supervisor.arm(rig.now).unwrap_err();
    assert_eq!(refusal.check, Check::State);
    assert!(refusal.message.contains("less than 50 ms"), "{refusal}");
    rig.run(0.06);
    rig.supervisor.arm(rig.now).unwrap();
}

#[test]
fn an_arm_that_moves_is_not_armed() {
    let mut rig = Rig::new(config());
    for _ in 0..20 {
        rig.joints += Joints::repeat(0.002);
        rig.tick();
    }
    let refusal = rig.supervisor.arm(rig.now).unwrap_err();
    assert_eq!(refusal.check, Check::State);
    assert!(refusal.message.contains("joints moving"), "{refusal}");
    rig.run(0.1);
    rig.supervisor.arm(rig.now).unwrap();
}
