//! Topics of Realman's driver: names, types and quality of service of one generation.

use std::any::Any;
use std::sync::mpsc::Sender;

use rclrs::{IntoPrimitiveOptions as _, Node, Publisher, QoSProfile, RclrsError};
use ros_env::geometry_msgs::msg::Pose as PoseMessage;
use ros_env::rm_ros_interfaces::msg::{Cartepos, Gripperset, Jointerrorcode, Jointpos, Movej, Rmerr};
use ros_env::sensor_msgs::msg::JointState;
use ros_env::std_msgs::msg::{Bool, Empty, Header, UInt16};

use super::commands::SimCommand;
use crate::realman::{DriverApi, graph};
use crate::ros::convert::pose::pose_to_message;
use crate::ros::node::qos;
use crate::ros::node::services::Handles;
use crate::ros::node::time::{NodeClock, to_message};
use crate::sim::driver::{DriverMotion, DriverState, Grip, JointFrame, PlannedMove, PoseFrame, Reply};
use crate::types::JOINTS;

/// Quality of service of the driver's command and result topics: reliable, depth 1000.
fn deep() -> QoSProfile {
    QoSProfile::topics_default().keep_last(1000)
}

/// Subscriptions to the driver's command topics; commands are received as long as this lives.
pub struct CommandTopics {
    _ends: Handles,
}

/// Subscribes to the command topics of a driver generation.
///
/// # Errors
/// When a subscription cannot be created.
pub fn listen(node: &Node, api: DriverApi, inbox: &Sender<SimCommand>) -> Result<CommandTopics, RclrsError> {
    // The physics thread lives as long as the node; a later command is of no use.
    let sender = |inbox: &Sender<SimCommand>| {
        let inbox = inbox.clone();
        move |command: SimCommand| drop(inbox.send(command))
    };
    let send = sender(inbox);
    let joints = node.create_subscription(graph::JOINT_COMMANDS.qos(deep()), move |m: Jointpos| {
        send(SimCommand::Motion(DriverMotion::Joints(JointFrame {
            joint: m.joint,
            follow: m.follow,
            dof: m.dof,
        })));
    })?;
    let send = sender(inbox);
    let pose = node.create_subscription(graph::POSE_COMMANDS.qos(deep()), move |m: Cartepos| {
        let (p, q) = (m.pose.position, m.pose.orientation);
        send(SimCommand::Motion(DriverMotion::Pose(PoseFrame {
            position: [p.x, p.y, p.z],
            orientation: [q.x, q.y, q.z, q.w],
            follow: m.follow,
        })));
    })?;
    let send = sender(inbox);
    let planned = node.create_subscription("rm_driver/movej_cmd".qos(deep()), move |m: Movej| {
        send(SimCommand::Motion(DriverMotion::Planned(PlannedMove {
            joint: m.joint,
            speed: m.speed,
            block: m.block,
            dof: m.dof,
        })));
    })?;
    let send = sender(inbox);
    let grip = node.create_subscription(graph::GRIPPER_COMMANDS.qos(deep()), move |m: Gripperset| {
        send(SimCommand::Grip(Grip {
            position: m.position,
            block: m.block,
            timeout: m.timeout,
        }));
    })?;
    let send = sender(inbox);
    let stop_topic = graph::STOP_COMMANDS.qos(deep());
    let stop: Box<dyn Any + Send + Sync> = match api {
        DriverApi::V1 => Box::new(node.create_subscription(stop_topic, move |_: Bool| send(SimCommand::Stop))?),
        DriverApi::V2 => Box::new(node.create_subscription(stop_topic, move |_: Empty| send(SimCommand::Stop))?),
    };
    Ok(CommandTopics {
        _ends: vec![
            Box::new(joints),
            Box::new(pose),
            Box::new(planned),
            Box::new(grip),
            stop,
        ],
    })
}

/// Publishers of the driver's state and results.
pub struct StateTopics {
    clock: NodeClock,
    joints: Publisher<JointState>,
    pose: Publisher<PoseMessage>,
    errors: Errors,
    joint_errors: Publisher<Jointerrorcode>,
    stopped: Publisher<Bool>,
    planned: Publisher<Bool>,
    gripped: Publisher<Bool>,
}

/// Publishers of errors.
enum Errors {
    V1 {
        system: Publisher<UInt16>,
        arm: Publisher<UInt16>,
    },
    V2(Publisher<Rmerr>),
}

impl StateTopics {
    /// Creates the publishers of a driver generation.
    ///
    /// # Errors
    /// When a publisher cannot be created.
    pub fn new(node: &Node, api: DriverApi) -> Result<Self, RclrsError> {
        let state = qos::driver_state;
        Ok(Self {
            clock: NodeClock::of(node),
            joints: node.create_publisher(graph::JOINT_STATES.qos(state()))?,
            pose: node.create_publisher("rm_driver/udp_arm_position".qos(state()))?,
            errors: match api {
                DriverApi::V1 => Errors::V1 {
                    system: node.create_publisher(graph::SYSTEM_ERRORS.qos(state()))?,
                    arm: node.create_publisher(graph::ARM_ERRORS.qos(state()))?,
                },
                DriverApi::V2 => Errors::V2(node.create_publisher(graph::ALL_ERRORS.qos(state()))?),
            },
            joint_errors: node.create_publisher(graph::JOINT_ERRORS.qos(state()))?,
            stopped: node.create_publisher("rm_driver/move_stop_result".qos(deep()))?,
            planned: node.create_publisher("rm_driver/movej_result".qos(deep()))?,
            gripped: node.create_publisher("rm_driver/set_gripper_position_result".qos(deep()))?,
        })
    }

    /// Publishes a state. Its stamp is the time of publication, whatever the age of the values.
    ///
    /// # Errors
    /// When ROS refuses a message.
    pub fn publish(&self, state: &DriverState) -> Result<(), RclrsError> {
        self.joints.publish(JointState {
            header: Header {
                stamp: to_message(self.clock.now()),
                frame_id: String::new(),
            },
            name: (1..=state.joints.len()).map(|i| format!("joint{i}")).collect(),
            position: state.joints.iter().copied().collect(),
            ..JointState::default()
        })?;
        self.pose.publish(pose_to_message(&state.pose))?;
        // Faults of single joints are not simulated.
        self.joint_errors.publish(Jointerrorcode {
            joint_error: vec![0; state.joints.len()],
            dof: JOINTS as u8,
        })?;
        match &self.errors {
            Errors::V1 { system, arm } => {
                system.publish(UInt16 { data: state.error })?;
                arm.publish(UInt16 { data: 0 })
            }
            // The absence of errors is reported as one error with code 0.
            Errors::V2(errors) => errors.publish(Rmerr {
                err_len: 1,
                err: vec![i32::from(state.error)],
            }),
        }
    }

    /// Publishes a result.
    ///
    /// # Errors
    /// When ROS refuses the message.
    pub fn reply(&self, reply: Reply) -> Result<(), RclrsError> {
        let (publisher, data) = match reply {
            Reply::Planned(data) => (&self.planned, data),
            Reply::Stop(data) => (&self.stopped, data),
            Reply::Grip(data) => (&self.gripped, data),
        };
        publisher.publish(Bool { data })
    }
}
