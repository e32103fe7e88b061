//! Tests of stops and of faults: what they end, how they are reset, and that nothing weakens them.

use thinkvla::contract::ActionSpace;
use thinkvla::control::event::Check;
use thinkvla::control::lease::Priority;
use thinkvla::realman::{DriverApi, Graph};
use thinkvla::supervisor::{ArmMode, ErrorChannel, Supervisor};

use super::arm_rig::{Rig, StandIn, config, steps};
use super::{INWARD, moving};

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
fn ever_new_errors_neither_fill_the_memory_nor_stop_for_ever() {
    let mut rig = Rig::armed();
    let report = |rig: &mut Rig, number: u32| {
        let codes: Vec<u32> = (1..=10).map(|code| 10 * number + code).collect();
        rig.supervisor.on_driver_errors(ErrorChannel::All, &codes, rig.now);
        rig.run(0.1);
    };
    (0..30).for_each(|number| report(&mut rig, number));
    assert_eq!(rig.stops().len(), 3 * 26, "256 codes are remembered");
    (30..40).for_each(|number| report(&mut rig, number));
    assert_eq!((rig.stops().len(), rig.mode()), (3 * 26, ArmMode::Fault));
    assert!(rig.supervisor.reset_fault(rig.now).is_err());
    rig.supervisor.on_driver_errors(ErrorChannel::All, &[], rig.now);
    rig.rearm();
    report(&mut rig, 0);
    assert_eq!((rig.stops().len(), rig.mode()), (3 * 27, ArmMode::Fault));
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
    let answer = rig.supervisor.stop("button", rig.now).unwrap_err().to_string();
    assert!(answer.contains("emergency stop"), "{answer}");
    // The missing driver is a fault already, which a stop does not hide.
    assert_eq!(rig.mode(), ArmMode::Fault);
    // If no driver was ever seen, the message type of a stop is unknown.
    let mut unseen = Supervisor::new(config(), StandIn::default(), rig.now);
    let answer = unseen.stop("button", rig.now).unwrap_err().to_string();
    assert!(answer.contains("a stop was not sent"), "{answer}");
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
    type SendCommands = fn(&mut Rig);
    let talks: [(&str, SendCommands); 7] = [
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
    rig.drop_states = true;
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
