//! Table of all topics that nodes of this package publish or offer for remapping; used by the nodes, rviz and their tests.

use crate::realman::graph;

/// A topic by its default name, relative to the node's namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Topic {
    /// Name before remapping.
    pub name: &'static str,
    /// Message type as the graph shows it.
    pub kind: &'static str,
    /// Node that publishes it, `<camera>` for each camera; empty for topics that people and other nodes publish.
    pub publisher: &'static str,
}

const fn topic(name: &'static str, kind: &'static str, publisher: &'static str) -> Topic {
    Topic { name, kind, publisher }
}

/// Action chunks for the arm; every source of motion publishes here.
pub const CHUNK: Topic = topic("chunk", "thinkvla/msg/ActionChunk", "policy_node");
/// Heartbeats of the lease holder.
pub const HEARTBEAT: Topic = topic("heartbeat", "thinkvla/msg/Heartbeat", "policy_node");
/// Status of the arm node.
pub const ARM_STATUS: Topic = topic("arm_status", "thinkvla/msg/ArmStatus", "arm_node");
/// Interventions of the gate: clamps, refusals, holds, stops and faults.
pub const GATE_EVENTS: Topic = topic("gate_events", "thinkvla/msg/GateEvent", "arm_node");
/// The chunk in execution as poses.
pub const PLANNED_PATH: Topic = topic("planned_path", "thinkvla/msg/PlannedPath", "arm_node");
/// The chunk in execution for rviz.
pub const PLANNED_PATH_MARKERS: Topic = topic("planned_path_markers", "visualization_msgs/msg/MarkerArray", "arm_node");
/// The workspace the gate keeps the tool in, for rviz; latched.
pub const WORKSPACE_MARKERS: Topic = topic("workspace_markers", "visualization_msgs/msg/MarkerArray", "arm_node");
/// The geometry latents as an image; only if the policy's parameter enables it.
pub const GEOMETRY: Topic = topic("policy_node/geometry", "sensor_msgs/msg/Image", "policy_node");
/// Instruction for the policy; latched.
pub const INSTRUCTION: Topic = topic("instruction", "std_msgs/msg/String", "");
/// Answers of the policy's service `ask`, piece by piece.
pub const ANSWER: Topic = topic("policy_node/answer", "thinkvla/msg/AnswerPiece", "policy_node");
/// State of the simulated task.
pub const EPISODE_STATUS: Topic = topic("episode_status", "thinkvla/msg/EpisodeStatus", "sim_node");
/// Status of the fine-tuning node; latched.
pub const FINETUNE_STATUS: Topic = topic("finetune_node/status", "thinkvla/msg/FineTuneStatus", "finetune_node");
/// Joint positions, from Realman's driver or the simulated one.
pub const JOINT_STATES: Topic = topic(graph::JOINT_STATES, "sensor_msgs/msg/JointState", "sim_node");
/// The robot model.
pub const ROBOT_DESCRIPTION: Topic = topic("robot_description", "std_msgs/msg/String", "robot_state_publisher");
/// Raw images, below the camera's name.
pub const IMAGE: Topic = topic("image_raw", "sensor_msgs/msg/Image", "<camera>");
/// Compressed images, below the camera's name.
pub const COMPRESSED_IMAGE: Topic = topic("image_raw/compressed", "sensor_msgs/msg/CompressedImage", "<camera>");
/// Intrinsics, below the camera's name.
pub const CAMERA_INFO: Topic = topic("camera_info", "sensor_msgs/msg/CameraInfo", "<camera>");
/// Diagnostics of every node.
pub const DIAGNOSTICS: Topic = topic("/diagnostics", "diagnostic_msgs/msg/DiagnosticArray", "policy_node");

/// All topics.
pub const ALL: [Topic; 18] = [
    CHUNK,
    HEARTBEAT,
    ARM_STATUS,
    GATE_EVENTS,
    PLANNED_PATH,
    PLANNED_PATH_MARKERS,
    WORKSPACE_MARKERS,
    GEOMETRY,
    INSTRUCTION,
    ANSWER,
    EPISODE_STATUS,
    FINETUNE_STATUS,
    JOINT_STATES,
    ROBOT_DESCRIPTION,
    IMAGE,
    COMPRESSED_IMAGE,
    CAMERA_INFO,
    DIAGNOSTICS,
];

/// Topic of a camera's raw images.
pub fn image(camera: &str) -> String {
    under(camera, IMAGE)
}

/// Topic of a camera's compressed images.
pub fn compressed_image(camera: &str) -> String {
    under(camera, COMPRESSED_IMAGE)
}

/// Topic of a camera's intrinsics.
pub fn camera_info(camera: &str) -> String {
    under(camera, CAMERA_INFO)
}

fn under(camera: &str, topic: Topic) -> String {
    format!("{camera}/{}", topic.name)
}

/// Service that grants the lease, the right to command the arm.
pub const ACQUIRE_LEASE: &str = "arm_node/acquire_lease";
/// Service that releases the lease.
pub const RELEASE_LEASE: &str = "arm_node/release_lease";
