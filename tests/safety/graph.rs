//! Tests of the ROS graph: the arm obeys one driver, and nobody else commands it.

use thinkvla::control::event::{Check, EventKind};
use thinkvla::realman::graph::{COMMAND_TOPICS, Publishers, SYSTEM_ERRORS, UNNAMED_NODE};
use thinkvla::realman::{DriverApi, Graph};
use thinkvla::supervisor::{ArmMode, ErrorChannel};

use super::arm_rig::{Rig, config};
use super::{braking_delay, moving, start};

/// A change that adds one conflicting node to the graph, and the expected words of the refusal.
type Conflict = (fn(&mut Graph), &'static str);

/// Every conflict in the graph, on topics of driver generation v2.
const CONFLICTS: [Conflict; 8] = [
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
    for (change, needle) in CONFLICTS {
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
    for (change, needle) in CONFLICTS {
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
fn another_driver_in_the_place_of_the_armed_one_is_a_fault() {
    let other = || {
        let mut graph = Graph::of_driver(DriverApi::V2);
        graph.drivers = vec!["/other_driver".to_owned()];
        graph.reporting = vec![by("joint_states", &["/other_driver"])];
        graph
    };
    let mut rig = moving();
    rig.supervisor.on_graph(other(), rig.now);
    assert!(braking_delay(&mut rig) <= 0.1);
    assert_eq!(rig.mode(), ArmMode::Fault);
    let reason = rig.status().reason;
    assert!(
        reason.contains("/rm_driver") && reason.contains("/other_driver"),
        "{reason}"
    );
    // Nor is it hidden by a graph in between, in which its name has not been discovered yet, or no driver has.
    for between in [vec![UNNAMED_NODE.to_owned()], Vec::new()] {
        let mut rig = Rig::armed();
        let mut graph = Graph::of_driver(DriverApi::V2);
        graph.drivers = between;
        rig.supervisor.on_graph(graph, rig.now);
        assert_eq!(rig.mode(), ArmMode::Holding);
        rig.supervisor.on_graph(other(), rig.now);
        assert_eq!(rig.mode(), ArmMode::Fault);
    }
}

#[test]
fn a_name_that_is_discovered_after_arming_is_no_other_driver() {
    let mut rig = Rig::new(config());
    let mut nameless = Graph::of_driver(DriverApi::V2);
    nameless.drivers = vec![UNNAMED_NODE.to_owned()];
    rig.supervisor.on_graph(nameless, rig.now);
    rig.run(0.1);
    rig.supervisor.arm(rig.now).unwrap();
    let mut named = Graph::of_driver(DriverApi::V2);
    named.drivers = vec!["/other_driver".to_owned()];
    rig.supervisor.on_graph(named, rig.now);
    assert_eq!(rig.mode(), ArmMode::Holding);
}

#[test]
fn an_arm_may_be_armed_with_another_driver_than_before() {
    let mut other = Graph::of_driver(DriverApi::V2);
    other.drivers = vec!["/other_driver".to_owned()];
    let mut rig = Rig::armed();
    rig.supervisor.on_graph(other.clone(), rig.now);
    assert_eq!(rig.mode(), ArmMode::Fault);
    rig.rearm();
    rig.supervisor.on_graph(other, rig.now);
    assert_eq!(rig.mode(), ArmMode::Holding);
}

#[test]
fn errors_of_a_driver_that_has_gone_do_not_keep_a_fault_latched() {
    let mut rig = Rig::armed();
    rig.supervisor
        .on_driver_errors(ErrorChannel::System, &[0x100D], rig.now);
    rig.run(0.1);
    let refusal = rig.supervisor.reset_fault(rig.now).unwrap_err();
    assert!(refusal.message.contains("still reports"), "{refusal}");
    let mut look = |nodes: &[&str]| {
        let mut graph = Graph::of_driver(DriverApi::V2);
        graph.reporting.push(by(SYSTEM_ERRORS, nodes));
        rig.supervisor.on_graph(graph, rig.now);
        rig.supervisor.reset_fault(rig.now).is_ok()
    };
    assert!(!look(&[]), "its publisher has not been discovered yet");
    assert!(!look(&["/rm_driver"]));
    assert!(look(&[]), "a driver of the other generation has no such topic");
    rig.supervisor.arm(rig.now).unwrap();
    assert_eq!(rig.mode(), ArmMode::Holding);
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
