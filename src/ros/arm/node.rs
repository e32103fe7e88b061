//! The node: its subscriptions, services and timers, and the control loop.

use std::sync::{Arc, Mutex};

use rclrs::{IntoPrimitiveOptions as _, Node, RclrsError};
use ros_env::rm_ros_interfaces::msg::{Jointerrorcode, Rmerr};
use ros_env::sensor_msgs::msg::JointState;
use ros_env::std_msgs::msg::UInt16;
use ros_env::thinkvla::msg::{ActionChunk, Heartbeat as HeartbeatMessage};

use super::driver::RosDriver;
use super::driver_discovery::OwnTopics;
use super::loop_thread::Loop;
use super::settings::{ArmSettings, ArmSettingsError};
use super::{Shared, driver_discovery, moves, report, services, status};
use crate::control::chunk::ActionsError;
use crate::control::config::{ApiChoice, ArmConfig};
use crate::control::event::Check;
use crate::control::lease::ReceivedHeartbeat;
use crate::realman::graph::{ALL_ERRORS, ARM_ERRORS, JOINT_ERRORS, JOINT_STATES, SYSTEM_ERRORS};
use crate::realman::{STOP_SPACING_S, STOPS};
use crate::ros::convert::chunk::{ChunkMessageError, chunk_from_message};
use crate::ros::node::runtime::Runtime;
use crate::ros::node::services::Handles;
use crate::ros::node::time::{NodeClock, from_message};
use crate::ros::node::{diagnostics, qos, topics};
use crate::ros::subscribe::unmatched_publishers::UnmatchedPublishers;
use crate::supervisor::{ErrorChannel, Refusal, Supervisor};
use crate::types::{JOINTS, Joints};

/// Error that keeps the node from starting.
#[derive(Debug, thiserror::Error)]
pub enum ArmNodeError {
    /// Invalid parameter or arm file.
    #[error(transparent)]
    Settings(#[from] ArmSettingsError),
    /// Error of ROS.
    #[error("ROS 2 refused: {0}")]
    Ros(#[from] RclrsError),
}

/// The running node.
pub struct ArmNode {
    _kept: Handles,
    _loop: Loop,
}

impl ArmNode {
    /// Starts the node, disarmed.
    ///
    /// # Errors
    /// When a parameter or the arm's file is invalid, or ROS reports an error.
    pub fn start(runtime: &Runtime) -> Result<Self, ArmNodeError> {
        let node = runtime.node();
        let settings = ArmSettings::declare(runtime)?;
        introduce(&settings.arm);
        let clock = NodeClock::of(node);
        let driver = RosDriver::new(node, settings.arm.driver.command)?;
        let rate_hz = settings.arm.command_rate_hz;
        let supervisor = Supervisor::new(settings.arm.clone(), driver, clock.both());
        let shared = Shared(Arc::new(Mutex::new(supervisor)));

        let Listening {
            mut kept,
            mut own,
            unmatched_publishers,
        } = listen(node, &shared)?;
        own.extend(shared.lock().driver().own_topics());
        kept.extend(services::offer(node, &shared)?);
        kept.push(Box::new(moves::offer(node, runtime.tokio(), &shared)?));
        kept.push(Box::new(driver_discovery::watch(node, shared.clone(), own)?));
        for timer in status::publish(node, &shared)? {
            kept.push(Box::new(timer));
        }
        let (arm, now) = (shared.clone(), clock.clone());
        kept.push(Box::new(diagnostics::publish(node, "rm75", move || {
            let status = arm.lock().status(now.both());
            vec![report::arm(&status), unmatched_publishers.status()]
        })?));
        kept.push(Box::new(settings));

        let (arm, now) = (shared.clone(), clock.clone());
        runtime.shutdown().before(move || say_farewell(&arm, &now));
        Ok(Self {
            _kept: kept,
            _loop: Loop::start(shared, clock, rate_hz),
        })
    }
}

/// Logs the settings in effect, one line each.
fn introduce(arm: &ArmConfig) {
    let driver = match arm.driver.api {
        ApiChoice::Auto => "found in the graph",
        ApiChoice::V1 => "v1, up to 1.2",
        ApiChoice::V2 => "v2, from 1.3",
    };
    let fastest = arm.limits.velocity_rad_s.iter().copied().fold(0.0, f64::max);
    tracing::info!(
        "arm: {}, {} Hz, {:?} commands",
        arm.arm,
        arm.command_rate_hz,
        arm.driver.command
    );
    tracing::info!("driver generation: {driver}");
    tracing::info!(
        "limits: tool {} m/s, joints up to {fastest:.2} rad/s and {:.3} rad a command",
        arm.limits.tool_speed_m_s,
        arm.limits.step_rad
    );
    match arm.dry_run {
        true => tracing::info!("dry run: commands are computed and shown, none is sent"),
        false => tracing::warn!("no dry run: once armed, commands move the arm"),
    }
}

/// Sends the stop and its repetitions when the node ends, whatever the arm is doing.
fn say_farewell(arm: &Shared, clock: &NodeClock) {
    if let Err(problem) = arm.lock().stop("the arm node ends", clock.both()) {
        tracing::error!("no stop has arrived: {problem}");
    }
    for _ in 0..STOPS {
        std::thread::sleep(std::time::Duration::from_secs_f64(STOP_SPACING_S));
        // The control loop may have ended by a panic. Where it still runs, one more tick of a stopped arm has no effect.
        arm.lock().tick(clock.both());
    }
}

/// Subscriptions, the topics they use, and the publishers that no subscription matches.
struct Listening {
    kept: Handles,
    own: OwnTopics,
    unmatched_publishers: UnmatchedPublishers,
}

fn listen(node: &Node, shared: &Shared) -> Result<Listening, RclrsError> {
    let (arm, clock) = (shared.clone(), NodeClock::of(node));
    let chunks = node.create_subscription(topics::CHUNK.name.qos(qos::chunk()), move |message: ActionChunk| {
        hear_chunk(&arm, &clock, &message);
    })?;
    let (arm, clock) = (shared.clone(), NodeClock::of(node));
    let beats = node.create_subscription(
        topics::HEARTBEAT.name.qos(qos::heartbeat()),
        move |beat: HeartbeatMessage| hear_heartbeat(&arm, &clock, &beat),
    )?;
    let (arm, clock) = (shared.clone(), NodeClock::of(node));
    let states = node.create_subscription(topics::JOINT_STATES.name.qos(qos::driver_state()), move |state| {
        hear_state(&arm, &clock, &state);
    })?;
    let (arm, clock) = (shared.clone(), NodeClock::of(node));
    let errors = ALL_ERRORS.qos(qos::driver_state());
    let all_errors = node.create_subscription(errors, move |message: Rmerr| {
        hear_errors(&arm, &clock, &message);
    })?;
    let (arm, clock) = (shared.clone(), NodeClock::of(node));
    let codes = JOINT_ERRORS.qos(qos::driver_state());
    let joint_errors = node.create_subscription(codes, move |message: Jointerrorcode| {
        let codes: Vec<u32> = message
            .joint_error
            .iter()
            .take(JOINTS)
            .copied()
            .map(u32::from)
            .collect();
        arm.lock().on_driver_errors(ErrorChannel::Joints, &codes, clock.both());
    })?;
    let mut own = OwnTopics::from([
        (JOINT_STATES, states.topic_name()),
        (ALL_ERRORS, all_errors.topic_name()),
        (JOINT_ERRORS, joint_errors.topic_name()),
    ]);
    let mut heard = vec![chunks.topic_name(), beats.topic_name()];
    let mut kept: Handles = vec![
        Box::new(chunks),
        Box::new(beats),
        Box::new(states),
        Box::new(all_errors),
        Box::new(joint_errors),
    ];
    for (topic, channel) in [(SYSTEM_ERRORS, ErrorChannel::System), (ARM_ERRORS, ErrorChannel::Arm)] {
        let (arm, clock) = (shared.clone(), NodeClock::of(node));
        let errors = node.create_subscription(topic.qos(qos::driver_state()), move |code: UInt16| {
            arm.lock()
                .on_driver_errors(channel, &[u32::from(code.data)], clock.both());
        })?;
        own.insert(topic, errors.topic_name());
        kept.push(Box::new(errors));
    }
    heard.extend(own.values().cloned());
    Ok(Listening {
        kept,
        own,
        unmatched_publishers: UnmatchedPublishers::watch(node, heard)?,
    })
}

fn hear_heartbeat(arm: &Shared, clock: &NodeClock, message: &HeartbeatMessage) {
    let now = clock.both();
    let sent = from_message(&message.header.stamp);
    let beat = ReceivedHeartbeat {
        lease: message.lease,
        source: &message.source,
        sequence: message.sequence,
        age: now.ros.seconds_since(sent),
    };
    arm.lock().on_heartbeat(&beat, now);
}

fn hear_errors(arm: &Shared, clock: &NodeClock, message: &Rmerr) {
    let count = usize::from(message.err_len);
    // Negative values are no error codes; the cast shows them as they are on the wire.
    let codes: Vec<u32> = message
        .err
        .iter()
        .take(count)
        .map(|code| code.cast_unsigned())
        .collect();
    arm.lock().on_driver_errors(ErrorChannel::All, &codes, clock.both());
}

fn hear_chunk(arm: &Shared, clock: &NodeClock, message: &ActionChunk) {
    // The conversion runs before the lock is taken: a large message must not make the control loop wait.
    let chunk = chunk_from_message(message);
    let now = clock.both();
    let mut supervisor = arm.lock();
    match chunk {
        // Refusals are published as gate events, where the source can read them.
        Ok(chunk) => drop(supervisor.on_chunk(chunk, now)),
        Err(error) => {
            let check = match error {
                ChunkMessageError::Values(ActionsError::NonFinite { .. }) => Check::Finite,
                _ => Check::Chunk,
            };
            let refusal = Refusal {
                check,
                message: error.to_string(),
            };
            supervisor.on_malformed_chunk(&message.source, message.plan_id, refusal, now);
        }
    }
}

/// Passes on the joints by name, because a driver may also list an external axis.
fn hear_state(arm: &Shared, clock: &NodeClock, state: &JointState) {
    let mut joints = Joints::zeros();
    for (i, joint) in joints.iter_mut().enumerate() {
        let name = format!("joint{}", i + 1);
        let position = state
            .name
            .iter()
            .position(|n| *n == name)
            .and_then(|at| state.position.get(at));
        let Some(position) = position else {
            let complaint = format!("expected joint1 to joint{JOINTS}, found {:?}; ignored", state.name);
            arm.lock().on_malformed_state(&complaint, clock.both());
            return;
        };
        *joint = *position;
    }
    arm.lock()
        .on_state(joints, from_message(&state.header.stamp), clock.both());
}
