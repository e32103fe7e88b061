//! Tests of the beginning and the course of motions: the first command is where the arm is, and the arm follows.

use std::f64::consts::{FRAC_PI_2, FRAC_PI_3, FRAC_PI_6};

use thinkvla::contract::{ActionSpace, Reference};
use thinkvla::control::event::{Check, EventKind};
use thinkvla::control::lease::Priority;
use thinkvla::supervisor::{ArmMode, MoveProgress};
use thinkvla::types::Joints;

use super::arm_rig::{Rig, config, ready, steps};
use super::{INWARD, braking_delay, moving, start};

#[test]
fn after_re_arming_the_first_command_is_where_the_arm_is_measured() {
    let mut rig = moving();
    rig.supervisor.stop("button", rig.now).unwrap();
    rig.run(0.2);
    // The stopped arm ended at another position than commanded.
    rig.joints += Joints::repeat(0.07);
    rig.run(0.2);
    rig.rearm();
    let before = rig.sent().len();
    rig.follow(5, [0.0; 7]);
    rig.run(0.3);
    let measured = rig.joints;
    for (_, command) in &rig.sent()[before..] {
        assert!(
            (command - measured).amax() < 1e-3,
            "jump of {}",
            (command - measured).amax()
        );
    }
}

#[test]
fn an_arm_that_does_not_follow_is_braked_and_latched() {
    let mut config = config();
    config.tracking.error_rad = 0.06;
    let mut rig = Rig::new(config);
    rig.run(0.1);
    rig.supervisor.arm(rig.now).unwrap();
    rig.acquire("policy", Priority::Policy);
    rig.follow(20, INWARD);
    for i in 0..200 {
        rig.tick();
        // The arm is blocked and jitters.
        rig.joints = ready() + Joints::repeat(1e-4 * f64::from(i % 2));
    }
    assert_eq!(rig.mode(), ArmMode::Fault);
    assert!(rig.has(EventKind::Fault, Check::Tracking));
}

#[test]
fn an_arm_moved_by_hand_while_holding_does_not_start_from_elsewhere() {
    let mut rig = Rig::armed();
    rig.joints += Joints::repeat(0.1);
    rig.run(0.1);
    let chunk = rig.chunk(ActionSpace::Ee7, steps(5, INWARD));
    assert_eq!(
        rig.supervisor.on_chunk(chunk, rig.now).unwrap_err().check,
        Check::Tracking
    );
    assert_eq!(
        rig.supervisor
            .move_named("home", 0.5, rig.lease, rig.now)
            .unwrap_err()
            .check,
        Check::Tracking
    );
    rig.supervisor.disarm(rig.now);
    rig.supervisor.arm(rig.now).unwrap();
    rig.follow(5, INWARD);
}

#[test]
fn named_moves_arrive_inside_the_limits_and_can_be_cancelled() {
    let mut rig = Rig::armed();
    rig.supervisor.move_named("home", 0.8, rig.lease, rig.now).unwrap();
    let chunk = rig.chunk(ActionSpace::Ee7, steps(5, INWARD));
    assert_eq!(rig.supervisor.on_chunk(chunk, rig.now).unwrap_err().check, Check::Mode);
    assert!(rig.supervisor.move_named("home", 0.8, rig.lease, rig.now).is_err());
    assert_eq!(rig.supervisor.moves(), 1, "a refused move is none");
    rig.run(0.3);
    assert!(matches!(rig.supervisor.move_progress(), Some(MoveProgress::Running { remaining }) if remaining > 0.1));
    rig.run(5.0);
    assert_eq!(rig.supervisor.move_progress(), Some(MoveProgress::Done));
    assert!((rig.joints - config().named("home").unwrap()).amax() < 1e-6);
    assert_eq!((rig.status().clamps, rig.mode()), (0, ArmMode::Holding));
    rig.supervisor.move_named("ready", 0.8, rig.lease, rig.now).unwrap();
    rig.run(0.6);
    rig.supervisor.cancel_move(rig.now);
    assert!(braking_delay(&mut rig) <= 0.02);
    assert!(matches!(rig.supervisor.move_progress(), Some(MoveProgress::Failed(_))));
    assert_eq!(
        rig.supervisor
            .move_named("nowhere", 0.5, rig.lease, rig.now)
            .unwrap_err()
            .check,
        Check::Reach
    );
}

#[test]
fn a_named_move_that_cannot_arrive_is_given_up() {
    let mut config = config();
    config.workspace.tool_max_m = [0.9, 0.9, 1.2];
    // Straightening the elbow leads into a singularity.
    config
        .named_deg
        .insert("straight".into(), [0.0, 20.0, 0.0, 0.0, 0.0, 60.0, 0.0]);
    let mut rig = Rig::armed_with(config);
    rig.supervisor.move_named("straight", 1.0, rig.lease, rig.now).unwrap();
    rig.run(5.0);
    assert_eq!(rig.mode(), ArmMode::Moving);
    rig.run(12.0);
    assert_eq!(rig.mode(), ArmMode::Holding);
    assert!(rig.has(EventKind::Refused, Check::Reach));
    assert!(matches!(
        rig.supervisor.move_progress(),
        Some(MoveProgress::Failed(why)) if why.contains("within 10 s of the planned end")
    ));
}

#[test]
fn named_moves_need_a_living_state_too() {
    let mut rig = Rig::armed();
    rig.supervisor.move_named("home", 0.8, rig.lease, rig.now).unwrap();
    rig.run(0.4);
    rig.drop_states = true;
    assert!(braking_delay(&mut rig) <= 0.1);
    assert_eq!(rig.mode(), ArmMode::Fault);
}

#[test]
fn a_push_while_holding_is_taken_up_and_the_first_command_is_where_the_arm_is() {
    for reference in [Reference::Commanded, Reference::Measured] {
        for push in [0.0005, 0.002, 0.049, -0.049] {
            for pushed_later in [false, true] {
                let mut rig = Rig::armed();
                if !pushed_later {
                    rig.joints += Joints::repeat(push);
                }
                rig.run(0.3);
                let still = steps(20, [0.0; 7]);
                let mut chunk = rig.chunk(ActionSpace::Ee7, still);
                chunk.reference = reference;
                rig.supervisor.on_chunk(chunk, rig.now).unwrap();
                if pushed_later {
                    rig.joints += Joints::repeat(push);
                }
                let measured = rig.joints;
                // An arm that is being pushed is waited for.
                let ticks = (1..=8).find(|_| {
                    rig.tick();
                    rig.sent().len() == 1
                });
                assert!(
                    ticks.is_some_and(|ticks| pushed_later || ticks == 1),
                    "{push}: {ticks:?}"
                );
                let first = (rig.sent()[0].1 - measured).amax();
                assert!(first <= 1e-3, "{push} {reference:?}: first command {first} rad away");
                rig.run(1.0);
                let gone = (rig.joints - measured).amax();
                let stays = !pushed_later || push.abs() < 0.001;
                assert!(
                    !stays || gone < 1e-3,
                    "{push} {reference:?}: went {gone} rad where nobody asked"
                );
            }
        }
    }
    let mut rig = Rig::armed();
    rig.joints += Joints::repeat(0.04);
    rig.run(0.3);
    rig.supervisor.move_named("home", 0.8, rig.lease, rig.now).unwrap();
    let measured = rig.joints;
    rig.tick();
    assert!((rig.sent()[0].1 - measured).amax() <= 1e-3);
    rig.run(5.0);
    assert_eq!(rig.supervisor.move_progress(), Some(MoveProgress::Done));
}

#[test]
fn a_chunk_starts_from_rest_with_a_joint_close_to_its_limit() {
    let mut rig = Rig::new(config());
    // Joint 5 is 0.05 rad from its limit: away from there the inverse kinematics moves some joints by 5 mrad a command.
    rig.joints = Joints::from([0.0, FRAC_PI_6, 0.0, FRAC_PI_3, 3.0, -FRAC_PI_2, 3.1]);
    rig.run(0.1);
    rig.supervisor.arm(rig.now).unwrap();
    rig.acquire("policy", Priority::Policy);
    rig.run(0.1);
    let measured = rig.joints;
    rig.follow(20, [0.0; 7]);
    rig.tick();
    assert_eq!(rig.sent().len(), 1, "the motion has begun");
    let away = (rig.sent()[0].1 - measured).amax();
    assert!(away <= 1e-3, "the first command is {away} rad from the arm");
    rig.run(0.5);
    assert_eq!((rig.mode(), rig.sent().len()), (ArmMode::Executing, 51));
    for pair in rig.velocities(0).windows(2) {
        assert!((pair[1] - pair[0]).amax() <= 0.1 + 1e-3);
    }
    assert!(rig.joints[4] < 2.99, "away from the limit: {}", rig.joints[4]);
    rig.heartbeat = false;
    assert!(braking_delay(&mut rig) <= 0.1);
    assert_eq!(rig.mode(), ArmMode::Holding);
}

#[test]
fn a_short_move_whose_first_tick_is_late_begins_where_the_arm_is() {
    let mut rig = Rig::armed();
    rig.joints += Joints::repeat(0.04);
    rig.run(0.3);
    rig.supervisor.move_named("ready", 1.0, rig.lease, rig.now).unwrap();
    // Too little to count as displaced, and away from the goal.
    rig.joints += Joints::repeat(0.00045);
    rig.pass(0.019);
    rig.tick();
    let away = (rig.sent()[0].1 - rig.reported).amax();
    assert!(away <= 1e-3, "the first command is {away} rad from the arm");
    rig.run(2.0);
    assert_eq!(rig.supervisor.move_progress(), Some(MoveProgress::Done));
    assert!((rig.joints - ready()).amax() < 1e-6);
}

#[test]
fn a_motion_waits_for_an_arm_that_still_follows_the_last_command() {
    for is_named in [false, true] {
        let mut rig = Rig::armed();
        let left_at = rig.joints;
        rig.joints = left_at - Joints::repeat(0.04);
        rig.tick();
        start(&mut rig, is_named);
        let first = (0..60).find_map(|tick| {
            if tick < 20 {
                rig.joints = left_at - Joints::repeat(0.038 - 0.002 * f64::from(tick));
            }
            let measured = rig.joints;
            rig.tick();
            let (_, command) = rig.sent().first()?;
            Some((tick, (command - measured).amax()))
        });
        let (tick, away) = first.expect("the motion starts once the arm rests");
        assert!(
            tick >= 19,
            "named {is_named}: a command in tick {tick}, the arm moves until tick 19"
        );
        assert!(
            away <= 1e-3,
            "named {is_named}: the first command is {away} rad from the arm"
        );
    }
}

#[test]
fn a_motion_that_waits_ends_with_the_heartbeat_of_its_source() {
    for is_named in [false, true] {
        let mut rig = Rig::armed();
        let left_at = rig.joints;
        start(&mut rig, is_named);
        rig.heartbeat = false;
        for tick in 0..12 {
            rig.joints = left_at + Joints::repeat(if tick % 2 == 0 { 0.002 } else { -0.002 });
            rig.tick();
        }
        assert_eq!(rig.mode(), ArmMode::Holding, "named {is_named}");
        assert!(rig.has(EventKind::Refused, Check::Fresh));
        // Whoever sends heartbeats later has not asked for the motion.
        rig.heartbeat = true;
        rig.run(0.5);
        assert!(rig.sent().is_empty(), "named {is_named}");
    }
}

#[test]
fn a_chunk_that_became_too_old_while_it_waited_is_not_followed() {
    let mut rig = Rig::armed();
    let left_at = rig.joints;
    rig.follow(20, [0.0; 7]);
    for tick in 0..55 {
        rig.joints = left_at + Joints::repeat(if tick % 2 == 0 { 0.002 } else { -0.002 });
        rig.tick();
    }
    assert_eq!(rig.mode(), ArmMode::Executing);
    rig.run(0.3);
    assert_eq!(rig.mode(), ArmMode::Holding);
    assert!(rig.sent().is_empty() && rig.has(EventKind::Refused, Check::Fresh));
}

#[test]
fn a_motion_of_an_arm_that_does_not_come_to_rest_is_given_up() {
    for is_named in [false, true] {
        let mut rig = Rig::armed();
        let left_at = rig.joints;
        start(&mut rig, is_named);
        for tick in 0..110 {
            rig.joints = left_at + Joints::repeat(if tick % 2 == 0 { 0.002 } else { -0.002 });
            rig.tick();
            assert!(rig.sent().is_empty(), "named {is_named}: a command in tick {tick}");
        }
        assert_eq!(rig.mode(), ArmMode::Holding, "named {is_named}");
        assert!(rig.has(EventKind::Refused, Check::Tracking));
        assert!(
            rig.status().reason.contains("at rest within 1 s"),
            "{}",
            rig.status().reason
        );
    }
}
