//! Property tests of the gate: every command that leaves it keeps every limit, and commands within the limits are not
//! changed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // helpers of tests may panic

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use nalgebra::{Point3, Vector3};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use thinkvla::control::arm::{Arm, ArmError, CommandSource, JointCommand, RecordingArm};
use thinkvla::control::config::ArmConfig;
use thinkvla::control::event::{Check, EventKind};
use thinkvla::control::gate::{Braking, CommandedMotion, Gate, condition_number};
use thinkvla::control::kinematics::Rm75;
use thinkvla::types::Joints;
use thinkvla::types::time::{Now, Steady};

/// Number of command sequences, of at least ten commands each on average. `PROPTEST_CASES` in the environment reduces it
/// for runs with mutants.
const SEQUENCES: u32 = 10_000;

/// Tolerance for rounding in comparisons.
const ROUNDING: f64 = 1e-6;

fn shipped() -> ArmConfig {
    ArmConfig::parse(include_str!("../config/robots/rm75.yaml")).unwrap()
}

fn ready() -> Joints {
    shipped().named("ready").unwrap()
}

/// Parameter sets, in each of which another limit is the active one somewhere.
fn configurations() -> Vec<ArmConfig> {
    let mut small_steps = shipped();
    small_steps.limits.step_rad = 0.006;
    let mut slow_tool = shipped();
    slow_tool.limits.tool_speed_m_s = 0.15;
    let mut shy = shipped();
    shy.singularity.slow = 16.0;
    shy.singularity.halt = 24.0;
    let mut high_table = shipped();
    high_table.workspace.table_height_m = 0.12;
    let mut configurations = vec![shipped(), small_steps, slow_tool, shy, high_table];
    for config in &mut configurations {
        // Short braking keeps a hundred thousand cases fast.
        config.limits.acceleration_rad_s2 = [24.0, 22.0, 26.0, 24.0, 30.0, 28.0, 32.0];
        config.limits.velocity_rad_s = [1.7, 1.9, 1.8, 1.75, 2.1, 2.0, 2.2];
        config.check().unwrap();
    }
    configurations
}

fn gate(config: &ArmConfig, start: Joints) -> Option<Gate<RecordingArm>> {
    let mut gate = Gate::new(RecordingArm::default(), config, config.arm.kinematics(), start);
    gate.take_up(start).ok()?;
    Some(gate)
}

/// Checks the limits independently of the gate, from parameters and kinematics; returns the first that is broken.
fn broken_limit(config: &ArmConfig, last: &CommandedMotion, next: &Joints) -> Option<String> {
    let limits = &config.limits;
    let period = config.period();
    for i in 0..7 {
        let q = next[i];
        if !q.is_finite() {
            return Some(format!("joint {i} is {q}"));
        }
        let (low, high) = (
            limits.lower_rad[i] + limits.margin_rad,
            limits.upper_rad[i] - limits.margin_rad,
        );
        if q < low - ROUNDING || q > high + ROUNDING {
            return Some(format!("joint {i} at {q} outside {low} .. {high}"));
        }
        let step = q - last.position[i];
        if step.abs() > limits.step_rad + ROUNDING {
            return Some(format!("joint {i} steps {step}"));
        }
        let velocity = step / period;
        if velocity.abs() > limits.velocity_rad_s[i] + ROUNDING {
            return Some(format!("joint {i} moves at {velocity}"));
        }
        let acceleration = (velocity - last.velocity[i]) / period;
        if acceleration.abs() > limits.acceleration_rad_s2[i] + ROUNDING / period {
            return Some(format!("joint {i} accelerates at {acceleration}"));
        }
    }
    let (before, after) = (tool(config, &last.position), tool(config, next));
    let speed = (after - before).norm() / period;
    if speed > limits.tool_speed_m_s + ROUNDING {
        return Some(format!("tool moves at {speed}"));
    }
    outside(config, next)
}

fn tool(config: &ArmConfig, joints: &Joints) -> Point3<f64> {
    Rm75::b().forward(joints) * Point3::from(config.tool.offset())
}

fn outside(config: &ArmConfig, joints: &Joints) -> Option<String> {
    let space = &config.workspace;
    let at = tool(config, joints);
    for axis in 0..3 {
        if at[axis] < space.tool_min_m[axis] - ROUNDING || at[axis] > space.tool_max_m[axis] + ROUNDING {
            return Some(format!("tool at {at}"));
        }
    }
    let flange = Rm75::b().forward(joints);
    let points = Rm75::b().points(
        joints,
        &nalgebra::Isometry3::from_parts(Vector3::from(config.tool.offset_m).into(), Default::default()),
    );
    let lowest_link = points.elbow.z.min(points.wrist.z).min(points.flange.z);
    if lowest_link < space.table_height_m + space.link_clearance_m - ROUNDING {
        return Some(format!("a link {lowest_link} above the base"));
    }
    let lowest_tool = config.tool.points().iter().map(|p| (flange * p).z).fold(at.z, f64::min);
    (lowest_tool < space.table_height_m + space.tool_clearance_m - ROUNDING)
        .then(|| format!("the tool {lowest_tool} above the base"))
}

/// Returns whether moving to `next` and braking from there keeps every limit with some margin.
fn clearly_feasible(config: &ArmConfig, last: &CommandedMotion, next: &Joints) -> bool {
    let period = config.period();
    if broken_limit(config, last, next).is_some() {
        return false;
    }
    let kinematics = Rm75::b();
    let (here, there) = (
        condition_number(&kinematics, &last.position),
        condition_number(&kinematics, next),
    );
    let velocity = (next - last.position) / period;
    if there > here && there > config.singularity.slow {
        let span = config.singularity.halt - config.singularity.slow;
        let share = ((config.singularity.halt - there) / span).max(0.0);
        if velocity.component_div(&config.limits.velocity()).amax() > share {
            return false;
        }
    }
    let change = config.limits.acceleration() * period;
    let commands = velocity.component_div(&change).amax().max(1.0);
    let mut motion = CommandedMotion {
        position: *next,
        velocity,
    };
    for k in 1..=commands.ceil() as usize {
        let slower = velocity * (1.0 - k as f64 / commands).max(0.0);
        let position = motion.position + slower * period;
        if broken_limit(config, &motion, &position).is_some() {
            return false;
        }
        motion = CommandedMotion {
            position,
            velocity: slower,
        };
    }
    true
}

/// A command to the gate, relative to its motion.
#[derive(Debug, Clone)]
enum Ask {
    /// A change of velocity, as shares of the acceleration limits.
    Steer([f64; 7]),
    /// A position inside or outside the joint ranges, as shares of them.
    Jump([f64; 7]),
    /// A velocity, as shares of the limits.
    Cruise([f64; 7]),
    /// A non-finite number.
    Nonsense(usize, f64),
}

fn ask() -> impl Strategy<Value = Ask> {
    let shares = |range: f64| prop::array::uniform7(-range..range);
    prop_oneof![
        6 => shares(1.0).prop_map(Ask::Steer),
        2 => shares(1.3).prop_map(Ask::Jump),
        4 => shares(1.6).prop_map(Ask::Cruise),
        1 => (0..7usize, prop_oneof![Just(f64::NAN), Just(f64::INFINITY), Just(f64::NEG_INFINITY)])
            .prop_map(|(joint, value)| Ask::Nonsense(joint, value)),
    ]
}

fn target(ask: &Ask, motion: &CommandedMotion, config: &ArmConfig) -> Joints {
    let period = config.period();
    match ask {
        Ask::Steer(shares) => {
            let change = config.limits.acceleration().component_mul(&Joints::from(*shares)) * period;
            motion.position + (motion.velocity + change) * period
        }
        Ask::Jump(shares) => Joints::from(config.limits.upper_rad).component_mul(&Joints::from(*shares)),
        Ask::Cruise(shares) => {
            motion.position + config.limits.velocity().component_mul(&Joints::from(*shares)) * period
        }
        Ask::Nonsense(joint, value) => {
            let mut target = motion.position;
            target[*joint] = *value;
            target
        }
    }
}

#[derive(Default)]
struct Tally {
    commands: Cell<u64>,
    feasible: Cell<u64>,
    unchanged: Cell<u64>,
    bound: RefCell<BTreeMap<Check, u64>>,
}

fn add(cell: &Cell<u64>) {
    cell.set(cell.get() + 1);
}

/// Sends a sequence of commands to the gate, checks everything that leaves it, and ends by braking.
fn play(config: &ArmConfig, mut gate: Gate<RecordingArm>, asks: &[Ask], tally: &Tally) -> Result<(), TestCaseError> {
    // Far apart, so that no event is suppressed as a repetition; the gate uses its own period, not this.
    let mut now = Steady(0);
    for ask in asks {
        now = now.offset_secs(2.0);
        gate.watchdog.state_received(now);
        gate.watchdog.heartbeat_received(now);
        let before = *gate.motion();
        let asked = target(ask, &before, config);
        let feasible = asked.iter().all(|q| q.is_finite()) && clearly_feasible(config, &before, &asked);
        let sent = gate.arm().commands.len();
        let outcome = gate.command(
            &JointCommand {
                positions: asked,
                source: CommandSource::NamedMove,
            },
            now,
        );
        add(&tally.commands);
        if let Some((_, next)) = gate.arm().commands.get(sent) {
            prop_assert_eq!(broken_limit(config, &before, next), None);
            prop_assert_eq!(gate.motion().position, *next);
        }
        if let Ask::Nonsense(..) = ask {
            let refused = matches!(
                &outcome,
                Err(ArmError::Refused {
                    check: Check::Finite,
                    ..
                })
            );
            prop_assert!(refused, "{:?}", outcome);
        }
        if feasible {
            add(&tally.feasible);
            if gate.motion().position == asked {
                add(&tally.unchanged);
            }
        }
        for event in gate.events.drain(Now::default()) {
            prop_assert_ne!(event.check, Check::Verify, "{}", event.message);
            *tally.bound.borrow_mut().entry(event.check).or_default() += 1;
        }
    }
    for _ in 0..200 {
        let before = *gate.motion();
        match gate.brake(CommandSource::NamedMove, now) {
            Ok(Braking::AtRest) => return Ok(()),
            Ok(Braking::Moving) => prop_assert_eq!(broken_limit(config, &before, &gate.motion().position), None),
            Err(error) => prop_assert!(false, "{}", error),
        }
    }
    Err(TestCaseError::fail("braking does not end"))
}

#[test]
fn nothing_outside_any_limit_leaves_in_a_hundred_thousand_commands() {
    let configurations = configurations();
    let tally = Tally::default();
    let strategy = (
        0..configurations.len(),
        prop::array::uniform7(-0.9..0.9f64),
        prop::collection::vec(ask(), 20..30),
    );
    let cases = std::env::var_os("PROPTEST_CASES").map_or(SEQUENCES, |_| Config::default().cases);
    let wanted = 10 * u64::from(cases);
    let mut runner = TestRunner::new(Config {
        cases,
        max_shrink_iters: 200,
        failure_persistence: None,
        ..Config::default()
    });
    let outcome = runner.run(&strategy, |(which, away, asks)| {
        if tally.commands.get() >= wanted + wanted / 10 {
            return Ok(());
        }
        let config = &configurations[which];
        match gate(config, ready() + Joints::from(away)) {
            Some(gate) => play(config, gate, &asks, &tally),
            None => Ok(()),
        }
    });
    outcome.unwrap();
    let commands = tally.commands.get();
    assert!(commands >= wanted, "{commands}");
    assert!(
        tally.feasible.get() > commands / 10,
        "too few feasible inputs to say anything"
    );
    assert!(tally.unchanged.get() as f64 >= 0.99 * tally.feasible.get() as f64);
    for check in [
        Check::Finite,
        Check::Workspace,
        Check::Table,
        Check::JointLimit,
        Check::Step,
        Check::Velocity,
        Check::Acceleration,
        Check::ToolSpeed,
        Check::Singularity,
    ] {
        let bound = tally.bound.borrow().get(&check).copied().unwrap_or(0);
        assert!(bound * 100 >= commands, "{check} binds in {bound} of {commands}");
    }
}

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
    assert!(cruise.iter().all(|speed| (0.1497..0.15).contains(speed)), "{cruise:?}");
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
