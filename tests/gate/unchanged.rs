//! Tests of commands on the limits: they pass unchanged.

use thinkvla::control::arm::{Arm, CommandSource, JointCommand, RecordingArm};
use thinkvla::control::gate::Gate;
use thinkvla::types::Joints;
use thinkvla::types::time::{Now, Steady};

use super::{gate, ready, shipped, tool};

/// Sends each position of `path` and asserts that it is not changed.
#[track_caller]
fn passes_unchanged(gate: &mut Gate<RecordingArm>, path: impl IntoIterator<Item = Joints>) {
    for positions in path {
        gate.watchdog.state_received(Steady(0));
        gate.watchdog.heartbeat_received(Steady(0));
        let source = CommandSource::NamedMove;
        gate.command(&JointCommand { positions, source }, Steady(0)).unwrap();
        assert_eq!(gate.motion().position, positions);
    }
    let events = gate.events.drain(Now::default());
    assert!(events.is_empty() && gate.counters().clamps == 0, "{events:?}");
}

#[test]
fn what_stands_exactly_on_a_limit_passes_unchanged() {
    let mut config = shipped();
    config.limits.step_rad = 0.0188;
    // Joint 7 at its largest acceleration up to its largest velocity and step, and down again, to the end of its range.
    let mut velocities: Vec<f64> = (1..=18).map(|k| 0.1 * f64::from(k)).collect();
    velocities.extend([1.88; 20]);
    velocities.extend((0..=18).rev().map(|k| 0.1 * f64::from(k)));
    for end in [6.23, -6.23_f64] {
        let mut start = ready();
        start[6] = end - velocities.iter().sum::<f64>() * 0.01 * end.signum();
        let mut at = start;
        let mut path: Vec<Joints> = velocities
            .iter()
            .map(|velocity| {
                at[6] += velocity * 0.01 * end.signum();
                at
            })
            .collect();
        path.last_mut().unwrap()[6] = end;
        passes_unchanged(&mut gate(&config, start).unwrap(), path);
    }
}

#[test]
fn a_tool_that_fills_its_box_at_its_full_speed_on_the_table_passes_unchanged() {
    let mut config = shipped();
    let mut turned = ready();
    turned[0] += 0.0006;
    let (first, last) = (tool(&config, &ready()), tool(&config, &turned));
    config.workspace.tool_min_m = first.coords.inf(&last.coords).into();
    config.workspace.tool_max_m = first.coords.sup(&last.coords).into();
    config.workspace.table_height_m = first.z - config.workspace.tool_clearance_m;
    config.limits.tool_speed_m_s = (last - first).norm() / config.period();
    passes_unchanged(&mut gate(&config, ready()).unwrap(), [turned, turned, ready(), ready()]);
}
