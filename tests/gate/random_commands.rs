//! Property test: random commands, checked against the limits by other code than that of the gate.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use thinkvla::control::arm::{Arm, ArmError, CommandSource, JointCommand, RecordingArm};
use thinkvla::control::config::ArmConfig;
use thinkvla::control::event::Check;
use thinkvla::control::gate::{Braking, CommandedMotion, Gate, condition_number};
use thinkvla::control::kinematics::Rm75;
use thinkvla::types::Joints;
use thinkvla::types::time::{Now, Steady};

use super::{ROUNDING, gate, outside, ready, shipped, tool};

/// Number of command sequences, of at least ten commands each on average. `PROPTEST_CASES` in the environment reduces it
/// for runs with mutants.
const SEQUENCES: u32 = 10_000;

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
