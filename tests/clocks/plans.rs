//! Tests of plans and observations, whose times are ROS times.

use thinkvla::contract::{ActionSpace, Reference};
use thinkvla::control::event::{Check, EventKind};
use thinkvla::supervisor::ArmMode;
use thinkvla::types::time::{Steady, Time};

use super::arm_rig::{PERIOD, Rig, config, ready, steps};
use super::{CLOCKS, INWARD, RosClock, until};

#[test]
fn a_plan_once_taken_is_followed_and_ended_in_steady_time() {
    let path = |clock: RosClock| {
        let mut rig = Rig::armed();
        rig.follow(8, INWARD);
        clock.begin(&mut rig);
        let ended = until(&mut rig, ArmMode::Holding, 2.0);
        assert_eq!(rig.status().underruns, 1);
        (ended, rig.sent().to_vec())
    };
    for clock in CLOCKS.into_iter().filter(|clock| clock.is_followed()) {
        assert_eq!(path(clock), path(CLOCKS[0]), "{clock:?}");
    }
}

#[test]
fn a_plan_is_not_followed_for_ever_on_a_slow_clock() {
    let mut rig = Rig::armed();
    rig.rate = 0.1;
    rig.follow(100, [-0.0005, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
    rig.run(3.9);
    assert_eq!(rig.mode(), ArmMode::Executing);
    until(&mut rig, ArmMode::Holding, 0.3);
    assert!(rig.has(EventKind::Held, Check::Fresh));
}

#[test]
fn a_plan_whose_end_is_not_reached_is_given_up_in_steady_time() {
    for rate in [0.1, 1.0, 10.0] {
        let mut slow = config();
        slow.limits.tool_speed_m_s = 0.05;
        let mut rig = Rig::armed_with(slow);
        rig.rate = rate;
        let mut chunk = rig.chunk(ActionSpace::Ee7, steps(5, [-0.03, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]));
        chunk.step_period = 0.05;
        rig.supervisor.on_chunk(chunk, rig.now).unwrap();
        let ended = until(&mut rig, ArmMode::Braking, 1.3);
        assert!((ended - 1.25).abs() < 0.02, "rate {rate}: {ended}");
    }
}

#[test]
fn a_jump_or_a_standstill_ends_the_plan_inside_the_limits_and_says_so() {
    for clock in CLOCKS.into_iter().filter(|clock| !clock.is_followed()) {
        let mut rig = Rig::armed();
        rig.follow(20, INWARD);
        rig.run(0.5);
        let from = rig.sent().len() - 2;
        clock.begin(&mut rig);
        let noticed = until(&mut rig, ArmMode::Braking, 0.12);
        assert!(clock.jump == 0.0 || noticed < 1.5 * PERIOD, "{clock:?}: {noticed}");
        until(&mut rig, ArmMode::Holding, 0.5);
        assert!(rig.has(EventKind::Held, Check::Clock), "{clock:?}");
        for pair in rig.velocities(from).windows(2) {
            assert!((pair[1] - pair[0]).amax() <= 0.1 + 1e-3, "{clock:?}");
        }
        let silent = rig.sent().len();
        rig.run(1.0);
        assert_eq!(rig.sent().len(), silent, "{clock:?}");
    }
}

#[test]
fn after_a_jump_an_observation_from_before_anchors_nothing() {
    for jump in [-2.4, -0.3, 0.2, 0.45] {
        for reference in [Reference::Commanded, Reference::Measured] {
            let mut rig = Rig::armed();
            rig.follow(20, [-0.01, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
            rig.run(1.0);
            let mut old = rig.chunk(ActionSpace::Ee7, steps(20, [0.0; 7]));
            old.reference = reference;
            rig.jump(jump);
            rig.run(0.3);
            let at = rig.joints;
            old.observed = rig.now.ros.offset_secs(-0.4);
            old.expires = rig.now.ros.offset_secs(1.0);
            let outcome = rig.supervisor.on_chunk(old, rig.now);
            assert_eq!(outcome.unwrap_err().check, Check::Fresh, "{jump} {reference:?}");
            let mut chunk = rig.chunk(ActionSpace::Ee7, steps(20, [0.0; 7]));
            chunk.reference = reference;
            rig.supervisor.on_chunk(chunk, rig.now).unwrap();
            rig.run(2.5);
            let gone = (rig.joints - at).amax();
            assert!(gone < 1e-6, "{jump} {reference:?}: went {gone} rad where nobody asked");
        }
    }
}

#[test]
fn a_chunk_on_a_clock_that_stands_still_is_refused() {
    let mut rig = Rig::armed();
    rig.rate = 0.0;
    rig.run(0.2);
    let chunk = rig.chunk(ActionSpace::Ee7, steps(5, INWARD));
    let refusal = rig.supervisor.on_chunk(chunk, rig.now).unwrap_err();
    assert_eq!(refusal.check, Check::Clock);
    assert!(refusal.message.contains("standing still"), "{refusal}");
}

#[test]
fn the_age_of_an_observation_is_told_in_ros_time() {
    for (rate, accepted) in [(0.1, true), (1.0, false), (10.0, false)] {
        let mut rig = Rig::armed();
        rig.rate = rate;
        let chunk = rig.chunk(ActionSpace::Ee7, steps(20, INWARD));
        rig.run(0.48);
        assert_eq!(
            rig.supervisor.on_chunk(chunk.clone(), rig.now).is_ok(),
            rate <= 1.0,
            "rate {rate}"
        );
        let mut rig = Rig::armed();
        rig.rate = rate;
        let mut chunk = rig.chunk(ActionSpace::Ee7, steps(20, INWARD));
        chunk.expires = chunk.observed.offset_secs(10.0);
        rig.run(0.52);
        assert_eq!(rig.supervisor.on_chunk(chunk, rig.now).is_ok(), accepted, "rate {rate}");
    }
}

#[test]
fn without_a_ros_clock_nothing_is_armed() {
    let mut rig = Rig::new(config());
    rig.now.ros = Time::default();
    rig.rate = 0.0;
    rig.run(0.3);
    let refusal = rig.supervisor.arm(rig.now).unwrap_err();
    assert_eq!(refusal.check, Check::Clock);
    assert!(refusal.message.contains("/clock"), "{refusal}");

    let mut rig = Rig::new(config());
    rig.rate = 0.0;
    rig.run(0.3);
    let refusal = rig.supervisor.arm(rig.now).unwrap_err();
    assert_eq!(refusal.check, Check::Clock);
    assert!(refusal.message.contains("standing still"), "{refusal}");
    rig.rate = 1.0;
    rig.run(0.1);
    rig.supervisor.arm(rig.now).unwrap();
}

#[test]
fn joint_states_without_a_stamp_arm_nothing() {
    let mut rig = Rig::new(config());
    rig.run(0.1);
    rig.supervisor.on_state(ready(), Time::default(), rig.now);
    let refusal = rig.supervisor.arm(rig.now).unwrap_err();
    assert_eq!(refusal.check, Check::Clock);
    assert!(refusal.message.contains("stamp"), "{refusal}");
    rig.run(0.1);
    rig.supervisor.arm(rig.now).unwrap();
}

#[test]
fn events_carry_ros_time() {
    let mut rig = Rig::new(config());
    rig.now.steady = Steady::from_secs_f64(77.0);
    rig.supervisor.on_malformed_state("no state", rig.now);
    let stamp = rig.now.ros;
    rig.run(0.05);
    assert!(rig.events[0].time.seconds_since(stamp).abs() < PERIOD + 1e-9);
}
