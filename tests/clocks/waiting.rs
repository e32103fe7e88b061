//! Tests of what is waited for and paced: all of it in monotonic time.

use thinkvla::contract::ActionSpace;
use thinkvla::control::event::Check;
use thinkvla::supervisor::{ArmMode, MoveProgress};

use super::arm_rig::{Rig, config, steps};
use super::{CLOCKS, INWARD, RosClock, moving_home, until};

#[test]
fn a_lost_state_is_noticed_in_steady_time() {
    for clock in CLOCKS {
        let mut rig = moving_home();
        rig.drop_states = true;
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
        let reports = rig.events.iter().filter(|event| event.check == Check::State);
        assert_eq!(reports.count(), 3, "{clock:?}");
    }
}
