//! Input devices of the operator, on topics or the terminal.

use std::any::Any;
use std::io;
use std::sync::{Arc, Mutex};

use rclrs::{IntoPrimitiveOptions as _, Node, RclrsError};
use ros_env::geometry_msgs::msg::PoseStamped;
use ros_env::sensor_msgs::msg::{JointState, Joy};

use super::{Steady, lock, terminal};
use crate::ros::convert::pose::pose_from_message;
use crate::ros::node::qos;
use crate::ros::node::runtime::Runtime;
use crate::ros::node::services::Handles;
use crate::teleop::input_device::{InputDevice, InputReading};
use crate::teleop::joystick::{Joystick, JoystickControls};
use crate::teleop::keyboard::KeyboardDevice;
use crate::teleop::leader::LeaderDevice;
use crate::teleop::mapping::{Command, Input, Leader, Mapping, Pad as PadMapping, Pose as PoseMapping};
use crate::teleop::tracker::Tracker;
use crate::types::time::Time;

/// Error of an input device.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// No terminal for the keyboard.
    #[error(
        "expected a terminal for the keyboard, found none ({0}); run teleop_node in a terminal of its own, or choose \
         another mapping"
    )]
    NoTerminal(io::Error),
    /// Error of ROS.
    #[error("ROS 2 refused: {0}")]
    Ros(#[from] RclrsError),
}

/// An input device; its input is received as long as this lives.
pub struct Inputs {
    /// The device.
    pub device: Box<dyn InputDevice>,
    /// Subscriptions, and the guard that restores the terminal.
    pub kept: Handles,
}

impl<D: InputDevice> InputDevice for Arc<Mutex<D>> {
    fn read(&mut self, now: Time) -> InputReading {
        lock(self).read(now)
    }

    fn commands(&mut self) -> Vec<Command> {
        lock(self).commands()
    }

    fn last_seen(&self) -> Option<Time> {
        lock(self).last_seen()
    }
}

/// Opens the input device of a mapping.
///
/// # Errors
/// When there is no terminal for a keyboard, or a subscription cannot be created.
pub fn listen(runtime: &Runtime, mapping: &Mapping, steady: Steady) -> Result<Inputs, InputError> {
    let node = runtime.node();
    match &mapping.input {
        Input::Keyboard(keys) => {
            let keyboard = Arc::new(Mutex::new(KeyboardDevice::new(keys)));
            let kept = terminal::listen(runtime.shutdown(), Arc::clone(&keyboard), steady);
            Ok(Inputs {
                device: Box::new(keyboard),
                kept: vec![Box::new(kept.map_err(InputError::NoTerminal)?)],
            })
        }
        Input::Joy(joy) => {
            let stick = Arc::new(Mutex::new(Joystick::new(joy)));
            let pad = subscribe_to_joystick(node, &joy.pad, Arc::clone(&stick), |stick| &mut stick.pad, steady)?;
            Ok(Inputs {
                device: Box::new(stick),
                kept: vec![pad],
            })
        }
        Input::Leader(mapping) => Ok(subscribe_to_leader(node, mapping, steady)?),
        Input::Pose(mapping) => Ok(subscribe_to_tracker(node, mapping, steady)?),
    }
}

fn subscribe_to_leader(node: &Node, mapping: &Leader, steady: Steady) -> Result<Inputs, RclrsError> {
    let leader = Arc::new(Mutex::new(LeaderDevice::new(mapping)));
    let pad = subscribe_to_joystick(
        node,
        &mapping.pad,
        Arc::clone(&leader),
        |leader| &mut leader.pad,
        steady,
    )?;
    let theirs = Arc::clone(&leader);
    let topic = mapping.topic.as_str().qos(qos::any());
    let joints = node.create_subscription(topic, move |state: JointState| {
        let now = steady.now();
        lock(&theirs).received(&state.name, &state.position, now);
    })?;
    Ok(Inputs {
        device: Box::new(leader),
        kept: vec![pad, Box::new(joints)],
    })
}

fn subscribe_to_tracker(node: &Node, mapping: &PoseMapping, steady: Steady) -> Result<Inputs, RclrsError> {
    let tracker = Arc::new(Mutex::new(Tracker::new(mapping)));
    let pad = subscribe_to_joystick(
        node,
        &mapping.pad,
        Arc::clone(&tracker),
        |tracker| &mut tracker.pad,
        steady,
    )?;
    let theirs = Arc::clone(&tracker);
    let topic = mapping.topic.as_str().qos(qos::images());
    let poses = node.create_subscription(topic, move |message: PoseStamped| {
        let pose = pose_from_message(&message.pose).map_err(|error| error.to_string());
        let now = steady.now();
        lock(&theirs).received(&message.header.frame_id, pose, now);
    })?;
    Ok(Inputs {
        device: Box::new(tracker),
        kept: vec![pad, Box::new(poses)],
    })
}

/// Subscribes to the joystick that belongs to a device; best effort matches every driver.
fn subscribe_to_joystick<D: Send + 'static>(
    node: &Node,
    mapping: &PadMapping,
    device: Arc<Mutex<D>>,
    pad: fn(&mut D) -> &mut JoystickControls,
    steady: Steady,
) -> Result<Box<dyn Any + Send + Sync>, RclrsError> {
    let topic = mapping.topic.as_str().qos(qos::images());
    Ok(Box::new(node.create_subscription(topic, move |joy: Joy| {
        let now = steady.now();
        pad(&mut lock(&device)).received(&joy.axes, &joy.buttons, now);
    })?))
}
