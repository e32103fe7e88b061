//! Tests of targets that cannot be reached at once: the arm goes there within its limits, or as near as it may.

use thinkvla::control::arm::{Arm, CommandSource, JointCommand, RecordingArm};
use thinkvla::control::event::{Check, EventKind};
use thinkvla::control::gate::{Gate, condition_number};
use thinkvla::control::kinematics::Rm75;
use thinkvla::types::Joints;
use thinkvla::types::time::{Now, Steady};

use super::{ROUNDING, gate, outside, ready, shipped, tool};

/// Commands `target` once a period for `seconds`.
fn hold_target(gate: &mut Gate<RecordingArm>, target: Joints, seconds: f64) {
    let mut now = Steady(0);
    for _ in 0..(seconds / 0.01) as usize {
        now = now.offset_secs(0.01);
        gate.watchdog.state_received(now);
        gate.watchdog.heartbeat_received(now);
        gate.command(
            &JointCommand {
                positions: target,
                source: CommandSource::NamedMove,
            },
            now,
        )
        .unwrap();
    }
}

#[test]
fn a_far_target_is_reached_without_running_past_it() {
    let mut gate = gate(&shipped(), ready()).unwrap();
    let mut target = ready();
    target[0] += 0.5;
    target[6] -= 1.0;
    hold_target(&mut gate, target, 3.0);
    assert!((gate.motion().position - target).amax() < 1e-9);
    assert!(gate.motion().is_at_rest());
    let furthest = gate.arm().commands.iter().map(|(_, q)| q[0]).fold(f64::MIN, f64::max);
    assert!(furthest < target[0] + 2e-3, "{furthest}");
    assert!(gate.counters().clamps > 10);
}

#[test]
fn a_target_that_moves_on_is_caught_up_with_and_then_passes_unchanged() {
    let mut gate = gate(&shipped(), ready()).unwrap();
    let target = |tick: u32| {
        let mut target = ready();
        target[6] += 0.5 + 0.003 * f64::from(tick);
        target
    };
    let send = |gate: &mut Gate<RecordingArm>, ticks: std::ops::Range<u32>| {
        for tick in ticks {
            gate.watchdog.state_received(Steady(0));
            gate.watchdog.heartbeat_received(Steady(0));
            let (positions, source) = (target(tick), CommandSource::NamedMove);
            gate.command(&JointCommand { positions, source }, Steady(0)).unwrap();
        }
    };
    send(&mut gate, 0..200);
    let (clamps, speeds) = (gate.counters().clamps, gate.arm().commands.windows(2));
    let fastest = speeds.map(|pair| (pair[1].1 - pair[0].1)[6] / 0.01).fold(0.0, f64::max);
    assert!((1.0..=1.88 + ROUNDING).contains(&fastest), "{fastest}");
    send(&mut gate, 200..300);
    assert_eq!(gate.motion().position, target(299));
    assert_eq!(gate.counters().clamps, clamps);
}

#[test]
fn a_tool_asked_to_go_faster_than_it_may_goes_at_its_limit() {
    let mut config = shipped();
    config.limits.tool_speed_m_s = 0.15;
    let mut gate = gate(&config, ready()).unwrap();
    let mut target = ready();
    target[0] += 0.8;
    hold_target(&mut gate, target, 1.2);
    let at: Vec<_> = gate
        .arm()
        .commands
        .iter()
        .map(|(_, joints)| tool(&config, joints))
        .collect();
    let speeds: Vec<f64> = at.windows(2).map(|pair| (pair[1] - pair[0]).norm() / 0.01).collect();
    let cruise = &speeds[10..speeds.len() - 10];
    let expected = 0.999 * 0.15;
    assert!(cruise.iter().all(|speed| (speed - expected).abs() < 1e-5), "{cruise:?}");
}

#[test]
fn a_wall_is_approached_until_it_is_touched() {
    let mut config = shipped();
    config.workspace.tool_max_m[1] = 0.1;
    let mut gate = gate(&config, ready()).unwrap();
    let mut target = ready();
    target[0] += 0.8;
    hold_target(&mut gate, target, 4.0);
    let left = 0.1 - tool(&config, &gate.motion().position).y;
    assert!((-1e-8..2e-6).contains(&left), "{left} m are left");
}

#[test]
fn a_target_beyond_a_joint_limit_is_approached_up_to_the_margin() {
    let mut gate = gate(&shipped(), ready()).unwrap();
    let mut target = ready();
    target[6] = 9.0;
    hold_target(&mut gate, target, 8.0);
    assert!(
        (gate.motion().position[6] - 6.23).abs() < 1e-6,
        "{}",
        gate.motion().position[6]
    );
    let events = gate.events.drain(Now::default());
    let limit = events.iter().find(|event| event.check == Check::JointLimit).unwrap();
    assert_eq!(limit.kind, EventKind::Clamped);
    assert!(
        limit.message.contains("joint 7") && limit.message.contains("6.2300"),
        "{}",
        limit.message
    );
}

#[test]
fn the_tool_stops_short_of_the_table() {
    let mut gate = gate(&shipped(), ready()).unwrap();
    let mut target = ready();
    target[1] += 0.9;
    hold_target(&mut gate, target, 4.0);
    assert!(gate.motion().is_at_rest());
    assert_eq!(outside(&shipped(), &gate.motion().position), None);
    let height = tool(&shipped(), &gate.motion().position).z;
    assert!(height < 0.03, "it goes as far as it may: {height}");
    assert!(
        gate.events
            .drain(Now::default())
            .iter()
            .any(|event| event.check == Check::Table)
    );
}

#[test]
fn motion_into_a_singularity_slows_down_gradually_and_motion_out_does_not() {
    let mut config = shipped();
    config.workspace.tool_max_m = [0.9, 0.9, 1.2];
    let stretched = |elbow: f64| Joints::from([0.0, 20.0, 0.0, elbow, 0.0, 60.0, 0.0].map(f64::to_radians));
    let mut gate = gate(&config, stretched(60.0)).unwrap();
    hold_target(&mut gate, stretched(0.0), 6.0);
    let number = condition_number(&Rm75::b(), &gate.motion().position);
    assert!((60.0..250.0).contains(&number), "{number}");
    assert!(
        gate.events
            .drain(Now::default())
            .iter()
            .any(|event| event.check == Check::Singularity)
    );
    let inwards: Vec<f64> = gate
        .arm()
        .commands
        .windows(2)
        .map(|pair| (pair[1].1 - pair[0].1).amax())
        .collect();
    let late = inwards.iter().rev().take(50).fold(0.0, |a: f64, b| a.max(*b));
    assert!(late < 1e-3, "crawls at the end: {late}");
    let before = gate.arm().commands.len();
    hold_target(&mut gate, stretched(60.0), 2.0);
    let outwards = gate.arm().commands[before..]
        .windows(2)
        .map(|pair| (pair[1].1 - pair[0].1).amax());
    assert!(outwards.fold(0.0, f64::max) > 0.005, "no crawling on the way out");
    assert!((gate.motion().position - stretched(60.0)).amax() < 1e-6);
}
