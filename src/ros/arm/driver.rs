//! ROS 2 interface to Realman's driver: publishes the supervisor's commands as driver messages.

use std::sync::Arc;

use rclrs::{IntoPrimitiveOptions as _, Node, Publisher, RclrsError};
use ros_env::geometry_msgs::msg::{Point, Pose, Quaternion};
use ros_env::rm_ros_interfaces::msg::{Cartepos, Gripperset, Jointpos};
use ros_env::std_msgs::msg::{Bool, Empty};

use crate::control::arm::ArmError;
use crate::control::config::CommandMode;
use crate::realman::graph::{GRIPPER_COMMANDS, JOINT_COMMANDS, POSE_COMMANDS, STOP_COMMANDS};
use crate::realman::{Driver, DriverApi, DriverCommand};
use crate::ros::node::qos;

/// Publisher of motion commands, only of the kind that the arm's file asks for: an unused publisher would appear in the ROS
/// graph.
enum Motion {
    Joints(Publisher<Jointpos>),
    Poses(Publisher<Cartepos>),
}

/// Publisher of the stop, of the message type that this driver generation subscribes to.
enum Stop {
    Bool(Publisher<Bool>),
    Empty(Publisher<Empty>),
}

impl Stop {
    fn api(&self) -> DriverApi {
        match self {
            Self::Bool(_) => DriverApi::V1,
            Self::Empty(_) => DriverApi::V2,
        }
    }

    fn publish(&self) -> Result<(), RclrsError> {
        match self {
            // True would make the driver wait for the controller's answer, which delays the next stop.
            Self::Bool(publisher) => publisher.publish(Bool { data: false }),
            Self::Empty(publisher) => publisher.publish(Empty::default()),
        }
    }
}

/// Publishers to `rm_driver`.
pub struct RosDriver {
    node: Node,
    motion: Motion,
    gripper: Publisher<Gripperset>,
    stop: Option<Stop>,
}

impl RosDriver {
    /// Creates the publishers for motion and gripper; `prepare_stop` creates that of the stop once its type is known.
    ///
    /// # Errors
    /// When a publisher cannot be created.
    pub fn new(node: &Node, mode: CommandMode) -> Result<Self, RclrsError> {
        let motion = match mode {
            CommandMode::Joint => Motion::Joints(node.create_publisher(JOINT_COMMANDS.qos(qos::driver_command()))?),
            CommandMode::Cartesian => Motion::Poses(node.create_publisher(POSE_COMMANDS.qos(qos::driver_command()))?),
        };
        Ok(Self {
            node: Arc::clone(node),
            motion,
            gripper: node.create_publisher(GRIPPER_COMMANDS.qos(qos::driver_command()))?,
            stop: None,
        })
    }

    /// Topic of motion commands, remapped.
    pub fn motion_topic(&self) -> String {
        match &self.motion {
            Motion::Joints(publisher) => publisher.topic_name(),
            Motion::Poses(publisher) => publisher.topic_name(),
        }
    }

    /// Topics it publishes on at present, each as its name before and after remapping.
    pub fn own_topics(&self) -> Vec<(&'static str, String)> {
        let motion = match &self.motion {
            Motion::Joints(_) => JOINT_COMMANDS,
            Motion::Poses(_) => POSE_COMMANDS,
        };
        let mut own = vec![
            (motion, self.motion_topic()),
            (GRIPPER_COMMANDS, self.gripper.topic_name()),
        ];
        if self.stop.is_some() {
            own.push((STOP_COMMANDS, self.stop_topic()));
        }
        own
    }

    /// Topic of the stop; the remapped name once its publisher exists.
    pub fn stop_topic(&self) -> String {
        match &self.stop {
            Some(Stop::Bool(publisher)) => publisher.topic_name(),
            Some(Stop::Empty(publisher)) => publisher.topic_name(),
            None => crate::ros::node::graph::resolve(&self.node, STOP_COMMANDS),
        }
    }

    /// Creates the stop publisher for this driver generation and drops that of another one.
    ///
    /// # Errors
    /// When the publisher cannot be created.
    pub fn prepare_stop(&mut self, api: DriverApi) -> Result<(), RclrsError> {
        if self.stop.as_ref().is_some_and(|stop| stop.api() == api) {
            return Ok(());
        }
        // Fast DDS refuses a second type on a topic within one process: the old publisher must go first.
        self.stop = None;
        let topic = STOP_COMMANDS.qos(qos::driver_command());
        self.stop = Some(match api {
            DriverApi::V1 => Stop::Bool(self.node.create_publisher(topic)?),
            DriverApi::V2 => Stop::Empty(self.node.create_publisher(topic)?),
        });
        Ok(())
    }

    /// Number of subscriptions that would receive a stop.
    pub fn stop_subscribers(&self) -> usize {
        let matched = match &self.stop {
            Some(Stop::Bool(publisher)) => publisher.get_subscription_count(),
            Some(Stop::Empty(publisher)) => publisher.get_subscription_count(),
            None => return 0,
        };
        matched.unwrap_or(0)
    }

    /// Number of subscriptions that would receive a motion command.
    pub fn motion_subscribers(&self) -> usize {
        let matched = match &self.motion {
            Motion::Joints(publisher) => publisher.get_subscription_count(),
            Motion::Poses(publisher) => publisher.get_subscription_count(),
        };
        matched.unwrap_or(0)
    }

    fn publish(&self, command: &DriverCommand) -> Result<(), ArmError> {
        let refused = |e: RclrsError| ArmError::Transport(e.to_string());
        let unprepared = |expected: &str| {
            ArmError::Transport(format!(
                "expected a publisher for {expected}, found none; was it configured?"
            ))
        };
        match (command, &self.motion, &self.stop) {
            (
                DriverCommand::Joints {
                    joint,
                    follow,
                    expand,
                    dof,
                },
                Motion::Joints(publisher),
                _,
            ) => publisher
                .publish(Jointpos {
                    joint: joint.to_vec(),
                    follow: *follow,
                    expand: *expand,
                    dof: *dof,
                })
                .map_err(refused),
            (
                DriverCommand::Pose {
                    position,
                    orientation,
                    follow,
                },
                Motion::Poses(publisher),
                _,
            ) => publisher
                .publish(Cartepos {
                    pose: pose(*position, *orientation),
                    follow: *follow,
                })
                .map_err(refused),
            (DriverCommand::Stop(api), _, Some(stop)) if stop.api() == *api => stop.publish().map_err(refused),
            (
                DriverCommand::Gripper {
                    position,
                    block,
                    timeout,
                },
                ..,
            ) => self
                .gripper
                .publish(Gripperset {
                    position: *position,
                    block: *block,
                    timeout: *timeout,
                })
                .map_err(refused),
            (DriverCommand::Stop(api), ..) => Err(unprepared(&format!("a stop of driver generation {api}"))),
            (DriverCommand::Joints { .. }, ..) => Err(unprepared(JOINT_COMMANDS)),
            (DriverCommand::Pose { .. }, ..) => Err(unprepared(POSE_COMMANDS)),
        }
    }
}

impl Driver for RosDriver {
    fn send(&mut self, command: &DriverCommand) -> Result<(), ArmError> {
        self.publish(command)
    }
}

fn pose([x, y, z]: [f64; 3], [i, j, k, w]: [f64; 4]) -> Pose {
    Pose {
        position: Point { x, y, z },
        orientation: Quaternion { x: i, y: j, z: k, w },
    }
}
