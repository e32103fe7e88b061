//! The node: what it hears, and what runs beside it.

use std::any::Any;
use std::sync::{Arc, Mutex};

use rclrs::{IntoPrimitiveOptions as _, Node, RclrsError};
use ros_env::rm_ros_interfaces::msg::{Jointerrorcode, Rmerr};
use ros_env::sensor_msgs::msg::JointState;
use ros_env::std_msgs::msg::UInt16;
use ros_env::thinkvla::msg::{ActionChunk, Heartbeat};

use super::driver::RosDriver;
use super::loop_thread::Loop;
use super::services::Kept;
use super::settings::{Settings, SettingsError};
use super::{Shared, looking, moves, report, services, status};
use crate::control::chunk::ActionsError;
use crate::control::event::Check;
use crate::control::supervisor::{ErrorChannel, Refusal, Supervisor};
use crate::control::types::{JOINTS, Joints};
use crate::ros::convert_chunk::{ChunkError, chunk_from_message};
use crate::ros::runtime::Runtime;
use crate::ros::time::Clock;
use crate::ros::{diagnostics, qos, topics};

/// Stops are sent this often after a signal, this far apart: the driver takes them from another queue than motion.
const FAREWELL_STOPS: u32 = 3;
const FAREWELL_SPACING: std::time::Duration = std::time::Duration::from_millis(20);

/// Why the node does not start.
#[derive(Debug, thiserror::Error)]
pub enum ArmNodeError {
    /// A parameter or the arm's file cannot work.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// ROS refused.
    #[error("ROS 2 refused: {0}")]
    Ros(#[from] RclrsError),
}

/// The running node.
pub struct ArmNode {
    _kept: Kept,
    _loop: Loop,
}

impl ArmNode {
    /// Starts the node, disarmed.
    ///
    /// # Errors
    /// When a parameter or the arm's file cannot work, or ROS refuses.
    pub fn start(runtime: &Runtime) -> Result<Self, ArmNodeError> {
        let node = runtime.node();
        let settings = Settings::declare(node)?;
        let clock = Clock::of(node);
        let driver = RosDriver::new(node, settings.arm.driver.command)?;
        let rate_hz = settings.arm.command_rate_hz;
        let supervisor = Supervisor::new(settings.arm.clone(), driver, clock.now());
        let shared = Shared(Arc::new(Mutex::new(supervisor)));

        let mut kept = listen(node, &shared)?;
        kept.extend(services::offer(node, &shared)?);
        kept.push(Box::new(moves::offer(node, runtime.tokio(), &shared)?));
        kept.push(Box::new(looking::watch(node, shared.clone())?));
        for timer in status::publish(node, &shared)? {
            kept.push(Box::new(timer));
        }
        let (arm, now) = (shared.clone(), clock.clone());
        kept.push(Box::new(diagnostics::publish(node, "rm75", move || {
            let status = arm.lock().status(now.now());
            vec![report::arm(&status)]
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

/// A node that ends leaves a stopped arm, whatever it was doing.
fn say_farewell(arm: &Shared, clock: &Clock) {
    arm.lock().stop("the arm node ends", clock.now());
    // The control loop sends the repetitions; this waits until the last one has left.
    std::thread::sleep(FAREWELL_SPACING * FAREWELL_STOPS);
}

fn listen(node: &Node, shared: &Shared) -> Result<Kept, RclrsError> {
    let (arm, clock) = (shared.clone(), Clock::of(node));
    let chunks = node.create_subscription(topics::CHUNK.name.qos(qos::chunk()), move |message: ActionChunk| {
        hear_chunk(&arm, &clock, &message);
    })?;
    let (arm, clock) = (shared.clone(), Clock::of(node));
    let beats = node.create_subscription(topics::HEARTBEAT.name.qos(qos::heartbeat()), move |beat: Heartbeat| {
        arm.lock().on_heartbeat(beat.lease, clock.now());
    })?;
    let (arm, clock) = (shared.clone(), Clock::of(node));
    let states = node.create_subscription(topics::JOINT_STATES.name.qos(qos::driver_state()), move |state| {
        hear_state(&arm, &clock, &state);
    })?;
    let (arm, clock) = (shared.clone(), Clock::of(node));
    let errors = "rm_driver/udp_rm_err".qos(qos::driver_state());
    let all_errors = node.create_subscription(errors, move |message: Rmerr| {
        let count = usize::from(message.err_len);
        // Negative numbers are no codes; shown as they would be on the wire.
        let codes: Vec<u32> = message
            .err
            .iter()
            .take(count)
            .map(|code| code.cast_unsigned())
            .collect();
        arm.lock().on_driver_errors(ErrorChannel::All, &codes, clock.now());
    })?;
    let (arm, clock) = (shared.clone(), Clock::of(node));
    let codes = "rm_driver/udp_joint_error_code".qos(qos::driver_state());
    let joint_errors = node.create_subscription(codes, move |message: Jointerrorcode| {
        let codes: Vec<u32> = message.joint_error.iter().copied().map(u32::from).collect();
        arm.lock().on_driver_errors(ErrorChannel::Joints, &codes, clock.now());
    })?;
    let mut kept: Vec<Box<dyn Any + Send + Sync>> = vec![
        Box::new(chunks),
        Box::new(beats),
        Box::new(states),
        Box::new(all_errors),
        Box::new(joint_errors),
    ];
    for (topic, channel) in [
        ("rm_driver/udp_sys_err", ErrorChannel::System),
        ("rm_driver/udp_arm_err", ErrorChannel::Arm),
    ] {
        let (arm, clock) = (shared.clone(), Clock::of(node));
        kept.push(Box::new(node.create_subscription(
            topic.qos(qos::driver_state()),
            move |code: UInt16| {
                arm.lock()
                    .on_driver_errors(channel, &[u32::from(code.data)], clock.now());
            },
        )?));
    }
    Ok(kept)
}

fn hear_chunk(arm: &Shared, clock: &Clock, message: &ActionChunk) {
    let now = clock.now();
    let mut supervisor = arm.lock();
    match chunk_from_message(message) {
        // Refusals are published as events; the source reads them there.
        Ok(chunk) => drop(supervisor.on_chunk(chunk, now)),
        Err(error) => {
            let check = match error {
                ChunkError::Values(ActionsError::NonFinite { .. }) => Check::Finite,
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

/// Takes the joints by name: a driver may list an external axis too.
fn hear_state(arm: &Shared, clock: &Clock, state: &JointState) {
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
            arm.lock().on_malformed_state(&complaint, clock.now());
            return;
        };
        *joint = *position;
    }
    arm.lock().on_state(joints, clock.now());
}
