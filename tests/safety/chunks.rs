//! Tests of chunks: which ones are refused, and how the motion of an accepted one ends.

use thinkvla::contract::{ActionSpace, Composition, Reference};
use thinkvla::control::event::{Check, EventKind};
use thinkvla::supervisor::{ArmMode, Refusal};

use super::arm_rig::{PERIOD, Rig, config, steps};
use super::{INWARD, moving};

#[test]
fn chunks_that_are_late_stale_misordered_or_foreign_are_refused_and_the_arm_holds() {
    let refuse = |check: Check, needle: &str, change: &dyn Fn(&mut thinkvla::control::chunk::ActionChunk)| {
        let mut rig = Rig::armed();
        rig.follow(2, [0.0; 7]);
        rig.run(2.0);
        let mut chunk = rig.chunk(ActionSpace::Ee7, steps(5, INWARD));
        change(&mut chunk);
        let before = rig.sent().len();
        let refusal = rig.supervisor.on_chunk(chunk, rig.now).expect_err(needle);
        assert_eq!(refusal.check, check, "{refusal}");
        assert!(refusal.message.contains(needle), "{refusal}");
        rig.run(0.5);
        assert_eq!(rig.sent().len(), before, "the arm holds");
        assert_eq!(rig.mode(), ArmMode::Holding);
        assert!(rig.has(EventKind::Refused, check));
        assert_eq!(rig.status().refusals, 1);
    };
    refuse(Check::Fresh, "at most 0.5 s", &|chunk| {
        chunk.observed = chunk.observed.offset_secs(-0.51);
        chunk.step_period = 1.0;
    });
    refuse(Check::Fresh, "expired", &|chunk| {
        chunk.expires = chunk.observed.offset_secs(-0.01)
    });
    refuse(Check::Fresh, "late", &|chunk| {
        chunk.observed = chunk.observed.offset_secs(-0.2);
        chunk.step_period = 0.04;
    });
    refuse(Check::Clock, "ahead", &|chunk| {
        chunk.observed = chunk.observed.offset_secs(3600.0)
    });
    refuse(Check::Fresh, "3600.000 s old", &|chunk| {
        chunk.observed = chunk.observed.offset_secs(-3600.0)
    });
    refuse(Check::Lease, "acquire the lease", &|chunk| chunk.lease += 1);
    refuse(Check::Chunk, "plan_id above 1", &|chunk| chunk.plan_id = 1);
    refuse(Check::Chunk, "base_link", &|chunk| chunk.frame = "tool".into());
    for period in [0.0, -0.1, f64::NAN, f64::INFINITY, 0.001, 6.0] {
        refuse(Check::Chunk, "step_period", &|chunk| chunk.step_period = period);
    }
    refuse(Check::Workspace, "step 3", &|chunk| {
        let values = steps(5, [0.1, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
        chunk.actions = thinkvla::control::chunk::PhysicalActions::new(ActionSpace::Ee7, values).unwrap();
    });
    refuse(Check::Chunk, "1000 steps", &|chunk| {
        let values = steps(1001, [0.0; 7]);
        chunk.actions = thinkvla::control::chunk::PhysicalActions::new(ActionSpace::Ee7, values).unwrap();
    });
}

#[test]
fn a_chunk_without_a_living_heartbeat_is_refused() {
    let mut rig = Rig::armed();
    rig.heartbeat = false;
    rig.run(0.2);
    let chunk = rig.chunk(ActionSpace::Ee7, steps(5, INWARD));
    let refusal = rig.supervisor.on_chunk(chunk, rig.now).unwrap_err();
    assert!(refusal.message.contains("heartbeat"), "{refusal}");
}

#[test]
fn a_plan_is_not_followed_for_ever() {
    for age in [0.0, 0.45] {
        let mut rig = Rig::armed();
        rig.run(0.5);
        let mut chunk = rig.chunk(ActionSpace::Ee7, steps(100, [-0.0005, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]));
        chunk.reference = Reference::Measured;
        chunk.observed = chunk.observed.offset_secs(-age);
        rig.supervisor.on_chunk(chunk, rig.now).unwrap();
        rig.run(3.9 - age);
        assert_eq!(rig.mode(), ArmMode::Executing, "{age}");
        rig.run(0.3);
        assert_ne!(rig.mode(), ArmMode::Executing, "{age}");
        assert!(rig.has(EventKind::Held, Check::Fresh), "{age}");
    }
}

#[test]
fn commands_that_come_later_than_planned_are_counted() {
    let mut rig = Rig::armed();
    // 2 rad/s, where 1.88 are permitted.
    let chunk = rig.chunk(ActionSpace::Joint8, [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.2, 0.0].repeat(5));
    rig.supervisor.on_chunk(chunk, rig.now).unwrap();
    rig.run(0.5);
    let status = rig.status();
    assert_eq!((status.mode, status.commands), (ArmMode::Executing, 50));
    assert!((30..=50).contains(&status.clamps), "{}", status.clamps);
}

#[test]
fn the_gripper_follows_the_step_under_way_and_only_while_the_arm_does() {
    let mut rig = Rig::armed();
    let mut values = steps(5, [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
    values.extend(steps(5, [0.0; 7]));
    let chunk = rig.chunk(ActionSpace::Ee7, values);
    let start = rig.now.steady;
    rig.supervisor.on_chunk(chunk, rig.now).unwrap();
    rig.run(1.0);
    let grips: Vec<(f64, u16)> = rig
        .supervisor
        .driver()
        .grips
        .iter()
        .map(|(time, position)| (time.seconds_since(start), *position))
        .collect();
    assert_eq!(grips.iter().map(|grip| grip.1).collect::<Vec<_>>(), [1000, 1]);
    assert!((grips[1].0 - 0.5).abs() < 0.011, "{grips:?}");
    rig.supervisor.stop("button", rig.now).unwrap();
    let chunk = rig.chunk(ActionSpace::Ee7, steps(5, INWARD));
    assert!(rig.supervisor.on_chunk(chunk, rig.now).is_err());
    rig.run(0.5);
    assert_eq!(rig.supervisor.driver().grips.len(), 2);
}

#[test]
fn what_is_no_state_and_no_chunk_is_told_and_changes_nothing() {
    let mut rig = moving();
    let earlier = rig.events.len();
    rig.supervisor.on_malformed_state("expected 7 joints, found 6", rig.now);
    let refusal = Refusal {
        check: Check::Chunk,
        message: "expected 70 values, found 69".into(),
    };
    rig.supervisor.on_malformed_chunk("stranger", 40, refusal, rig.now);
    rig.run(0.2);
    assert_eq!(rig.mode(), ArmMode::Executing);
    assert_eq!(rig.status().refusals, 1);
    let [state, chunk] = &rig.events[earlier..] else {
        panic!("{:?}", rig.events)
    };
    assert_eq!((state.kind, state.check), (EventKind::Refused, Check::State));
    assert_eq!(state.message, "expected 7 joints, found 6");
    assert_eq!((chunk.kind, chunk.check), (EventKind::Refused, Check::Chunk));
    assert_eq!((chunk.source.as_str(), chunk.plan_id), ("stranger", 40));
    // Later events refer to the plan in execution again.
    rig.supervisor.stop("button", rig.now).unwrap();
    rig.run(0.1);
    let last = rig.events.last().unwrap();
    assert_eq!((last.source.as_str(), last.plan_id), ("policy", 1));
}

#[test]
fn a_plan_whose_end_cannot_be_reached_is_given_up_a_second_later() {
    let mut config = config();
    config.workspace.tool_max_m[1] = 0.06;
    let mut rig = Rig::armed_with(config);
    let mut values = [0.0; 8];
    values[0] = 0.05;
    let chunk = rig.chunk(ActionSpace::Joint8, values.repeat(5));
    rig.supervisor.on_chunk(chunk, rig.now).unwrap();
    rig.run(1.4);
    assert_eq!(
        rig.mode(),
        ArmMode::Executing,
        "the tool stands at the wall of its box and waits"
    );
    rig.run(0.2);
    assert_eq!((rig.mode(), rig.status().underruns), (ArmMode::Holding, 1));
    assert!(rig.joints[0] < 0.24, "{}", rig.joints[0]);
}

#[test]
fn joint_targets_far_from_what_the_joints_can_do_refuse_the_chunk_by_step_and_joint() {
    let refuse = |values: Vec<f64>, check: Check, needle: &str| {
        let mut rig = moving();
        let chunk = rig.chunk(ActionSpace::Joint8, values);
        let refusal = rig.supervisor.on_chunk(chunk, rig.now).unwrap_err();
        assert_eq!(refusal.check, check, "{refusal}");
        assert!(refusal.message.contains(needle), "{refusal}");
        rig.tick();
        assert_eq!(rig.mode(), ArmMode::Executing, "what was under way goes on");
    };
    let joint = |joint: usize, rad: f64| {
        let mut values = [0.0; 8];
        values[joint - 1] = rad;
        values
    };
    refuse(joint(6, 3.0).repeat(5), Check::Velocity, "step 0: expected joint 6");
    refuse(joint(2, -1e6).repeat(5), Check::Velocity, "step 0: expected joint 2");
    refuse(
        joint(1, 0.25).repeat(5),
        Check::Velocity,
        "at most 0.238 rad, found 0.250",
    );
    let late = [joint(3, 0.1), joint(3, 0.1), joint(3, -0.5)].concat();
    refuse(late, Check::Velocity, "step 2: expected joint 3");
    refuse(
        joint(7, 0.2).repeat(40),
        Check::JointLimit,
        "step 31: expected joint 7 from -6.230 to 6.230 rad",
    );
    refuse(joint(2, 0.2).repeat(10), Check::Workspace, "step");
}

#[test]
fn a_joint_target_a_little_beyond_its_limit_is_moved_to_it() {
    let mut rig = Rig::armed();
    let mut turn = |rad: f64, count: usize| {
        let chunk = rig.chunk(
            ActionSpace::Joint8,
            [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, rad, 0.0].repeat(count),
        );
        rig.supervisor.on_chunk(chunk, rig.now).unwrap();
        rig.run(3.5);
    };
    turn(0.15, 20);
    turn(0.15, 20);
    // 6.0 + 0.25 exceeds the limit of 6.23 by 0.02.
    turn(0.05, 5);
    assert!((rig.joints[6] - 6.23).abs() < 1e-3, "{}", rig.joints[6]);
    assert!(rig.has(EventKind::Clamped, Check::Workspace));
}

#[test]
fn turns_of_the_tool_that_no_arm_can_make_refuse_the_chunk_by_step() {
    for composition in [Composition::Sequential, Composition::FromAnchor] {
        for (turn, step) in [(1e6, 0), (3.0, 0), (-1.5, 0)] {
            let mut rig = Rig::armed();
            let mut chunk = rig.chunk(ActionSpace::Ee7, steps(5, [0.0, 0.0, 0.0, 0.0, turn, 0.0, 1.0]));
            chunk.composition = composition;
            let refusal = rig.supervisor.on_chunk(chunk, rig.now).unwrap_err();
            assert_eq!(refusal.check, Check::Velocity, "{refusal}");
            assert!(
                refusal
                    .message
                    .contains(&format!("step {step}: expected a turn of the tool")),
                "{refusal}"
            );
        }
        // A turn that accumulates beyond half a turn is accepted.
        let mut rig = Rig::armed();
        let mut angle = 0.0;
        let values: Vec<f64> = (0..36)
            .flat_map(|_| {
                angle += 0.1;
                let words = if composition == Composition::Sequential {
                    0.1
                } else {
                    angle
                };
                [0.0, 0.0, 0.0, 0.0, 0.0, words, 1.0]
            })
            .collect();
        let mut chunk = rig.chunk(ActionSpace::Ee7, values);
        chunk.composition = composition;
        rig.supervisor.on_chunk(chunk, rig.now).unwrap();
    }
}

#[test]
fn a_plan_that_ends_in_motion_never_sends_two_frames_in_a_tick() {
    let mut config = config();
    config.limits.tool_speed_m_s = 0.1;
    let mut rig = Rig::armed_with(config);
    let mut chunk = rig.chunk(ActionSpace::Ee7, steps(5, [-0.04, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]));
    chunk.step_period = 0.02;
    rig.supervisor.on_chunk(chunk, rig.now).unwrap();
    rig.run(3.0);
    assert_eq!((rig.mode(), rig.status().underruns), (ArmMode::Holding, 1));
    for pair in rig.sent().windows(2) {
        assert!(pair[1].0.seconds_since(pair[0].0) > 0.5 * PERIOD);
    }
    for pair in rig.velocities(0).windows(2) {
        assert!((pair[1] - pair[0]).amax() <= 0.1 + 1e-3);
    }
}
