//! Tests of what the gate refuses.

use thinkvla::control::arm::{Arm, CommandSource, JointCommand, RecordingArm};
use thinkvla::control::event::Check;
use thinkvla::control::gate::Gate;
use thinkvla::types::Joints;
use thinkvla::types::time::Steady;

use super::{gate, ready, shipped};

#[test]
fn a_command_without_signs_of_life_is_refused_and_the_arm_braked() {
    let config = shipped();
    let source = CommandSource::Chunk { observed: Steady(0) };
    let mut gate = gate(&config, ready()).unwrap();
    let at = |seconds: f64| Steady::from_secs_f64(seconds);
    let command = |gate: &mut Gate<RecordingArm>, seconds: f64| {
        let positions = gate.motion().position + Joints::repeat(0.0004);
        gate.command(&JointCommand { positions, source }, at(seconds))
    };
    for i in 1..=10 {
        let now = 0.01 * f64::from(i);
        gate.watchdog.state_received(at(now));
        gate.watchdog.heartbeat_received(at(now));
        command(&mut gate, now).unwrap();
    }
    assert!(!gate.motion().is_at_rest());
    // 80 ms count as fresh, more do not.
    gate.watchdog.state_received(at(0.18));
    assert!(command(&mut gate, 0.18).is_ok());
    gate.watchdog.state_received(at(0.19));
    let error = command(&mut gate, 0.19).unwrap_err().to_string();
    assert!(error.contains("heartbeat") && error.contains("0.090 s"), "{error}");
    assert!(gate.motion().is_at_rest(), "a slow arm stops in one command");
    gate.watchdog.heartbeat_received(at(0.28));
    let error = command(&mut gate, 0.28).unwrap_err().to_string();
    assert!(error.contains("joint state"), "{error}");
    gate.watchdog.state_received(at(4.5));
    gate.watchdog.heartbeat_received(at(4.5));
    let error = command(&mut gate, 4.5).unwrap_err().to_string();
    assert!(error.contains("observation"), "{error}");
    assert_eq!(gate.counters().refusals, 3);
}

#[test]
fn the_gripper_takes_numbers_only_and_stays_in_its_range() {
    let mut gate = gate(&shipped(), ready()).unwrap();
    gate.grip(1.7, Steady(1)).unwrap();
    gate.grip(-0.2, Steady(2)).unwrap();
    assert!(gate.grip(f64::NAN, Steady(3)).is_err());
    assert_eq!(gate.counters().refusals, 1);
    assert_eq!(gate.arm().grips, [(Steady(1), 1.0), (Steady(2), 0.0)]);
}

#[test]
fn an_arm_outside_its_limits_is_not_taken_up() {
    let config = shipped();
    let mut gate = Gate::new(RecordingArm::default(), &config, config.arm.kinematics(), ready());
    for (joint, value, check) in [
        (3, 2.34, Check::JointLimit),
        (1, 1.6, Check::Workspace),
        (0, f64::NAN, Check::Finite),
        (5, -2.2, Check::JointLimit),
    ] {
        let mut at = ready();
        at[joint] = value;
        assert_eq!(gate.take_up(at).unwrap_err().check, check, "joint {joint} at {value}");
    }
    assert_eq!(gate.motion().position, ready());
}
