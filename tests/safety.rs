//! Safety tests: each guarantee of the control side and each known hazard of the driver, on a virtual clock with a stand-in
//! for the driver.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // helpers of tests may panic

#[path = "support/arm_rig.rs"]
mod arm_rig;

use arm_rig::{PERIOD, Rig, StandIn, config, ready, steps};
use thinkvla::contract::{ActionSpace, Composition, Reference};
use thinkvla::control::event::{Check, EventKind};
use thinkvla::control::lease::{Priority, ReceivedHeartbeat};
use thinkvla::realman::graph::{COMMAND_TOPICS, Publishers};
use thinkvla::realman::{DriverApi, Graph};
use thinkvla::supervisor::{ArmMode, ErrorChannel, MoveProgress, Refusal, Supervisor};
use thinkvla::types::Joints;

/// Steps towards the base, where the arm has room: 6 cm/s.
const INWARD: [f64; 7] = [-0.006, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0];

fn moving() -> Rig {
    let mut rig = Rig::armed();
    rig.follow(20, INWARD);
    rig.run(0.5);
    assert_eq!(rig.mode(), ArmMode::Executing);
    assert!(rig.velocities(0).last().unwrap().amax() > 0.05);
    rig
}

/// Runs on; returns the time until the speed began to fall, and asserts that the arm rests and no commands follow.
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
    assert_eq!(rig.mode(), ArmMode::Holding);
    assert!(rig.has(EventKind::Held, Check::Fresh));
    assert!(rig.stops().is_empty(), "a held arm needs no stop");
    rig.acquire("policy again", Priority::Policy);
    rig.heartbeat = true;
    rig.plan_id = 0;
    rig.follow(5, INWARD);
    rig.run(0.2);
    assert_eq!(rig.mode(), ArmMode::Executing);
}

#[test]
fn a_lost_joint_state_is_braked_within_100_ms_and_latched() {
    let mut rig = moving();
    rig.deaf = true;
    let delay = braking_delay(&mut rig);
    assert!(delay <= 0.1, "{delay}");
    assert_eq!(rig.mode(), ArmMode::Fault);
    assert!(rig.has(EventKind::Fault, Check::Fresh));
    rig.deaf = false;
    rig.run(0.5);
    assert_eq!(rig.mode(), ArmMode::Fault, "the state's return does not unlatch");
    rig.rearm();
    assert_eq!(rig.mode(), ArmMode::Holding);
}

#[test]
fn a_frozen_state_with_fresh_stamps_is_found_by_its_content() {
    let mut rig = moving();
    rig.frozen = true;
    rig.run(0.4);
    assert_eq!(rig.mode(), ArmMode::Executing);
    rig.run(0.3);
    assert_ne!(rig.mode(), ArmMode::Executing);
    rig.run(1.0);
    assert_eq!(rig.mode(), ArmMode::Fault);
    assert!(rig.has(EventKind::Fault, Check::State));
}

#[test]
fn an_arm_that_rests_is_not_taken_for_frozen() {
    let mut rig = Rig::armed();
    rig.frozen = true;
    rig.run(5.0);
    assert_eq!(rig.mode(), ArmMode::Holding);
    rig.frozen = false;
    rig.follow(10, INWARD);
    rig.run(0.5);
    assert_eq!(rig.mode(), ArmMode::Executing);
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
    rig.supervisor.driver_mut().now = rig.now.steady;
    rig.supervisor.stop("button", rig.now).unwrap();
    let stopped = rig.now.steady;
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
    assert_eq!(rig.mode(), ArmMode::Stopped);
    let chunk = rig.chunk(ActionSpace::Ee7, steps(5, INWARD));
    assert_eq!(rig.supervisor.on_chunk(chunk, rig.now).unwrap_err().check, Check::Mode);
    assert_eq!(rig.supervisor.arm(rig.now).unwrap_err().check, Check::Mode);
    assert_eq!(
        rig.supervisor
            .move_named("home", 0.5, rig.lease, rig.now)
            .unwrap_err()
            .check,
        Check::Mode
    );
    rig.run(1.0);
    assert_eq!(rig.sent().len(), before);
    rig.supervisor.reset_fault(rig.now).unwrap();
    assert_eq!(rig.mode(), ArmMode::Disarmed, "a reset alone does not arm");
    rig.supervisor.arm(rig.now).unwrap();
    assert_eq!(rig.mode(), ArmMode::Holding);
}

#[test]
fn the_stop_has_the_type_the_generation_listens_to() {
    for api in [DriverApi::V1, DriverApi::V2] {
        let mut rig = Rig::armed();
        rig.supervisor.on_graph(Graph::of_driver(api), rig.now);
        rig.supervisor.stop("button", rig.now).unwrap();
        assert_eq!(rig.stops().iter().map(|stop| stop.1).collect::<Vec<_>>(), [api]);
    }
}

#[test]
fn a_stop_cannot_be_reset_while_it_is_being_sent() {
    let mut rig = moving();
    rig.supervisor.stop("button", rig.now).unwrap();
    rig.tick();
    assert_eq!(rig.supervisor.reset_fault(rig.now).unwrap_err().check, Check::Stop);
    rig.run(0.1);
    rig.supervisor.reset_fault(rig.now).unwrap();
}

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
fn a_driver_error_stops_names_the_code_and_outlives_its_own_clearing() {
    let mut rig = moving();
    let before = rig.sent().len();
    rig.supervisor.on_driver_errors(ErrorChannel::All, &[0x100D], rig.now);
    rig.run(0.2);
    assert_eq!(rig.mode(), ArmMode::Fault);
    assert_eq!(rig.sent().len(), before);
    assert_eq!(rig.stops().len(), 3);
    let reason = rig.status().reason;
    assert!(reason.contains("0x100D (collision)"), "{reason}");
    let refusal = rig.supervisor.reset_fault(rig.now).unwrap_err();
    assert!(refusal.message.contains("collision"), "{refusal}");
    // The controller clears system errors by itself.
    rig.supervisor.on_driver_errors(ErrorChannel::All, &[0], rig.now);
    rig.run(0.5);
    assert_eq!(rig.mode(), ArmMode::Fault);
    let chunk = rig.chunk(ActionSpace::Ee7, steps(5, INWARD));
    assert!(rig.supervisor.on_chunk(chunk, rig.now).is_err());
    rig.rearm();
    assert_eq!(rig.mode(), ArmMode::Holding);
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
    // Each channel clears only its own errors.
    rig.supervisor.on_driver_errors(ErrorChannel::Arm, &[], rig.now);
    assert!(rig.supervisor.reset_fault(rig.now).is_err());
    rig.supervisor.on_driver_errors(ErrorChannel::System, &[], rig.now);
    rig.supervisor.reset_fault(rig.now).unwrap();
    // Joint errors have codes of their own: this one is no collision.
    rig.supervisor
        .on_driver_errors(ErrorChannel::Joints, &[0x100D], rig.now);
    rig.run(0.2);
    let refusal = rig.supervisor.reset_fault(rig.now).unwrap_err();
    assert!(refusal.message.contains("reports joint error 0x100D;"), "{refusal}");
}

#[test]
fn a_joint_error_is_a_fault_even_while_disarmed() {
    let mut rig = Rig::new(config());
    rig.run(0.1);
    rig.supervisor
        .on_driver_errors(ErrorChannel::Joints, &[0, 0, 0x20, 0, 0, 0, 0], rig.now);
    assert_eq!(rig.mode(), ArmMode::Fault);
    assert!(rig.status().reason.contains("0x0020"));
    assert!(rig.supervisor.arm(rig.now).is_err());
}

/// A change that adds one conflicting node to the graph, and the expected words of the refusal.
type Crowd = (fn(&mut Graph), &'static str);

/// Every conflict in the graph, on topics of driver generation v2.
const CROWDS: [Crowd; 8] = [
    (
        |graph| graph.commanding.push(by(COMMAND_TOPICS[0], &["/rm_control"])),
        "/rm_control",
    ),
    (
        |graph| graph.commanding.push(by(COMMAND_TOPICS[1], &["/move_group"])),
        "/move_group",
    ),
    (
        |graph| graph.commanding.push(by(COMMAND_TOPICS[2], &["/hand"])),
        "/hand",
    ),
    (
        |graph| graph.commanding.push(by(COMMAND_TOPICS[3], &["/stop_button"])),
        "/stop_button",
    ),
    (
        |graph| graph.commanding.push(by("/rm_driver/movej_cmd", &["/planner"])),
        "/planner",
    ),
    (
        |graph| graph.reporting.push(by("joint_states", &["/rm_driver", "/player"])),
        "/player",
    ),
    (
        |graph| {
            graph
                .reporting
                .push(by("rm_driver/udp_rm_err", &["/rm_driver", "/other"]))
        },
        "/other",
    ),
    (|graph| graph.drivers.push("/sim_node".into()), "/sim_node"),
];

fn by(topic: &str, nodes: &[&str]) -> Publishers {
    Publishers {
        topic: topic.to_owned(),
        nodes: nodes.iter().map(|node| (*node).to_owned()).collect(),
    }
}

#[test]
fn nothing_is_armed_without_driver_listener_stop_and_being_alone() {
    let refused = |change: fn(&mut Graph), needle: &str| {
        let mut graph = Graph::of_driver(DriverApi::V2);
        change(&mut graph);
        let mut rig = Rig::new(config());
        rig.supervisor.on_graph(graph, rig.now);
        rig.run(0.1);
        let refusal = rig.supervisor.arm(rig.now).unwrap_err();
        assert_eq!(refusal.check, Check::Publishers);
        assert!(refusal.message.contains(needle), "{refusal}");
        assert_eq!(rig.mode(), ArmMode::Disarmed);
    };
    refused(|graph| *graph = Graph::default(), "expected rm_driver in the graph");
    refused(|graph| graph.stop_is_bool = true, "both");
    refused(|graph| graph.stop_subscribers = 0, "could not be stopped");
    refused(|graph| graph.command_subscribers = 0, "movej_canfd_cmd");
    for (change, needle) in CROWDS {
        refused(change, needle);
    }
}

#[test]
fn whoever_joins_an_armed_arm_brakes_and_latches_it() {
    let named = || {
        let mut rig = Rig::armed();
        start(&mut rig, true);
        rig.run(0.4);
        rig
    };
    for (change, needle) in CROWDS {
        for mut rig in [moving(), named(), Rig::armed()] {
            let mut graph = Graph::of_driver(DriverApi::V2);
            change(&mut graph);
            let moves = rig.mode().is_moving();
            rig.supervisor.on_graph(graph, rig.now);
            if moves {
                let delay = braking_delay(&mut rig);
                assert!(delay <= 0.1, "{delay}");
            }
            assert_eq!(rig.mode(), ArmMode::Fault);
            assert!(rig.status().reason.contains(needle), "{}", rig.status().reason);
            rig.run(0.1);
            assert!(rig.has(EventKind::Fault, Check::Publishers));
        }
    }
}

#[test]
fn an_arm_of_the_simulation_obeys_no_other_driver() {
    let mut config = config();
    config.driver.node = "sim_node".into();
    let mut rig = Rig::new(config);
    rig.run(0.1);
    let refusal = rig.supervisor.arm(rig.now).unwrap_err();
    assert!(refusal.message.contains("expected sim_node"), "{refusal}");
    assert!(refusal.message.contains("/rm_driver"), "{refusal}");
}

#[test]
fn a_stop_leaves_in_the_generation_last_known_whatever_the_graph_says_since() {
    let contradiction = {
        let mut graph = Graph::of_driver(DriverApi::V2);
        graph.stop_is_bool = true;
        graph
    };
    for graph in [
        contradiction,
        Graph {
            stop_subscribers: 1,
            ..Graph::default()
        },
    ] {
        let mut rig = moving();
        rig.supervisor.on_graph(graph, rig.now);
        assert_eq!(rig.supervisor.stop("button", rig.now), Ok(1));
        rig.run(0.1);
        assert_eq!(
            rig.stops().iter().map(|stop| stop.1).collect::<Vec<_>>(),
            [DriverApi::V2; 3]
        );
    }
}

#[test]
fn a_stop_that_reaches_nobody_is_not_called_sent() {
    let mut rig = moving();
    let gone = Graph {
        stop_subscribers: 0,
        ..Graph::of_driver(DriverApi::V2)
    };
    rig.supervisor.on_graph(gone, rig.now);
    let answer = rig.supervisor.stop("button", rig.now).unwrap_err();
    assert!(answer.contains("emergency stop"), "{answer}");
    // The missing driver is a fault already, which a stop does not hide.
    assert_eq!(rig.mode(), ArmMode::Fault);
    // If no driver was ever seen, the message type of a stop is unknown.
    let mut unseen = Supervisor::new(config(), StandIn::default(), rig.now);
    let answer = unseen.stop("button", rig.now).unwrap_err();
    assert!(answer.contains("a stop was not sent"), "{answer}");
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
    assert_eq!(rig.mode(), ArmMode::Fault);
}

#[test]
fn a_transport_that_fails_is_a_fault() {
    let mut rig = moving();
    rig.supervisor.driver_mut().broken = true;
    rig.run(0.1);
    assert_eq!(rig.mode(), ArmMode::Fault);
    assert!(rig.has(EventKind::Fault, Check::Driver));
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
fn foreign_heartbeats_keep_nobody_alive() {
    let mut rig = moving();
    let lease = rig.lease;
    rig.lease = lease + 7;
    rig.run(0.5);
    assert_ne!(rig.mode(), ArmMode::Executing);
}

#[test]
fn disarmed_means_no_command_whatever_is_asked() {
    let mut rig = Rig::new(config());
    rig.acquire("policy", Priority::Policy);
    rig.run(0.2);
    let chunk = rig.chunk(ActionSpace::Ee7, steps(5, INWARD));
    assert_eq!(rig.supervisor.on_chunk(chunk, rig.now).unwrap_err().check, Check::Mode);
    assert_eq!(
        rig.supervisor
            .move_named("home", 0.5, rig.lease, rig.now)
            .unwrap_err()
            .check,
        Check::Mode
    );
    rig.run(0.5);
    assert!(rig.sent().is_empty() && rig.supervisor.driver().grips.is_empty());
}

#[test]
fn disarming_brakes_inside_the_limits_first() {
    let mut rig = moving();
    rig.supervisor.disarm(rig.now);
    assert_eq!(rig.mode(), ArmMode::Braking);
    let delay = braking_delay(&mut rig);
    assert!(delay <= 0.02, "{delay}");
    assert_eq!(rig.mode(), ArmMode::Disarmed);
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
    rig.acquire("teleop", Priority::Operator);
    assert_eq!(rig.mode(), ArmMode::Braking);
    rig.tick();
    let operator = rig.lease;
    rig.lease = policy;
    let late = rig.chunk(ActionSpace::Ee7, steps(5, INWARD));
    assert_eq!(rig.supervisor.on_chunk(late, rig.now).unwrap_err().check, Check::Lease);
    rig.lease = operator;
    rig.source = "policy".into();
    let borrowed = rig.chunk(ActionSpace::Ee7, steps(5, INWARD));
    assert_eq!(
        rig.supervisor.on_chunk(borrowed, rig.now).unwrap_err().check,
        Check::Lease
    );
    rig.source = "teleop".into();
    let from = rig.sent().len() - 5;
    rig.follow(5, [0.0, 0.005, 0.0, 0.0, 0.0, 0.0, 1.0]);
    assert_eq!(
        rig.mode(),
        ArmMode::Executing,
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
    assert_eq!(rig.mode(), ArmMode::Holding);
    assert!(rig.supervisor.release_lease(rig.lease, rig.now).is_err());
    assert_eq!(rig.status().lease, 0);
}

#[test]
fn what_somebody_else_repeats_is_no_sign_of_life() {
    for (source, sequence, age) in [
        ("rosbag", 1_000_000, 0.0),
        ("policy", 1, 0.0),
        ("policy", 1_000_000, 3600.0),
    ] {
        let mut rig = moving();
        rig.heartbeat = false;
        let lease = rig.lease;
        for _ in 0..150 {
            let beat = ReceivedHeartbeat {
                lease,
                source,
                sequence,
                age,
            };
            rig.supervisor.on_heartbeat(&beat, rig.now);
            rig.tick();
        }
        assert_eq!(rig.mode(), ArmMode::Holding);
        assert_eq!(rig.status().lease_source, "", "the lease has lapsed");
        assert!(rig.has(EventKind::Refused, Check::Lease));
    }
}

#[test]
fn a_named_move_is_the_lease_holder_s_and_ends_with_it() {
    let under_way = || {
        let mut rig = Rig::armed();
        rig.supervisor.move_named("home", 0.8, rig.lease, rig.now).unwrap();
        rig.run(0.5);
        assert_eq!(rig.mode(), ArmMode::Moving);
        rig
    };
    let ended = |mut rig: Rig, reason: &str| {
        let delay = braking_delay(&mut rig);
        assert!(delay <= 0.1, "{delay}");
        assert_eq!(rig.mode(), ArmMode::Holding);
        let Some(MoveProgress::Failed(why)) = rig.supervisor.move_progress() else {
            panic!("the move goes on")
        };
        assert!(why.contains(reason), "{why}");
    };
    let mut rig = Rig::armed();
    let stranger = rig
        .supervisor
        .move_named("home", 0.8, rig.lease ^ 1, rig.now)
        .unwrap_err();
    assert_eq!(stranger.check, Check::Lease);
    rig.heartbeat = false;
    rig.run(0.2);
    let silent = rig.supervisor.move_named("home", 0.8, rig.lease, rig.now).unwrap_err();
    assert_eq!(silent.check, Check::Fresh);

    let mut rig = under_way();
    rig.heartbeat = false;
    ended(rig, "heartbeat");
    let mut rig = under_way();
    rig.supervisor.release_lease(rig.lease, rig.now).unwrap();
    ended(rig, "released");
    let mut rig = under_way();
    rig.supervisor
        .acquire_lease("teleop", Priority::Operator, rig.now)
        .unwrap();
    ended(rig, "teleop took the lease");
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
    rig.acquire("policy", Priority::Policy);
    rig.follow(20, INWARD);
    rig.run(1.5);
    let status = rig.status();
    assert_eq!(status.mode, ArmMode::Executing);
    assert!(status.dry_run && status.commands > 140);
    assert!((status.command_rate - 100.0).abs() < 1.0);
    assert!((status.commanded_pose.translation.x - status.measured_pose.translation.x) < -0.08);
    rig.supervisor.stop("button", rig.now).unwrap();
    rig.run(0.1);
    assert!(rig.sent().is_empty() && rig.stops().is_empty() && rig.supervisor.driver().grips.is_empty());
}

#[test]
fn a_clock_that_goes_back_makes_nothing_fresh() {
    let mut rig = moving();
    rig.heartbeat = false;
    rig.now.ros = rig.now.ros.offset_secs(-3600.0);
    let from = rig.sent().len() - 2;
    rig.run(2.0);
    assert!(rig.has(EventKind::Held, Check::Clock));
    assert_eq!(rig.mode(), ArmMode::Holding);
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
    assert_eq!(rig.mode(), ArmMode::Executing);
    rig.run(0.3);
    assert_ne!(rig.mode(), ArmMode::Executing);
    assert!(rig.has(EventKind::Held, Check::Fresh));
}

#[test]
fn named_moves_arrive_inside_the_limits_and_can_be_cancelled() {
    let mut rig = Rig::armed();
    rig.supervisor.move_named("home", 0.8, rig.lease, rig.now).unwrap();
    let chunk = rig.chunk(ActionSpace::Ee7, steps(5, INWARD));
    assert_eq!(rig.supervisor.on_chunk(chunk, rig.now).unwrap_err().check, Check::Mode);
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
fn named_moves_need_a_living_state_too() {
    let mut rig = Rig::armed();
    rig.supervisor.move_named("home", 0.8, rig.lease, rig.now).unwrap();
    rig.run(0.4);
    rig.deaf = true;
    assert!(braking_delay(&mut rig) <= 0.1);
    assert_eq!(rig.mode(), ArmMode::Fault);
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
fn a_state_that_is_no_number_counts_as_none() {
    let mut rig = moving();
    rig.deaf = true;
    for _ in 0..100 {
        rig.supervisor.on_state(Joints::repeat(f64::NAN), rig.now.ros, rig.now);
        rig.tick();
    }
    assert_eq!(rig.mode(), ArmMode::Fault);
    assert!(rig.has(EventKind::Refused, Check::Finite));
    assert_eq!(rig.status().nonfinite, 0);
}

#[test]
fn events_say_whether_the_arm_was_stopped_or_failed() {
    let mut rig = moving();
    rig.supervisor.stop("button", rig.now).unwrap();
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
    rig.acquire("policy", Priority::Policy);
    let refusal = rig
        .supervisor
        .move_named("home", 0.5, rig.lease, rig.now)
        .unwrap_err()
        .to_string();
    assert!(
        refusal.starts_with("mode: ") && refusal.contains("disarmed (not armed yet)"),
        "{refusal}"
    );
    let refusal = rig.supervisor.reset_fault(rig.now).unwrap_err().to_string();
    assert!(refusal.contains("found the arm disarmed"), "{refusal}");
    let refusal = rig.supervisor.arm(rig.now).unwrap_err().to_string();
    assert!(refusal.starts_with("fresh: joint state of the driver"), "{refusal}");
    rig.run(0.1);
    rig.supervisor.stop("button", rig.now).unwrap();
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
    assert_eq!(rig.mode(), ArmMode::Executing);
    assert_eq!(rig.status().refusals, 1);
    let [state, chunk] = &rig.events[told..] else {
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
    assert_eq!((status.mode, status.plan_id, status.chunks), (ArmMode::Executing, 1, 1));
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
                let said = if composition == Composition::Sequential {
                    0.1
                } else {
                    angle
                };
                [0.0, 0.0, 0.0, 0.0, 0.0, said, 1.0]
            })
            .collect();
        let mut chunk = rig.chunk(ActionSpace::Ee7, values);
        chunk.composition = composition;
        rig.supervisor.on_chunk(chunk, rig.now).unwrap();
    }
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

/// Starts a motion of an arm in `ready`: a still chunk, or a named move.
fn start(rig: &mut Rig, is_named: bool) {
    if is_named {
        rig.supervisor.move_named("home", 0.8, rig.lease, rig.now).unwrap();
    } else {
        rig.follow(20, [0.0; 7]);
    }
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

#[test]
fn an_arm_that_moves_is_not_armed() {
    let mut rig = Rig::new(config());
    for _ in 0..20 {
        rig.joints += Joints::repeat(0.002);
        rig.tick();
    }
    let refusal = rig.supervisor.arm(rig.now).unwrap_err();
    assert_eq!(refusal.check, Check::State);
    assert!(refusal.message.contains("joints moving"), "{refusal}");
    rig.run(0.1);
    rig.supervisor.arm(rig.now).unwrap();
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

/// An arm that brakes towards a fault, because a second driver was in the graph once.
fn failing() -> Rig {
    let mut rig = moving();
    let mut second = Graph::of_driver(DriverApi::V2);
    second.drivers.push("/sim_node".into());
    rig.supervisor.on_graph(second, rig.now);
    rig.supervisor.on_graph(Graph::of_driver(DriverApi::V2), rig.now);
    assert_eq!(rig.mode(), ArmMode::Braking);
    rig
}

#[test]
fn a_fault_on_its_way_cannot_be_talked_away() {
    type Talk = fn(&mut Rig);
    let talks: [(&str, Talk); 7] = [
        ("disarm", |rig| rig.supervisor.disarm(rig.now)),
        ("disarm and arm", |rig| {
            rig.supervisor.disarm(rig.now);
            assert_eq!(rig.supervisor.arm(rig.now).unwrap_err().check, Check::Mode);
        }),
        ("release", |rig| {
            rig.supervisor.release_lease(rig.lease, rig.now).unwrap();
        }),
        ("take over", |rig| {
            rig.supervisor
                .acquire_lease("teleop", Priority::Operator, rig.now)
                .unwrap();
        }),
        ("the clock goes back", |rig| rig.jump(-10.0)),
        ("the clock jumps ahead", |rig| rig.jump(10.0)),
        ("stop", |rig| drop(rig.supervisor.stop("button", rig.now))),
    ];
    for (talk, act) in talks {
        let mut rig = failing();
        let reason = rig.status().reason;
        act(&mut rig);
        rig.run(1.0);
        assert_eq!(rig.mode(), ArmMode::Fault, "{talk}");
        assert_eq!(rig.status().reason, reason, "{talk}");
        assert_eq!(rig.supervisor.arm(rig.now).unwrap_err().check, Check::Mode, "{talk}");
        rig.rearm();
    }
}

#[test]
fn disarming_under_way_is_not_weakened_and_can_still_become_a_fault() {
    let mut rig = moving();
    rig.supervisor.disarm(rig.now);
    assert_eq!(rig.supervisor.arm(rig.now).unwrap_err().check, Check::Mode);
    rig.supervisor.release_lease(rig.lease, rig.now).unwrap();
    rig.jump(-10.0);
    rig.run(1.0);
    assert_eq!(
        (rig.mode(), rig.status().reason.as_str()),
        (ArmMode::Disarmed, "disarmed")
    );

    let mut rig = moving();
    rig.supervisor.disarm(rig.now);
    rig.deaf = true;
    rig.tick();
    let mut second = Graph::of_driver(DriverApi::V2);
    second.drivers.push("/sim_node".into());
    rig.supervisor.on_graph(second, rig.now);
    rig.run(1.0);
    assert_eq!(rig.mode(), ArmMode::Fault);
}

#[test]
fn a_stop_does_not_hide_a_latched_fault() {
    let mut rig = moving();
    rig.supervisor.on_driver_errors(ErrorChannel::All, &[0x100D], rig.now);
    rig.run(0.1);
    rig.supervisor.stop("button", rig.now).unwrap();
    rig.run(0.1);
    assert_eq!(rig.stops().len(), 6, "the stop is sent all the same");
    assert_eq!(rig.mode(), ArmMode::Fault);
    assert!(rig.status().reason.contains("collision"));
}
