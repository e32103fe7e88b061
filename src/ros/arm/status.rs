//! Publishers of the arm node: status, gate events, the planned path and its markers.

use std::time::Duration;

use rclrs::{IntoPrimitiveOptions as _, Node, Publisher, RclrsError, Timer};
use ros_env::geometry_msgs::msg::Pose as PoseMessage;
use ros_env::std_msgs::msg::Header;
use ros_env::thinkvla::msg::{ArmStatus, GateEvent, PlannedPath};
use ros_env::visualization_msgs::msg::MarkerArray;

use super::Shared;
use crate::control::event::{Event, EventKind};
use crate::ros::convert::markers::{self, MarkerBox, PlannedPoses};
use crate::ros::convert::pose::pose_to_message;
use crate::ros::node::time::{NodeClock, to_message};
use crate::ros::node::{qos, topics};
use crate::supervisor::SupervisorStatus;
use crate::types::time::Now;

/// Period of the status messages.
const STATUS: Duration = Duration::from_millis(50);
/// Period of the planned path, which is for display only.
const PATH: Duration = Duration::from_millis(100);

struct StatusPublishers {
    status: Publisher<ArmStatus>,
    events: Publisher<GateEvent>,
    base_frame: String,
}

/// Publishes as long as the returned timers live.
///
/// # Errors
/// When a publisher or timer cannot be created.
pub fn publish(node: &Node, shared: &Shared) -> Result<Vec<Timer>, RclrsError> {
    let publishers = StatusPublishers {
        status: node.create_publisher(topics::ARM_STATUS.name.qos(qos::latched()))?,
        events: node.create_publisher(topics::GATE_EVENTS.name.qos(qos::events()))?,
        base_frame: shared.lock().config().base_frame.clone(),
    };
    let (arm, clock) = (shared.clone(), NodeClock::of(node));
    let status = node.create_timer_repeating(STATUS, move || publishers.publish(&arm, clock.both()))?;
    Ok(vec![status, publish_path(node, shared)?])
}

impl StatusPublishers {
    fn publish(&self, shared: &Shared, now: Now) {
        let (status, events) = {
            let mut supervisor = shared.lock();
            (supervisor.status(now), supervisor.drain_events(now))
        };
        for event in events {
            tell(&event);
            warn_unsent(self.events.publish(event_message(event)));
        }
        let header = Header {
            stamp: to_message(now.ros),
            frame_id: self.base_frame.clone(),
        };
        warn_unsent(self.status.publish(status_message(status, header)));
    }
}

fn publish_path(node: &Node, shared: &Shared) -> Result<Timer, RclrsError> {
    let paths: Publisher<PlannedPath> = node.create_publisher(topics::PLANNED_PATH.name.qos(qos::display()))?;
    let lines: Publisher<MarkerArray> = node.create_publisher(topics::PLANNED_PATH_MARKERS.name.qos(qos::display()))?;
    let boxes: Publisher<MarkerArray> = node.create_publisher(topics::WORKSPACE_MARKERS.name.qos(qos::latched()))?;
    let (frame_id, workspace) = {
        let supervisor = shared.lock();
        (supervisor.config().base_frame.clone(), supervisor.config().workspace)
    };
    let (arm, clock) = (shared.clone(), NodeClock::of(node));
    let header = move |now| Header {
        stamp: to_message(now),
        frame_id: frame_id.clone(),
    };
    let bounds = MarkerBox {
        min: workspace.tool_min_m,
        max: workspace.tool_max_m,
    };
    boxes.publish(markers::workspace(&header(clock.now()), bounds))?;
    node.create_timer_repeating(PATH, move || {
        // A transient-local message is available only as long as its publisher lives.
        let _kept = &boxes;
        let now = clock.both();
        let Some(path) = arm.lock().planned_path(now) else {
            return;
        };
        let header = header(now.ros);
        let poses: Vec<PoseMessage> = path.poses.iter().map(pose_to_message).collect();
        let plan = PlannedPoses {
            header: &header,
            poses: &poses,
            gripper: &path.gripper,
            done: path.done,
        };
        warn_unsent(lines.publish(markers::planned_path(plan)));
        warn_unsent(paths.publish(PlannedPath {
            header,
            plan_id: path.plan_id,
            poses,
            gripper: path.gripper,
            done: u32::try_from(path.done).unwrap_or(u32::MAX),
        }));
    })
}

fn tell(event: &Event) {
    let Event {
        check,
        message,
        source,
        plan_id,
        ..
    } = event;
    match event.kind {
        EventKind::Clamped => tracing::debug!("clamped by {check} ({source} {plan_id}): {message}"),
        EventKind::Refused | EventKind::Held => tracing::warn!("{check} ({source} {plan_id}): {message}"),
        EventKind::Stopped | EventKind::Fault => tracing::error!("{check}: {message}"),
    }
}

fn event_message(event: Event) -> GateEvent {
    GateEvent {
        header: Header {
            stamp: to_message(event.time),
            frame_id: String::new(),
        },
        kind: match event.kind {
            EventKind::Clamped => GateEvent::CLAMPED,
            EventKind::Refused => GateEvent::REFUSED,
            EventKind::Held => GateEvent::HELD,
            EventKind::Stopped => GateEvent::STOPPED,
            EventKind::Fault => GateEvent::FAULT,
        },
        check: event.check.to_string(),
        message: event.message,
        source: event.source,
        plan_id: event.plan_id,
        repeated: event.repeated,
    }
}

fn status_message(status: SupervisorStatus, header: Header) -> ArmStatus {
    ArmStatus {
        header,
        mode: status.mode as u8,
        reason: status.reason,
        dry_run: status.dry_run,
        driver_api: status.driver_api,
        lease_source: status.lease_source,
        lease: status.lease,
        plan_id: status.plan_id,
        commanded_joints: status.commanded_joints.into(),
        measured_joints: status.measured_joints.into(),
        commanded_pose: pose_to_message(&status.commanded_pose),
        measured_pose: pose_to_message(&status.measured_pose),
        gripper: status.gripper,
        command_rate: status.command_rate,
        commands: status.commands,
        chunks: status.chunks,
        clamps: status.clamps,
        refusals: status.refusals,
        underruns: status.underruns,
        nonfinite: status.nonfinite,
    }
}

fn warn_unsent(outcome: Result<(), RclrsError>) {
    if let Err(error) = outcome {
        tracing::warn!("not published: {error}");
    }
}
