//! What keeps people and the arm safe: each promise of the control side and each known hazard of the driver, on a
//! virtual clock against a stand-in for the driver.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // helpers of tests may panic

mod rig;

use rig::{PERIOD, Rig, config, ready, steps};
use thinkvla::contract::{ActionSpace, Reference};
use thinkvla::control::event::{Check, EventKind};
use thinkvla::control::lease::Priority;
use thinkvla::control::realman::{DriverApi, Graph};
use thinkvla::control::supervisor::{ErrorChannel, Mode, MoveProgress, Refusal};
use thinkvla::control::types::Joints;

/// Towards the base, where the arm has room: six centimetres a second.
const INWARD: [f64; 7] = [-0.006, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0];

fn moving() -> Rig {
    let mut rig = Rig::armed();
    rig.follow(20, INWARD);
    rig.run(0.5);
    assert_eq!(rig.mode(), Mode::Executing);
    assert!(rig.velocities(0).last().unwrap().amax() > 0.05);
    rig
}

/// Runs on and returns how long the speed kept from falling, and asserts rest and silence afterwards.
fn braking_delay(rig: &mut Rig) -> f64 {
    let from = rig.sent().len() - 2;
    rig.run(2.0);
    let speeds: Vec<f64> = rig.velocities(from).iter().map(Joints::norm).collect();
    let cruising = speeds.iter().take_while(|speed| **speed > 0.9 * speeds[0]).count();
    assert!(*speeds.last().unwrap() < 1e-4, "comes to rest");
    for pair in rig.velocities(from).windows(2) {
        assert!(
            (pair[1] - pair[0]).amax() <= 0.1 + 1e-3,
            "inside the acceleration limits"
        );
    }
    let silent = rig.sent().len();
    rig.run(1.0);
    assert_eq!(rig.sent().len(), silent, "silence after rest");
    cruising as f64 * PERIOD
}

#[test]
fn a_dead_policy_is_braked_within_100_ms_then_the_arm_rests_in_silence_and_can_go_on() {
    let mut rig = moving();
    rig.heartbeat = false;
    let delay = braking_delay(&mut rig);
    assert!(delay <= 0.1, "{delay}");
    assert_eq!(rig.mode(), Mode::Holding);
    assert!(rig.has(EventKind::Held, Check::Fresh));
    assert!(rig.stops().is_empty(), "a held arm needs no stop");
    rig.lease = rig
        .supervisor
        .acquire_lease("policy again", Priority::Policy, rig.now)
        .unwrap();
    rig.heartbeat = true;
    rig.plan_id = 0;
    rig.follow(5, INWARD);
    rig.run(0.2);
    assert_eq!(rig.mode(), Mode::Executing);
}

#[test]
fn a_lost_joint_state_is_braked_within_100_ms_and_latched() {
    let mut rig = moving();
    rig.deaf = true;
    let delay = braking_delay(&mut rig);
    assert!(delay <= 0.1, "{delay}");
    assert_eq!(rig.mode(), Mode::Fault);
    assert!(rig.has(EventKind::Fault, Check::Fresh));
    rig.deaf = false;
    rig.run(0.5);
    assert_eq!(rig.mode(), Mode::Fault, "the state's return does not unlatch");
    rig.supervisor.rearm(rig.now).unwrap();
    assert_eq!(rig.mode(), Mode::Holding);
}

#[test]
fn a_frozen_state_with_fresh_stamps_is_found_by_its_content() {
    let mut rig = moving();
    rig.frozen = true;
    rig.run(0.4);
    assert_eq!(rig.mode(), Mode::Executing);
    rig.run(0.3);
    assert_ne!(rig.mode(), Mode::Executing);
    rig.run(1.0);
    assert_eq!(rig.mode(), Mode::Fault);
    assert!(rig.has(EventKind::Fault, Check::State));
}

#[test]
fn an_arm_that_rests_is_not_taken_for_frozen() {
    let mut rig = Rig::armed();
    rig.frozen = true;
    rig.run(5.0);
    assert_eq!(rig.mode(), Mode::Holding);
    rig.frozen = false;
    rig.follow(10, INWARD);
    rig.run(0.5);
    assert_eq!(rig.mode(), Mode::Executing);
}

#[test]
fn a_driver_that_never_heard_from_its_arm_cannot_be_armed() {
    let mut rig = Rig::new(config());
    rig.joints = Joints::zeros();
    rig.run(0.5);
    let refusal = rig.supervisor.arm(rig.now).unwrap_err();
    assert_eq!(refusal.check, Check::State);
    assert!(refusal.message.contains("exactly zero"), "{refusal}");
}

#[test]
fn a_stop_ends_all_commands_is_repeated_and_stays_latched() {
    let mut rig = moving();
    let before = rig.sent().len();
    rig.supervisor.driver_mut().now = rig.now;
    rig.supervisor.stop("button", rig.now);
    let stopped = rig.now;
    rig.run(1.0);
    assert_eq!(rig.sent().len(), before, "no command after the stop");
    let delays: Vec<f64> = rig
        .stops()
        .iter()
        .map(|(time, _)| time.seconds_since(stopped))
        .collect();
    assert_eq!(delays.len(), 3);
    for (delay, expected) in delays.iter().zip([0.0, 0.02, 0.04]) {
        assert!((delay - expected).abs() < 1e-6, "{delays:?}");
    }
    assert_eq!(rig.mode(), Mode::Stopped);
    let chunk = rig.chunk(ActionSpace::Ee7, steps(5, INWARD));
    assert_eq!(rig.supervisor.on_chunk(chunk, rig.now).unwrap_err().check, Check::Mode);
    assert_eq!(rig.supervisor.arm(rig.now).unwrap_err().check, Check::Mode);
    assert_eq!(
        rig.supervisor.move_named("home", 0.5, rig.now).unwrap_err().check,
        Check::Mode
    );
    rig.run(1.0);
    assert_eq!(rig.sent().len(), before);
    rig.supervisor.reset_fault(rig.now).unwrap();
    assert_eq!(rig.mode(), Mode::Disarmed, "a reset alone does not arm");
    rig.supervisor.arm(rig.now).unwrap();
    assert_eq!(rig.mode(), Mode::Holding);
}

#[test]
fn the_stop_has_the_type_the_generation_listens_to() {
    for api in [DriverApi::V1, DriverApi::V2] {
        let mut rig = Rig::armed();
        rig.supervisor.on_graph(Graph::of_driver(api), rig.now);
        rig.supervisor.stop("button", rig.now);
        assert_eq!(rig.stops().iter().map(|stop| stop.1).collect::<Vec<_>>(), [api]);
    }
}

#[test]
fn a_stop_cannot_be_reset_while_it_is_being_sent() {
    let mut rig = moving();
    rig.supervisor.stop("button", rig.now);
    rig.tick();
    assert_eq!(rig.supervisor.reset_fault(rig.now).unwrap_err().check, Check::Stop);
    rig.run(0.1);
    rig.supervisor.reset_fault(rig.now).unwrap();
}

#[test]
fn after_re_arming_the_first_command_is_where_the_arm_is_measured() {
    let mut rig = moving();
    rig.supervisor.stop("button", rig.now);
    rig.run(0.2);
    // The stopped arm ended somewhere else than commanded.
    rig.joints += Joints::repeat(0.07);
    rig.run(0.2);
    rig.supervisor.rearm(rig.now).unwrap();
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
fn a_driver_error_stops_names_the_code_and_outlives_its_own_clearing() {
    let mut rig = moving();
    let before = rig.sent().len();
    rig.supervisor.on_driver_errors(ErrorChannel::All, &[0x100D], rig.now);
    rig.run(0.2);
    assert_eq!(rig.mode(), Mode::Fault);
    assert_eq!(rig.sent().len(), before);
    assert_eq!(rig.stops().len(), 3);
    let reason = rig.status().reason;
    assert!(reason.contains("0x100D (collision)"), "{reason}");
    let refusal = rig.supervisor.reset_fault(rig.now).unwrap_err();
    assert!(refusal.message.contains("collision"), "{refusal}");
    // The controller clears system errors by itself.
    rig.supervisor.on_driver_errors(ErrorChannel::All, &[0], rig.now);
    rig.run(0.5);
    assert_eq!(rig.mode(), Mode::Fault);
    let chunk = rig.chunk(ActionSpace::Ee7, steps(5, INWARD));
    assert!(rig.supervisor.on_chunk(chunk, rig.now).is_err());
    rig.supervisor.rearm(rig.now).unwrap();
    assert_eq!(rig.mode(), Mode::Holding);
}

#[test]
fn a_repeated_error_is_one_fault_and_a_new_one_another() {
    let mut rig = Rig::armed();
    for _ in 0..50 {
        rig.supervisor
            .on_driver_errors(ErrorChannel::System, &[0x1004], rig.now);
        rig.tick();
    }
    assert_eq!(rig.stops().len(), 3);
    rig.supervisor.on_driver_errors(ErrorChannel::Arm, &[0x1013], rig.now);
    rig.run(0.2);
    assert_eq!(rig.stops().len(), 6);
    // Each channel clears only itself.
    rig.supervisor.on_driver_errors(ErrorChannel::Arm, &[], rig.now);
    assert!(rig.supervisor.reset_fault(rig.now).is_err());
    rig.supervisor.on_driver_errors(ErrorChannel::System, &[], rig.now);
    rig.supervisor.reset_fault(rig.now).unwrap();
}

#[test]
fn a_joint_error_is_a_fault_even_while_disarmed() {
    let mut rig = Rig::new(config());
    rig.run(0.1);
    rig.supervisor
        .on_driver_errors(ErrorChannel::Joints, &[0, 0, 0x20, 0, 0, 0, 0], rig.now);
    assert_eq!(rig.mode(), Mode::Fault);
    assert!(rig.status().reason.contains("0x0020"));
    assert!(rig.supervisor.arm(rig.now).is_err());
}

#[test]
fn nothing_is_armed_without_driver_listener_stop_and_being_alone() {
    let good = Graph::of_driver(DriverApi::V2);
    for (graph, needle) in [
        (Graph::default(), "expected rm_driver in the graph"),
        (
            Graph {
                publishes_sys_err: true,
                ..good
            },
            "both",
        ),
        (
            Graph {
                stop_subscribers: 0,
                ..good
            },
            "could not be stopped",
        ),
        (
            Graph {
                command_subscribers: 0,
                ..good
            },
            "movej_canfd_cmd",
        ),
        (
            Graph {
                command_publishers: 2,
                ..good
            },
            "found 2 publishers",
        ),
    ] {
        let mut rig = Rig::new(config());
        rig.supervisor.on_graph(graph, rig.now);
        rig.run(0.1);
        let refusal = rig.supervisor.arm(rig.now).unwrap_err();
        assert_eq!(refusal.check, Check::Publishers);
        assert!(refusal.message.contains(needle), "{refusal}");
        assert_eq!(rig.mode(), Mode::Disarmed);
    }
}

#[test]
fn a_second_command_publisher_brakes_a_moving_arm_and_latches() {
    let mut rig = moving();
    rig.supervisor.on_graph(
        Graph {
            command_publishers: 2,
            ..Graph::of_driver(DriverApi::V2)
        },
        rig.now,
    );
    let delay = braking_delay(&mut rig);
    assert!(delay <= 0.1, "{delay}");
    assert_eq!(rig.mode(), Mode::Fault);
    assert!(rig.has(EventKind::Fault, Check::Publishers));
}

#[test]
fn a_driver_that_disappears_is_sent_nothing_so_that_nothing_queues_up() {
    let mut rig = moving();
    let before = rig.sent().len();
    let gone = Graph {
        command_subscribers: 0,
        stop_subscribers: 0,
        ..Graph::of_driver(DriverApi::V2)
    };
    rig.supervisor.on_graph(gone, rig.now);
    rig.run(1.0);
    assert_eq!(rig.sent().len(), before);
    assert_eq!(rig.mode(), Mode::Fault);
}

#[test]
fn a_transport_that_fails_is_a_fault() {
    let mut rig = moving();
    rig.supervisor.driver_mut().broken = true;
    rig.run(0.1);
    assert_eq!(rig.mode(), Mode::Fault);
    assert!(rig.has(EventKind::Fault, Check::Driver));
}

#[test]
fn an_arm_that_does_not_follow_is_braked_and_latched() {
    let mut config = config();
    config.tracking.error_rad = 0.06;
    let mut rig = Rig::new(config);
    rig.run(0.1);
    rig.supervisor.arm(rig.now).unwrap();
    rig.lease = rig
        .supervisor
        .acquire_lease("policy", Priority::Policy, rig.now)
        .unwrap();
    rig.follow(20, INWARD);
    for i in 0..200 {
        rig.tick();
        // Something holds the arm back, and it trembles.
        rig.joints = ready() + Joints::repeat(1e-4 * f64::from(i % 2));
    }
    assert_eq!(rig.mode(), Mode::Fault);
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
        rig.supervisor.move_named("home", 0.5, rig.now).unwrap_err().check,
        Check::Tracking
    );
    rig.supervisor.disarm(rig.now);
    rig.supervisor.arm(rig.now).unwrap();
    rig.follow(5, INWARD);
}

#[test]
fn an_arm_that_rests_outside_its_limits_is_not_armed() {
    let mut rig = Rig::new(config());
    rig.joints[3] = 2.34;
    rig.run(0.1);
    let refusal = rig.supervisor.arm(rig.now).unwrap_err();
    assert_eq!(refusal.check, Check::JointLimit);
    assert!(
        refusal.message.contains("joint 4") && refusal.message.contains("2.3050"),
        "{refusal}"
    );
}

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
        assert_eq!(rig.mode(), Mode::Holding);
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
fn foreign_heartbeats_keep_nobody_alive() {
    let mut rig = moving();
    let lease = rig.lease;
    rig.lease = lease + 7;
    rig.run(0.5);
    assert_ne!(rig.mode(), Mode::Executing);
}

#[test]
fn disarmed_means_no_command_whatever_is_asked() {
    let mut rig = Rig::new(config());
    rig.lease = rig
        .supervisor
        .acquire_lease("policy", Priority::Policy, rig.now)
        .unwrap();
    rig.run(0.2);
    let chunk = rig.chunk(ActionSpace::Ee7, steps(5, INWARD));
    assert_eq!(rig.supervisor.on_chunk(chunk, rig.now).unwrap_err().check, Check::Mode);
    assert_eq!(
        rig.supervisor.move_named("home", 0.5, rig.now).unwrap_err().check,
        Check::Mode
    );
    rig.run(0.5);
    assert!(rig.sent().is_empty() && rig.supervisor.driver().grips.is_empty());
}

#[test]
fn disarming_brakes_inside_the_limits_first() {
    let mut rig = moving();
    rig.supervisor.disarm(rig.now);
    assert_eq!(rig.mode(), Mode::Braking);
    let delay = braking_delay(&mut rig);
    assert!(delay <= 0.02, "{delay}");
    assert_eq!(rig.mode(), Mode::Disarmed);
}

#[test]
fn an_operator_takes_over_smoothly_and_the_policy_is_out() {
    let mut rig = moving();
    let policy = rig.lease;
    assert!(
        rig.supervisor
            .acquire_lease("another policy", Priority::Policy, rig.now)
            .is_err()
    );
    rig.lease = rig
        .supervisor
        .acquire_lease("teleop", Priority::Operator, rig.now)
        .unwrap();
    assert_eq!(rig.mode(), Mode::Braking);
    rig.tick();
    let operator = rig.lease;
    rig.lease = policy;
    let late = rig.chunk(ActionSpace::Ee7, steps(5, INWARD));
    assert_eq!(rig.supervisor.on_chunk(late, rig.now).unwrap_err().check, Check::Lease);
    rig.lease = operator;
    let from = rig.sent().len() - 5;
    rig.follow(5, [0.0, 0.005, 0.0, 0.0, 0.0, 0.0, 1.0]);
    assert_eq!(
        rig.mode(),
        Mode::Executing,
        "an operator does not wait for the arm to rest"
    );
    rig.run(0.3);
    for pair in rig.velocities(from).windows(2) {
        assert!((pair[1] - pair[0]).amax() <= 0.1 + 1e-3);
    }
    assert_eq!(rig.status().lease_source, "teleop");
}

#[test]
fn a_released_lease_ends_motion() {
    let mut rig = moving();
    rig.supervisor.release_lease(rig.lease, rig.now).unwrap();
    assert!(braking_delay(&mut rig) <= 0.02);
    assert_eq!(rig.mode(), Mode::Holding);
    assert!(rig.supervisor.release_lease(rig.lease, rig.now).is_err());
    assert_eq!(rig.status().lease, 0);
}

#[test]
fn a_silent_lease_holder_loses_the_lease() {
    let mut rig = Rig::armed();
    rig.heartbeat = false;
    rig.run(0.9);
    assert_eq!(rig.status().lease_source, "policy");
    rig.run(0.2);
    assert_eq!(rig.status().lease_source, "");
    assert!(rig.has(EventKind::Held, Check::Lease));
}

#[test]
fn in_a_dry_run_everything_is_computed_and_nothing_is_sent() {
    let mut config = config();
    config.dry_run = true;
    let mut rig = Rig::new(config);
    rig.run(0.1);
    rig.supervisor.arm(rig.now).unwrap();
    rig.lease = rig
        .supervisor
        .acquire_lease("policy", Priority::Policy, rig.now)
        .unwrap();
    rig.follow(20, INWARD);
    rig.run(1.5);
    let status = rig.status();
    assert_eq!(status.mode, Mode::Executing);
    assert!(status.dry_run && status.commands > 140);
    assert!((status.command_rate - 100.0).abs() < 1.0);
    assert!((status.commanded_pose.translation.x - status.measured_pose.translation.x) < -0.08);
    rig.supervisor.stop("button", rig.now);
    rig.run(0.1);
    assert!(rig.sent().is_empty() && rig.stops().is_empty() && rig.supervisor.driver().grips.is_empty());
}

#[test]
fn a_clock_that_goes_back_makes_nothing_fresh() {
    let mut rig = moving();
    rig.heartbeat = false;
    rig.now = rig.now.offset_secs(-3600.0);
    let from = rig.sent().len() - 2;
    rig.run(2.0);
    assert!(rig.has(EventKind::Held, Check::Clock));
    assert_eq!(rig.mode(), Mode::Holding);
    assert!(rig.velocities(from).last().unwrap().amax() < 1e-4);
    let chunk = rig.chunk(ActionSpace::Ee7, steps(5, INWARD));
    assert!(
        rig.supervisor.on_chunk(chunk, rig.now).is_err(),
        "the heartbeat has to come anew"
    );
}

#[test]
fn a_plan_is_not_followed_for_ever() {
    let mut rig = Rig::armed();
    let mut chunk = rig.chunk(ActionSpace::Ee7, steps(100, [-0.0005, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]));
    chunk.reference = Reference::Measured;
    rig.supervisor.on_chunk(chunk, rig.now).unwrap();
    rig.run(3.9);
    assert_eq!(rig.mode(), Mode::Executing);
    rig.run(0.3);
    assert_ne!(rig.mode(), Mode::Executing);
    assert!(rig.has(EventKind::Held, Check::Fresh));
}

#[test]
fn named_moves_arrive_inside_the_limits_and_can_be_cancelled() {
    let mut rig = Rig::armed();
    rig.supervisor.move_named("home", 0.8, rig.now).unwrap();
    let chunk = rig.chunk(ActionSpace::Ee7, steps(5, INWARD));
    assert_eq!(rig.supervisor.on_chunk(chunk, rig.now).unwrap_err().check, Check::Mode);
    rig.run(0.3);
    assert!(matches!(rig.supervisor.move_progress(), Some(MoveProgress::Running { remaining }) if remaining > 0.1));
    rig.run(5.0);
    assert_eq!(rig.supervisor.move_progress(), Some(MoveProgress::Done));
    assert!((rig.joints - config().named("home").unwrap()).amax() < 1e-6);
    assert_eq!((rig.status().clamps, rig.mode()), (0, Mode::Holding));
    rig.supervisor.move_named("ready", 0.8, rig.now).unwrap();
    rig.run(0.6);
    rig.supervisor.cancel_move(rig.now);
    assert!(braking_delay(&mut rig) <= 0.02);
    assert!(matches!(rig.supervisor.move_progress(), Some(MoveProgress::Failed(_))));
    assert_eq!(
        rig.supervisor.move_named("nowhere", 0.5, rig.now).unwrap_err().check,
        Check::Reach
    );
}

#[test]
fn named_moves_need_a_living_state_too() {
    let mut rig = Rig::armed();
    rig.supervisor.move_named("home", 0.8, rig.now).unwrap();
    rig.run(0.4);
    rig.deaf = true;
    assert!(braking_delay(&mut rig) <= 0.1);
    assert_eq!(rig.mode(), Mode::Fault);
}

#[test]
fn the_gripper_follows_the_step_under_way_and_only_while_the_arm_does() {
    let mut rig = Rig::armed();
    let mut values = steps(5, [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
    values.extend(steps(5, [0.0; 7]));
    let chunk = rig.chunk(ActionSpace::Ee7, values);
    let start = rig.now;
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
    rig.supervisor.stop("button", rig.now);
    let chunk = rig.chunk(ActionSpace::Ee7, steps(5, INWARD));
    assert!(rig.supervisor.on_chunk(chunk, rig.now).is_err());
    rig.run(0.5);
    assert_eq!(rig.supervisor.driver().grips.len(), 2);
}

#[test]
fn a_state_that_is_no_number_counts_as_none() {
    let mut rig = moving();
    rig.deaf = true;
    for _ in 0..100 {
        rig.supervisor.on_state(Joints::repeat(f64::NAN), rig.now);
        rig.tick();
    }
    assert_eq!(rig.mode(), Mode::Fault);
    assert!(rig.has(EventKind::Refused, Check::Finite));
    assert_eq!(rig.status().nonfinite, 0);
}

#[test]
fn events_say_whether_the_arm_was_stopped_or_failed() {
    let mut rig = moving();
    rig.supervisor.stop("button", rig.now);
    rig.run(0.1);
    assert!(rig.has(EventKind::Stopped, Check::Stop) && !rig.has(EventKind::Fault, Check::Stop));
    let mut rig = moving();
    rig.supervisor.on_driver_errors(ErrorChannel::All, &[0x100D], rig.now);
    rig.run(0.1);
    assert!(rig.has(EventKind::Fault, Check::Driver) && !rig.has(EventKind::Stopped, Check::Driver));
}

#[test]
fn refusals_name_the_check_the_mode_and_its_reason() {
    let mut rig = Rig::new(config());
    let refusal = rig.supervisor.move_named("home", 0.5, rig.now).unwrap_err().to_string();
    assert!(
        refusal.starts_with("mode: ") && refusal.contains("disarmed (not armed yet)"),
        "{refusal}"
    );
    let refusal = rig.supervisor.reset_fault(rig.now).unwrap_err().to_string();
    assert!(refusal.contains("found the arm disarmed"), "{refusal}");
    let refusal = rig.supervisor.arm(rig.now).unwrap_err().to_string();
    assert!(refusal.starts_with("fresh: joint state of the driver"), "{refusal}");
    rig.run(0.1);
    rig.supervisor.stop("button", rig.now);
    let refusal = rig.supervisor.arm(rig.now).unwrap_err().to_string();
    assert!(
        refusal.contains("stopped (button)") && refusal.contains("reset the fault first"),
        "{refusal}"
    );
}

#[test]
fn what_is_no_state_and_no_chunk_is_told_and_changes_nothing() {
    let mut rig = moving();
    let told = rig.events.len();
    rig.supervisor.on_malformed_state("expected 7 joints, found 6", rig.now);
    let refusal = Refusal {
        check: Check::Chunk,
        message: "expected 70 values, found 69".into(),
    };
    rig.supervisor.on_malformed_chunk("stranger", 40, refusal, rig.now);
    rig.run(0.2);
    assert_eq!(rig.mode(), Mode::Executing);
    assert_eq!(rig.status().refusals, 1);
    let [state, chunk] = &rig.events[told..] else {
        panic!("{:?}", rig.events)
    };
    assert_eq!((state.kind, state.check), (EventKind::Refused, Check::State));
    assert_eq!(state.message, "expected 7 joints, found 6");
    assert_eq!((chunk.kind, chunk.check), (EventKind::Refused, Check::Chunk));
    assert_eq!((chunk.source.as_str(), chunk.plan_id), ("stranger", 40));
    // Later events are about the plan in execution again.
    rig.supervisor.stop("button", rig.now);
    rig.run(0.1);
    let last = rig.events.last().unwrap();
    assert_eq!((last.source.as_str(), last.plan_id), ("policy", 1));
}

#[test]
fn the_status_says_what_the_arm_does_and_has_done() {
    let mut rig = Rig::armed();
    let status = rig.status();
    assert_eq!(
        (status.driver_api.as_str(), status.plan_id, status.gripper),
        ("v2", 0, 0.0)
    );
    assert_eq!((status.commanded_joints, status.measured_joints), (ready(), ready()));
    rig.follow(10, [-0.006, 0.0, 0.0, 0.0, 0.0, 0.0, 0.4]);
    rig.run(0.5);
    rig.joints += Joints::repeat(0.01);
    let measured = rig.joints;
    rig.tick();
    let status = rig.status();
    assert_eq!((status.mode, status.plan_id, status.chunks), (Mode::Executing, 1, 1));
    assert_eq!((status.lease, status.lease_source.as_str()), (rig.lease, "policy"));
    assert_eq!(status.gripper, 0.4);
    assert_eq!(status.commands as usize, rig.sent().len());
    assert_eq!(status.reason, "following policy");
    assert_eq!(status.measured_joints, measured);
    assert!((status.commanded_joints - rig.joints).amax() < 1e-6);
    assert!((status.measured_pose.translation.vector - status.commanded_pose.translation.vector).norm() > 1e-3);
}

#[test]
fn a_plan_whose_end_cannot_be_reached_is_given_up_a_second_later() {
    let mut config = config();
    config
        .named_deg
        .insert("near the end".into(), [0.0, 30.0, 0.0, 60.0, 0.0, 90.0, 356.0]);
    let mut rig = Rig::new(config);
    rig.run(0.1);
    rig.supervisor.arm(rig.now).unwrap();
    rig.supervisor.move_named("near the end", 1.0, rig.now).unwrap();
    rig.run(8.0);
    assert_eq!(rig.supervisor.move_progress(), Some(MoveProgress::Done));
    rig.lease = rig
        .supervisor
        .acquire_lease("policy", Priority::Policy, rig.now)
        .unwrap();
    let mut values = [0.0; 8];
    values[6] = 0.03;
    let chunk = rig.chunk(ActionSpace::Joint8, values.repeat(5));
    rig.supervisor.on_chunk(chunk, rig.now).unwrap();
    rig.run(1.4);
    assert_eq!(rig.mode(), Mode::Executing, "joint 7 stands at its limit and waits");
    rig.run(0.2);
    assert_eq!((rig.mode(), rig.status().underruns), (Mode::Holding, 1));
    assert!(rig.joints[6] <= 6.23 + 1e-9, "{}", rig.joints[6]);
}
