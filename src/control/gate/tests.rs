use super::violation::slack;
use super::*;
use crate::control::arm::{CommandSource, RecordingArm};
use crate::types::time::Now;

fn config() -> ArmConfig {
    ArmConfig::parse(include_str!("../../../config/robots/rm75.yaml")).unwrap()
}

fn to(positions: Joints) -> JointCommand {
    JointCommand {
        positions,
        source: CommandSource::NamedMove,
    }
}

#[test]
fn what_only_the_final_check_finds_is_braked_instead_and_reported() {
    let config = config();
    let ready = config.named("ready").unwrap();
    let mut gate = Gate::new(RecordingArm::default(), &config, config.arm.kinematics(), ready);
    let spin = |velocity: f64| Joints::from([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, velocity * config.period()]);
    let mut asked = ready;
    for tick in 1..=10 {
        asked += spin(0.1 * f64::from(tick));
        gate.watchdog.state_received(Steady(0));
        gate.watchdog.heartbeat_received(Steady(0));
        gate.command(&to(asked), Steady(0)).unwrap();
    }
    // Only the verifier gets this limit, as if the earlier checks had missed the violation.
    gate.verifier.limits.velocity_rad_s = [1.05; 7];
    gate.command(&to(asked + spin(1.1)), Steady(0)).unwrap();
    assert!((gate.motion().position - (asked + spin(0.9))).amax() < 1e-12);
    assert!((gate.motion().velocity - spin(0.9) / config.period()).amax() < 1e-12);
    assert_eq!(gate.arm().commands.last().unwrap().1, gate.motion().position);
    let events = gate.events.drain(Now::default());
    let [event] = events.as_slice() else {
        panic!("{events:?}")
    };
    assert_eq!((event.kind, event.check), (EventKind::Fault, Check::Verify));
    assert!(event.message.contains("joint velocity 7"), "{}", event.message);
    assert_eq!(gate.counters().commands, 11);
}

#[test]
fn a_joint_that_is_outside_by_rounding_alone_is_inside() {
    let config = config();
    let ready = config.named("ready").unwrap();
    let gate = Gate::new(RecordingArm::default(), &config, config.arm.kinematics(), ready);
    let (lowest, highest) = (config.limits.lowest()[6], config.limits.highest()[6]);
    for (limit, tolerated) in [(lowest, lowest - slack(lowest)), (highest, highest + slack(highest))] {
        let mut joints = ready;
        joints[6] = tolerated;
        assert_eq!(gate.joint_violation(&joints), None);
        joints[6] = limit + 2.0 * (tolerated - limit);
        assert_eq!(gate.joint_violation(&joints).map(|found| found.limit), Some(limit));
    }
}
