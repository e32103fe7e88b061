//! What the ROS graph tells about the driver: its generation, who listens, and who else commands.

use std::fmt;

use crate::control::config::{ApiChoice, CommandMode};

/// Driver generation: they differ in the type of the stop topic and in the error topics.
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

/// Facts of the graph, without what this node itself contributes unless said otherwise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Graph {
    /// Somebody subscribes to `move_stop_cmd` as std_msgs/Bool.
    pub stop_is_bool: bool,
    /// Somebody subscribes to `move_stop_cmd` as std_msgs/Empty.
    pub stop_is_empty: bool,
    /// Somebody publishes `udp_sys_err`.
    pub publishes_sys_err: bool,
    /// Somebody publishes `udp_rm_err`.
    pub publishes_rm_err: bool,
    /// Subscribers of the command topic.
    pub command_subscribers: usize,
    /// Publishers on the command topic, this node among them.
    pub command_publishers: usize,
    /// Subscribers of `move_stop_cmd` whatever its type.
    pub stop_subscribers: usize,
}

/// Why the generation is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Undetermined {
    /// Nothing in the graph looks like a driver.
    #[error(
        "expected rm_driver in the graph, found neither a subscriber of move_stop_cmd nor udp_rm_err or udp_sys_err; \
             start the driver, or set driver.api"
    )]
    NoDriver,
    /// Signs of both generations.
    #[error("expected one driver generation, found signs of both; run one driver only")]
    Both,
    /// The parameter says otherwise than the graph.
    #[error(
        "driver.api says {parameter}, the graph says {graph}; a stop of the wrong type would never arrive, \
             correct the parameter"
    )]
    Contradiction {
        /// What the parameter says.
        parameter: DriverApi,
        /// What the graph says.
        graph: DriverApi,
    },
}

/// Why the driver must not be commanded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotReady {
    /// The generation is not known.
    #[error(transparent)]
    Undetermined(#[from] Undetermined),
    /// A stop would not arrive.
    #[error("expected a subscriber of move_stop_cmd, found none; without it the arm could not be stopped")]
    NoStop,
    /// Commands would not arrive.
    #[error("expected a subscriber of {topic}, found none; start rm_driver or check the namespace")]
    NoListener {
        /// Command topic.
        topic: &'static str,
    },
    /// Somebody else commands the arm.
    #[error(
        "expected this node as the only publisher of {topic}, found {found} publishers; stop rm_control, MoveIt or \
             the other node"
    )]
    Publishers {
        /// Command topic.
        topic: &'static str,
        /// Publishers, this node included.
        found: usize,
    },
}

impl Graph {
    /// The graph of a driver of that generation with nothing else in it, for drivers in this process.
    pub fn of_driver(api: DriverApi) -> Self {
        Self {
            stop_is_bool: api == DriverApi::V1,
            stop_is_empty: api == DriverApi::V2,
            publishes_sys_err: api == DriverApi::V1,
            publishes_rm_err: api == DriverApi::V2,
            command_subscribers: 1,
            command_publishers: 1,
            stop_subscribers: 1,
        }
    }

    /// Topic commands go to.
    pub fn command_topic(&self, mode: CommandMode) -> &'static str {
        match mode {
            CommandMode::Joint => "rm_driver/movej_canfd_cmd",
            CommandMode::Cartesian => "rm_driver/movep_canfd_cmd",
        }
    }

    /// Generation of the driver.
    ///
    /// # Errors
    /// When the graph does not tell, or contradicts the parameter.
    pub fn api(&self, choice: ApiChoice) -> Result<DriverApi, Undetermined> {
        let v1 = self.stop_is_bool || self.publishes_sys_err;
        let v2 = self.stop_is_empty || self.publishes_rm_err;
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

    /// Whether the arm may be armed.
    ///
    /// # Errors
    /// With the first thing that stands against it.
    pub fn ready(&self, choice: ApiChoice, mode: CommandMode) -> Result<DriverApi, NotReady> {
        let api = self.api(choice)?;
        let topic = self.command_topic(mode);
        if self.stop_subscribers == 0 {
            return Err(NotReady::NoStop);
        }
        if self.command_subscribers == 0 {
            return Err(NotReady::NoListener { topic });
        }
        if self.command_publishers > 1 {
            return Err(NotReady::Publishers {
                topic,
                found: self.command_publishers,
            });
        }
        Ok(api)
    }
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
            Graph {
                publishes_sys_err: true,
                ..Graph::default()
            },
        ] {
            assert_eq!(graph.api(AUTO), Ok(DriverApi::V1));
        }
        for graph in [
            Graph {
                stop_is_empty: true,
                ..Graph::default()
            },
            Graph {
                publishes_rm_err: true,
                ..Graph::default()
            },
        ] {
            assert_eq!(graph.api(AUTO), Ok(DriverApi::V2));
        }
    }

    #[test]
    fn no_sign_and_signs_of_both_are_undetermined() {
        assert_eq!(Graph::default().api(AUTO), Err(Undetermined::NoDriver));
        let both = Graph {
            stop_is_bool: true,
            publishes_rm_err: true,
            ..Graph::default()
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

    #[test]
    fn nothing_is_armed_without_a_stop_a_listener_and_being_alone() {
        let good = Graph::of_driver(DriverApi::V2);
        let ready = |graph: Graph| graph.ready(AUTO, CommandMode::Joint);
        assert_eq!(ready(good), Ok(DriverApi::V2));
        assert_eq!(
            ready(Graph {
                stop_subscribers: 0,
                ..good
            }),
            Err(NotReady::NoStop)
        );
        let topic = "rm_driver/movej_canfd_cmd";
        assert_eq!(
            ready(Graph {
                command_subscribers: 0,
                ..good
            }),
            Err(NotReady::NoListener { topic })
        );
        assert_eq!(
            ready(Graph {
                command_publishers: 2,
                ..good
            }),
            Err(NotReady::Publishers { topic, found: 2 })
        );
        assert!(matches!(ready(Graph::default()), Err(NotReady::Undetermined(_))));
        let cartesian = Graph {
            command_subscribers: 0,
            ..good
        }
        .ready(AUTO, CommandMode::Cartesian);
        assert_eq!(
            cartesian,
            Err(NotReady::NoListener {
                topic: "rm_driver/movep_canfd_cmd"
            })
        );
    }
}
