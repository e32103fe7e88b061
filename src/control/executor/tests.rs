use super::*;
use crate::contract::{ActionSpace, Composition, Reference};
use crate::control::chunk::PhysicalActions;

fn config() -> ArmConfig {
    ArmConfig::parse(include_str!("../../../config/robots/rm75.yaml")).unwrap()
}

fn ready() -> Joints {
    config().named("ready").unwrap()
}

fn at(seconds: f64) -> Time {
    Time::from_secs_f64(100.0 + seconds)
}

/// Steady time of the same instant as `at(seconds)`.
fn steady(seconds: f64) -> Steady {
    Steady::from_secs_f64(7.0 + seconds)
}

fn both(seconds: f64) -> Now {
    Now {
        ros: at(seconds),
        steady: steady(seconds),
    }
}

/// Executor of an arm at rest in `ready`.
fn resting(seconds: f64) -> Executor {
    let mut executor = Executor::new(&config(), &*config().arm.kinematics());
    executor.restart(at(seconds), ready());
    executor.rest(ready(), steady(seconds));
    executor
}

/// Chunk of steps of joint 1 (rad), 0.1 s each.
fn chunk(observed: Time, reference: Reference, steps: &[f64]) -> ActionChunk {
    let values = steps
        .iter()
        .flat_map(|step| [*step, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0])
        .collect();
    ActionChunk {
        actions: PhysicalActions::new(ActionSpace::Joint8, values).unwrap(),
        composition: Composition::Sequential,
        reference,
        frame: String::new(),
        step_period: 0.1,
        observed,
        expires: observed.offset_secs(1.0),
        source: "test".into(),
        lease: 1,
        plan_id: 1,
    }
}

/// Position, velocity and acceleration of joint 1 right after `time`, as the executor would command them.
fn state_after(executor: &Executor, time: Time) -> [f64; 3] {
    let h = 1e-4;
    let position = |steps: f64| {
        let joints = executor.joints_at(time.offset_secs(steps * h)).unwrap().unwrap();
        joints.positions[0]
    };
    let [a, b, c] = [position(0.0), position(1.0), position(2.0)];
    [a, (4.0 * b - 3.0 * a - c) / (2.0 * h), (a - 2.0 * b + c) / (h * h)]
}

/// Executor that rested in `ready` and then accelerated joint 1 with 1 rad/s^2 for 0.1 s.
fn speeding_up() -> Executor {
    let mut executor = resting(-0.1);
    for tick in -9..=10 {
        let time = 0.01 * f64::from(tick);
        let mut joints = ready();
        joints[0] += 0.5 * time.max(0.0).powi(2);
        executor.remember_command(both(time), joints);
    }
    executor
}

#[test]
fn a_plan_goes_on_from_commands_that_the_gate_changed_with_their_velocity_and_acceleration() {
    let mut executor = speeding_up();
    let still = chunk(at(-0.05), Reference::Commanded, &[0.0; 10]);
    executor.start(&still, both(0.1), true).unwrap();
    let [position, velocity, acceleration] = state_after(&executor, at(0.1));
    assert!((position - ready()[0] - 0.005).abs() < 1e-12, "{position}");
    assert!((velocity - 0.1).abs() < 1e-4, "{velocity}");
    assert!((acceleration - 1.0).abs() < 0.05, "{acceleration}");
}

#[test]
fn a_plan_goes_on_from_one_whose_seam_still_fades() {
    let mut executor = speeding_up();
    let first = chunk(
        at(-0.05),
        Reference::Commanded,
        &[0.0, 0.001, 0.004, 0.008, 0.01, 0.01, 0.01, 0.01],
    );
    executor.start(&first, both(0.1), true).unwrap();
    for tick in 11..=16 {
        let now = both(0.01 * f64::from(tick));
        let best = executor.candidates(now.steady).next().unwrap();
        let joints = executor.joints_at(best).unwrap().unwrap();
        executor.advance(&joints);
        executor.remember_command(now, joints.positions);
    }
    let now = both(0.16);
    let before = state_after(&executor, now.ros);
    assert!(
        before[1].abs() > 0.01 && before[2].abs() > 0.5,
        "{before:?} is at the fading seam"
    );
    let second = chunk(
        at(0.0),
        Reference::Commanded,
        &[0.0, -0.002, -0.004, -0.004, -0.004, -0.004],
    );
    executor.start(&second, now, false).unwrap();
    let after = state_after(&executor, now.ros);
    assert!((after[0] - before[0]).abs() < 1e-9, "{before:?} {after:?}");
    assert!((after[1] - before[1]).abs() < 5e-3, "{before:?} {after:?}");
    assert!((after[2] - before[2]).abs() < 0.3, "{before:?} {after:?}");
}

#[test]
fn a_plan_is_slowed_where_it_and_its_seam_together_are_too_fast() {
    let slowest = |measured: f64| {
        let mut executor = resting(0.0);
        let mut joints = ready();
        joints[0] += measured;
        executor.remember_state(at(0.0), joints);
        let steps = [
            -0.01, -0.03, -0.06, -0.09, -0.11, -0.12, -0.11, -0.09, -0.06, -0.03, -0.01, 0.0,
        ];
        let moving = chunk(at(0.0), Reference::Measured, &steps);
        executor.start(&moving, both(0.0), false).unwrap()
    };
    assert!(slowest(0.0) >= 1.0, "the plan alone keeps the limits: {}", slowest(0.0));
    assert!(slowest(-0.5) < 0.95, "the seam goes the same way: {}", slowest(-0.5));
    assert!(slowest(0.5) >= 1.0, "the seam goes the other way: {}", slowest(0.5));
}

#[test]
fn an_arm_held_up_catches_up_no_faster_than_a_fifth_above_the_pace_of_its_plan() {
    let mut executor = resting(0.0);
    executor
        .start(&chunk(at(0.0), Reference::Commanded, &[0.001; 20]), both(0.0), false)
        .unwrap();
    // No command could be sent for 0.2 s.
    let candidates: Vec<f64> = executor
        .candidates(steady(0.2))
        .map(|time| time.seconds_since(at(0.0)))
        .collect();
    assert!((candidates[0] - 0.012).abs() < 1e-8, "{candidates:?}");
    assert!(
        candidates.iter().all(|time| (0.0..=0.012 + 1e-8).contains(time)),
        "{candidates:?}"
    );
    // From rest: fractions of the full pace, then standstill.
    assert!((candidates[1] - 0.7 * 0.012).abs() < 1e-8, "{candidates:?}");
    assert_eq!(candidates.last(), Some(&0.0));
    let joints = executor.joints_at(at(0.01)).unwrap().unwrap();
    executor.advance(&joints);
    let candidates: Vec<f64> = executor
        .candidates(steady(0.2))
        .map(|time| time.seconds_since(at(0.01)))
        .collect();
    assert!((candidates[0] - 0.012).abs() < 1e-8, "{candidates:?}");
    // At the pace of the plan: fractions of the difference to the full pace, then fractions of the plan's pace.
    assert!((candidates[1] - (0.01 + 0.7 * 0.002)).abs() < 1e-8, "{candidates:?}");
    assert!(
        (candidates[8] - 0.01).abs() < 1e-8 && (candidates[10] - 0.009).abs() < 1e-8,
        "{candidates:?}"
    );
    // Candidates are never ahead of the plan.
    assert_eq!(executor.candidates(steady(0.015)).next(), Some(at(0.015)));
}

#[test]
fn a_seam_is_lengthened_for_the_acceleration_by_three_ages_of_the_observation_at_most() {
    for age in [0.05, 0.1] {
        let mut executor = resting(-0.2);
        for tick in -20..=10 {
            let mut joints = ready();
            joints[0] += 0.01 * f64::from(tick);
            executor.remember_command(both(0.01 * f64::from(tick)), joints);
        }
        // From 1 rad/s to rest within half of the acceleration limit takes more than a second.
        let still = chunk(at(0.1 - age), Reference::Commanded, &[0.0; 10]);
        executor.start(&still, both(0.1), true).unwrap();
        let length = executor.active.as_ref().unwrap().blend.length();
        let expected = config().executor.blend_s + 3.0 * age;
        assert!((length - expected).abs() < 1e-6, "{length} for an age of {age}");
    }
}

#[test]
fn a_plan_begins_with_the_velocity_of_the_arm_around_its_observation() {
    // Between commands from both sides, at the newest one from the past alone.
    for (observed, expected) in [(0.05, 0.05), (0.1, 0.095)] {
        let mut executor = speeding_up();
        let moving = chunk(at(observed), Reference::Commanded, &[0.01; 10]);
        executor.start(&moving, both(0.1), true).unwrap();
        let plan = executor.plan().unwrap();
        let position = |seconds: f64| match plan.at(at(observed + seconds)) {
            PlanTarget::Joints(joints) => joints[0],
            PlanTarget::Pose(pose) => panic!("a plan of joints gives joints, not {pose}"),
        };
        let velocity = (position(1e-5) - position(0.0)) / 1e-5;
        assert!((velocity - expected).abs() < 1e-3, "{velocity} at {observed} s");
    }
}
