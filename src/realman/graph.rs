//! Facts about the driver from the ROS graph: its generation, its subscriptions, and other publishers of commands.

use std::fmt;

use super::readiness::{DriverNotReady, Undetermined};
use crate::control::config::{ApiChoice, CommandMode, DriverConfig};

/// Driver generation; generations differ in the type of the stop topic and in the error topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DriverApi {
    /// Up to 1.2: `move_stop_cmd` is std_msgs/Bool, errors on `udp_sys_err` and `udp_arm_err`.
    V1,
    /// From 1.3: `move_stop_cmd` is std_msgs/Empty, errors on `udp_rm_err`.
    V2,
}

impl fmt::Display for DriverApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        })
    }
}

/// Topic of joint pass-through commands.
pub const JOINT_COMMANDS: &str = "rm_driver/movej_canfd_cmd";
/// Topic of pose pass-through commands.
pub const POSE_COMMANDS: &str = "rm_driver/movep_canfd_cmd";
/// Topic of stops; its type shows the driver's generation.
pub const STOP_COMMANDS: &str = "rm_driver/move_stop_cmd";
/// Topic of gripper commands.
pub const GRIPPER_COMMANDS: &str = "rm_driver/set_gripper_position_cmd";
/// Topic of joint states.
pub const JOINT_STATES: &str = "joint_states";
/// Topic of all errors, generation v2.
pub const ALL_ERRORS: &str = "rm_driver/udp_rm_err";
/// Topic of system errors, generation v1.
pub const SYSTEM_ERRORS: &str = "rm_driver/udp_sys_err";
/// Topic of arm errors, generation v1.
pub const ARM_ERRORS: &str = "rm_driver/udp_arm_err";
/// Topic of joint errors, one code per joint.
pub const JOINT_ERRORS: &str = "rm_driver/udp_joint_error_code";

/// Command topics that this node uses, before remapping; only this node may publish on them. [`is_command`] recognises the
/// driver's other command topics.
pub const COMMAND_TOPICS: [&str; 4] = [JOINT_COMMANDS, POSE_COMMANDS, GRIPPER_COMMANDS, STOP_COMMANDS];
/// Topics that only the arm's driver may publish on: reports of a second publisher would be taken for the driver's.
pub const REPORT_TOPICS: [&str; 5] = [JOINT_STATES, ALL_ERRORS, SYSTEM_ERRORS, ARM_ERRORS, JOINT_ERRORS];

/// Whether a topic below the driver's name commands the driver: all that end in `_cmd`, in both generations, but for queries
/// (`get_..._cmd`), which move and change nothing. Stops count too: the controller executes the next frame after a stop, so this
/// node has to brake an arm that another node has stopped.
pub fn is_command(name: &str) -> bool {
    name.ends_with("_cmd") && !name.starts_with("get_")
}

/// What stands for the name of a node of which a publisher or subscription has been discovered, and the name not yet.
pub const UNNAMED_NODE: &str = "a node that has not told its name yet";

/// Publishers of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publishers {
    /// Topic, in the arm's namespace or in full.
    pub topic: String,
    /// Full name of each publisher's node, or [`UNNAMED_NODE`]; a node with two publishers is listed twice.
    pub nodes: Vec<String>,
}

/// Facts of the ROS graph, without the entities of this node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Graph {
    /// Whether another node subscribes to `move_stop_cmd` as std_msgs/Bool.
    pub stop_is_bool: bool,
    /// Whether another node subscribes to `move_stop_cmd` as std_msgs/Empty.
    pub stop_is_empty: bool,
    /// Number of subscribers of the command topic that this node's publisher is matched with.
    pub command_subscribers: usize,
    /// Number of subscribers of `move_stop_cmd` that this node's publisher is matched with.
    pub stop_subscribers: usize,
    /// Full name of the node of each subscription of the command topic that belongs to a driver, or [`UNNAMED_NODE`]: a node
    /// that also publishes joint states or a topic below `rm_driver`. Recorders and `ros2 topic echo` publish neither.
    pub drivers: Vec<String>,
    /// Other publishers on [`COMMAND_TOPICS`] and on the driver's other command topics.
    pub commanding: Vec<Publishers>,
    /// Publishers on [`REPORT_TOPICS`].
    pub reporting: Vec<Publishers>,
}

impl Graph {
    /// Returns the graph of a single driver of this generation, for drivers in this process.
    pub fn of_driver(api: DriverApi) -> Self {
        let errors = match api {
            DriverApi::V1 => SYSTEM_ERRORS,
            DriverApi::V2 => ALL_ERRORS,
        };
        let driver = "/rm_driver".to_owned();
        let publishes = |topic: &str| Publishers {
            topic: topic.to_owned(),
            nodes: vec![driver.clone()],
        };
        Self {
            stop_is_bool: api == DriverApi::V1,
            stop_is_empty: api == DriverApi::V2,
            command_subscribers: 1,
            stop_subscribers: 1,
            reporting: vec![publishes(JOINT_STATES), publishes(errors)],
            commanding: Vec::new(),
            drivers: vec![driver],
        }
    }

    /// Topic of the commands in `mode`.
    pub fn command_topic(&self, mode: CommandMode) -> &'static str {
        match mode {
            CommandMode::Joint => JOINT_COMMANDS,
            CommandMode::Cartesian => POSE_COMMANDS,
        }
    }

    /// Generation of the driver.
    ///
    /// # Errors
    /// When the graph does not determine it, or contradicts the parameter.
    pub fn api(&self, choice: ApiChoice) -> Result<DriverApi, Undetermined> {
        let v1 = self.stop_is_bool || self.is_reported(SYSTEM_ERRORS);
        let v2 = self.stop_is_empty || self.is_reported(ALL_ERRORS);
        let found = match (v1, v2) {
            (true, true) => return Err(Undetermined::Both),
            (true, false) => Some(DriverApi::V1),
            (false, true) => Some(DriverApi::V2),
            (false, false) => None,
        };
        let parameter = match choice {
            ApiChoice::Auto => return found.ok_or(Undetermined::NoDriver),
            ApiChoice::V1 => DriverApi::V1,
            ApiChoice::V2 => DriverApi::V2,
        };
        match found {
            Some(graph) if graph != parameter => Err(Undetermined::Contradiction { parameter, graph }),
            _ => Ok(parameter),
        }
    }

    pub(super) fn is_reported(&self, topic: &str) -> bool {
        let mut of_topic = self.reporting.iter().filter(|of| of.topic == topic);
        of_topic.any(|of| !of.nodes.is_empty())
    }

    /// Checks that the arm may be armed with this driver; returns its generation.
    ///
    /// # Errors
    /// With the first reason against it.
    pub fn ready(&self, expected: &DriverConfig) -> Result<DriverApi, DriverNotReady> {
        let api = self.api(expected.api)?;
        let topic = self.command_topic(expected.command);
        if self.stop_subscribers == 0 {
            return Err(DriverNotReady::NoStop);
        }
        if self.command_subscribers == 0 {
            return Err(DriverNotReady::NoListener { topic });
        }
        if let Some(by) = self.commanding.iter().find(|by| !by.nodes.is_empty()) {
            return Err(DriverNotReady::Commanded {
                topic: by.topic.clone(),
                others: by.nodes.clone(),
            });
        }
        if let Some(by) = self.reporting.iter().find(|by| by.nodes.len() > 1) {
            return Err(DriverNotReady::Reported {
                topic: by.topic.clone(),
                nodes: by.nodes.clone(),
            });
        }
        match self.drivers.as_slice() {
            [] if !expected.node.is_empty() => Err(DriverNotReady::DriverMissing {
                expected: expected.node.clone(),
                topic,
            }),
            [found] if !expected.node.is_empty() && found == UNNAMED_NODE => Err(DriverNotReady::Unnamed {
                expected: expected.node.clone(),
            }),
            [found] if !expected.node.is_empty() && !is_named(found, &expected.node) => {
                Err(DriverNotReady::OtherDriver {
                    expected: expected.node.clone(),
                    found: found.clone(),
                })
            }
            [] | [_] => Ok(api),
            drivers => Err(DriverNotReady::Drivers {
                topic,
                drivers: drivers.to_vec(),
            }),
        }
    }
}

/// Whether the last part of a node's full name is `name`.
fn is_named(full: &str, name: &str) -> bool {
    full.rsplit('/').next() == Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AUTO: ApiChoice = ApiChoice::Auto;

    #[test]
    fn either_sign_of_a_generation_is_enough() {
        for graph in [
            Graph {
                stop_is_bool: true,
                ..Graph::default()
            },
            reporting(SYSTEM_ERRORS, &["/rm_driver"]),
        ] {
            assert_eq!(graph.api(AUTO), Ok(DriverApi::V1));
        }
        for graph in [
            Graph {
                stop_is_empty: true,
                ..Graph::default()
            },
            reporting(ALL_ERRORS, &["/rm_driver"]),
        ] {
            assert_eq!(graph.api(AUTO), Ok(DriverApi::V2));
        }
    }

    #[test]
    fn no_sign_and_signs_of_both_are_undetermined() {
        assert_eq!(Graph::default().api(AUTO), Err(Undetermined::NoDriver));
        let both = Graph {
            stop_is_bool: true,
            ..reporting(ALL_ERRORS, &["/rm_driver"])
        };
        assert_eq!(both.api(AUTO), Err(Undetermined::Both));
        assert_eq!(both.api(ApiChoice::V1), Err(Undetermined::Both));
    }

    #[test]
    fn the_parameter_decides_where_the_graph_is_silent_and_never_against_it() {
        assert_eq!(Graph::default().api(ApiChoice::V1), Ok(DriverApi::V1));
        assert_eq!(Graph::default().api(ApiChoice::V2), Ok(DriverApi::V2));
        assert_eq!(Graph::of_driver(DriverApi::V1).api(ApiChoice::V1), Ok(DriverApi::V1));
        let error = Graph::of_driver(DriverApi::V1).api(ApiChoice::V2).unwrap_err();
        assert!(error.to_string().contains("says v2, the graph says v1"), "{error}");
    }

    fn reporting(topic: &str, nodes: &[&str]) -> Graph {
        Graph {
            reporting: vec![publishers(topic, nodes)],
            ..Graph::default()
        }
    }

    fn publishers(topic: &str, nodes: &[&str]) -> Publishers {
        Publishers {
            topic: topic.to_owned(),
            nodes: nodes.iter().map(|node| (*node).to_owned()).collect(),
        }
    }

    fn expected(command: CommandMode, node: &str) -> DriverConfig {
        DriverConfig {
            api: AUTO,
            command,
            follow: false,
            node: node.to_owned(),
        }
    }

    /// Error of a ready graph after `change`.
    fn refused(change: impl FnOnce(&mut Graph)) -> String {
        let mut graph = Graph::of_driver(DriverApi::V2);
        change(&mut graph);
        graph.ready(&expected(CommandMode::Joint, "")).unwrap_err().to_string()
    }

    #[test]
    fn one_driver_that_listens_and_can_be_stopped_is_ready() {
        let good = Graph::of_driver(DriverApi::V2);
        assert_eq!(good.ready(&expected(CommandMode::Joint, "")), Ok(DriverApi::V2));
        let refusal = Graph::default().ready(&expected(CommandMode::Joint, ""));
        assert!(matches!(refusal, Err(DriverNotReady::Undetermined(_))));
        assert!(refused(|graph| graph.stop_subscribers = 0).contains("subscriber of move_stop_cmd"));
        assert!(refused(|graph| graph.command_subscribers = 0).contains("movej_canfd_cmd"));
        let unsubscribed = Graph {
            command_subscribers: 0,
            ..good
        };
        let refusal = unsubscribed.ready(&expected(CommandMode::Cartesian, "")).unwrap_err();
        assert!(refusal.to_string().contains("movep_canfd_cmd"), "{refusal}");
    }

    #[test]
    fn nobody_else_commands_on_any_topic_that_moves_something() {
        for topic in COMMAND_TOPICS.into_iter().chain(["/rm_driver/movej_cmd"]) {
            let refusal = refused(|graph| graph.commanding = vec![publishers(topic, &["/rm_control"])]);
            assert!(refusal.contains(topic) && refusal.contains("/rm_control"), "{refusal}");
        }
    }

    #[test]
    fn every_command_of_the_driver_is_one_but_queries_are_not() {
        let commands = [
            "movej_canfd_cmd",
            "movej_canfd_custom_cmd",
            "movep_canfd_cmd",
            "movep_canfd_custom_cmd",
            "movej_cmd",
            "movel_cmd",
            "movel_offset_cmd",
            "movec_cmd",
            "movej_p_cmd",
            "move_stop_cmd",
            "emergency_stop_cmd",
            "pause_cmd",
            "set_arm_continue_cmd",
            "set_gripper_position_cmd",
            "set_gripper_pick_cmd",
            "set_gripper_pick_on_cmd",
            "set_realtime_push_cmd",
            "set_tool_voltage_cmd",
            "set_joint_err_clear_cmd",
            "change_work_frame_cmd",
            "change_tool_frame_cmd",
            "set_joint_teach_cmd",
            "set_pos_teach_cmd",
            "set_ort_teach_cmd",
            "set_stop_teach_cmd",
        ];
        assert!(commands.into_iter().all(is_command));
        let others = [
            "get_current_arm_state_cmd",
            "get_curr_workFrame_cmd",
            "get_realtime_push_cmd",
            "movej_result",
            "udp_rm_err",
        ];
        assert!(!others.into_iter().any(is_command));
    }

    #[test]
    fn whatever_the_arm_reports_comes_from_one_node() {
        for topic in REPORT_TOPICS {
            // Errors of the other generation are reported as a contradiction first.
            if topic == SYSTEM_ERRORS {
                continue;
            }
            let refusal = refused(|graph| {
                graph.reporting = vec![publishers(topic, &["/rm_driver", "/joint_state_publisher"])];
            });
            assert!(
                refusal.contains(topic) && refusal.contains("/joint_state_publisher"),
                "{refusal}"
            );
        }
    }

    #[test]
    fn one_driver_obeys_and_it_is_the_one_that_was_asked_for() {
        let refusal = refused(|graph| graph.drivers.push("/sim_node".into()));
        assert!(refusal.contains("/rm_driver and /sim_node"), "{refusal}");
        // Two drivers of the same name count as two.
        let refusal = refused(|graph| graph.drivers.push("/rm_driver".into()));
        assert!(refusal.contains("found 2"), "{refusal}");
        let good = Graph::of_driver(DriverApi::V2);
        assert!(good.ready(&expected(CommandMode::Joint, "rm_driver")).is_ok());
        let refusal = good.ready(&expected(CommandMode::Joint, "sim_node")).unwrap_err();
        assert!(refusal.to_string().contains("expected sim_node"), "{refusal}");
        let nameless = Graph {
            drivers: vec![UNNAMED_NODE.to_owned()],
            ..good.clone()
        };
        assert!(nameless.ready(&expected(CommandMode::Joint, "")).is_ok());
        let refusal = nameless.ready(&expected(CommandMode::Joint, "sim_node")).unwrap_err();
        assert!(
            refusal.to_string().contains("not told its name yet; try again"),
            "{refusal}"
        );
        // A node that reports nothing subscribes, and the expected driver does not.
        let recorded = Graph {
            drivers: Vec::new(),
            ..good
        };
        assert!(recorded.ready(&expected(CommandMode::Joint, "")).is_ok());
        let refusal = recorded.ready(&expected(CommandMode::Joint, "sim_node")).unwrap_err();
        assert!(refusal.to_string().contains("expected sim_node"), "{refusal}");
    }
}
