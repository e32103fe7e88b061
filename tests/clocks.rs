//! Tests of clock jumps: waiting and pacing use monotonic time whatever the ROS clock does, and no time stamp in ROS time
//! is misinterpreted after a jump.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // helpers of tests may panic

#[path = "support/arm_rig.rs"]
mod arm_rig;

use arm_rig::{PERIOD, Rig, config, ready, steps};
use thinkvla::contract::{ActionSpace, Reference};
use thinkvla::control::event::{Check, EventKind};
use thinkvla::control::lease::Priority;
use thinkvla::supervisor::{ArmMode, MoveProgress};
use thinkvla::types::Joints;
use thinkvla::types::time::{Steady, Time};

/// Behaviour of a ROS clock from some moment on.
#[derive(Debug, Clone, Copy)]
struct RosClock {
    /// Jump at that moment (s).
    jump: f64,
    /// Rate relative to real time.
    rate: f64,
}

const CLOCKS: [RosClock; 8] = [
    RosClock { jump: 0.0, rate: 1.0 },
    RosClock {
        jump: -3600.0,
        rate: 1.0,
    },
    RosClock { jump: -0.3, rate: 1.0 },
    RosClock { jump: 0.3, rate: 1.0 },
    RosClock {
        jump: 3600.0,
        rate: 1.0,
    },
    RosClock { jump: 0.0, rate: 0.0 },
    RosClock { jump: 0.0, rate: 0.1 },
    RosClock { jump: 0.0, rate: 10.0 },
];

impl RosClock {
    fn begin(self, rig: &mut Rig) {
        rig.jump(self.jump);
        rig.rate = self.rate;
    }

    /// Returns whether the executor follows chunks on this clock.
    fn is_followed(self) -> bool {
        self.jump == 0.0 && self.rate > 0.0
    }
}

const INWARD: [f64; 7] = [-0.006, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0];

/// An arm on its way to `home` by a named move, which does not depend on the ROS clock.
fn moving_home() -> Rig {
    let mut rig = Rig::armed();
    rig.supervisor.move_named("home", 0.5, rig.lease, rig.now).unwrap();
    rig.run(0.4);
    rig
}

/// Time until the arm is in `mode` (s), with the resolution of a tick.
fn until(rig: &mut Rig, mode: ArmMode, limit: f64) -> f64 {
    let from = rig.now.steady;
    while rig.mode() != mode {
        rig.tick();
        let waited = rig.now.steady.seconds_since(from);
        assert!(waited <= limit, "not {mode} within {limit} s but {}", rig.mode());
    }
    rig.now.steady.seconds_since(from)
}

#[test]
fn a_lost_state_is_noticed_in_steady_time() {
    for clock in CLOCKS {
        let mut rig = moving_home();
        rig.deaf = true;
        clock.begin(&mut rig);
        let noticed = until(&mut rig, ArmMode::Braking, 0.1);
        assert!(noticed > 0.075, "{clock:?}: {noticed}");
        until(&mut rig, ArmMode::Fault, 0.5);
    }
}

#[test]
fn a_frozen_state_is_noticed_in_steady_time() {
    for clock in CLOCKS {
        let mut rig = moving_home();
        rig.frozen = true;
        clock.begin(&mut rig);
        let noticed = until(&mut rig, ArmMode::Braking, 0.55);
        assert!(noticed > 0.45, "{clock:?}: {noticed}");
    }
}

#[test]
fn a_lost_heartbeat_is_noticed_in_steady_time() {
    for clock in CLOCKS {
        let mut rig = Rig::armed();
        rig.follow(20, INWARD);
        rig.run(0.5);
        rig.heartbeat = false;
        clock.begin(&mut rig);
        until(&mut rig, ArmMode::Braking, 0.1);
        rig.run(0.5);
        assert_eq!(rig.mode(), ArmMode::Holding, "{clock:?}");
        let chunk = rig.chunk(ActionSpace::Ee7, steps(5, INWARD));
        let refusal = rig.supervisor.on_chunk(chunk, rig.now).unwrap_err().to_string();
        assert!(refusal.contains("heartbeat"), "{clock:?}: {refusal}");
    }
}

#[test]
fn a_living_heartbeat_stays_one() {
    for clock in CLOCKS.into_iter().filter(|clock| clock.rate > 0.0) {
        let mut rig = Rig::armed();
        clock.begin(&mut rig);
        rig.run(0.3);
        rig.follow(5, INWARD);
        rig.run(0.2);
        assert_eq!(rig.mode(), ArmMode::Executing, "{clock:?}");
    }
}

#[test]
fn a_silent_holder_loses_the_lease_in_steady_time() {
    for clock in CLOCKS {
        let mut rig = Rig::armed();
        rig.heartbeat = false;
        clock.begin(&mut rig);
        rig.run(0.9);
        assert_eq!(rig.status().lease_source, "policy", "{clock:?}");
        rig.run(0.2);
        assert_eq!(rig.status().lease_source, "", "{clock:?}");
    }
}

#[test]
fn a_stop_is_repeated_and_can_be_reset_in_steady_time() {
    for clock in CLOCKS {
        let mut rig = moving_home();
        rig.supervisor.driver_mut().now = rig.now.steady;
        let stopped = rig.now.steady;
        rig.supervisor.stop("button", rig.now).unwrap();
        clock.begin(&mut rig);
        rig.run(0.1);
        let delays: Vec<i64> = rig.stops().iter().map(|(time, _)| time.0 - stopped.0).collect();
        assert_eq!(delays, [0, 20_000_000, 40_000_000], "{clock:?}");
        rig.supervisor.reset_fault(rig.now).unwrap();
    }
}

#[test]
fn the_gripper_is_paced_in_steady_time() {
    for clock in CLOCKS.into_iter().filter(|clock| clock.rate > 0.0) {
        let mut rig = Rig::armed();
        let opening = |opening: f64| steps(20, [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, opening]);
        let chunk = rig.chunk(ActionSpace::Ee7, opening(1.0));
        rig.supervisor.on_chunk(chunk, rig.now).unwrap();
        rig.run(0.1);
        clock.begin(&mut rig);
        rig.run(0.02);
        let mut other = 0.0;
        for _ in 0..50 {
            let mut chunk = rig.chunk(ActionSpace::Ee7, opening(other));
            chunk.step_period = 1.0;
            rig.supervisor.on_chunk(chunk, rig.now).unwrap();
            rig.run(0.02);
            other = 1.0 - other;
        }
        let grips = &rig.supervisor.driver().grips;
        assert!(
            (8..=13).contains(&grips.len()),
            "{clock:?}: {} in a second",
            grips.len()
        );
        for pair in grips.windows(2) {
            assert!(pair[1].0.seconds_since(pair[0].0) > 0.099, "{clock:?}");
        }
    }
}

#[test]
fn a_named_move_arrives_in_steady_time() {
    let arrival = |clock: RosClock| {
        let mut rig = moving_home();
        clock.begin(&mut rig);
        let after = until(&mut rig, ArmMode::Holding, 10.0);
        assert_eq!(rig.supervisor.move_progress(), Some(MoveProgress::Done), "{clock:?}");
        (after, rig.joints)
    };
    for clock in CLOCKS {
        assert_eq!(arrival(clock), arrival(CLOCKS[0]), "{clock:?}");
    }
}

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
fn rates_and_repeated_events_are_counted_in_steady_time() {
    for clock in CLOCKS {
        let mut rig = moving_home();
        clock.begin(&mut rig);
        rig.run(0.3);
        assert!((rig.status().command_rate - 100.0).abs() < 1.0, "{clock:?}");
        let mut rig = Rig::new(config());
        clock.begin(&mut rig);
        rig.run(0.5);
        rig.events.clear();
        for _ in 0..250 {
            rig.supervisor.on_malformed_state("no state", rig.now);
            rig.tick();
        }
        let told = rig.events.iter().filter(|event| event.check == Check::State);
        assert_eq!(told.count(), 3, "{clock:?}");
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
    rig.deaf = true;
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
    rig.deaf = true;
    until(&mut rig, ArmMode::Braking, 0.1);
    rig.deaf = false;
    stall(&mut rig, 0.5);
    assert_eq!(rig.mode(), ArmMode::Fault);
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
