//! Realman driver adapter: converts joint commands to pass-through frames and gripper frames, repeats stops, and checks
//! the conditions under which anything may be sent.

pub mod errors;
pub mod graph;
mod gripper;
mod readiness;

pub use graph::{DriverApi, Graph};
pub use readiness::{DriverNotReady, Undetermined};

use std::sync::Arc;

use nalgebra::{Quaternion, Translation3};

use crate::control::arm::{Arm, ArmError, JointCommand};
use crate::control::config::{ArmConfig, CommandMode};
use crate::control::kinematics::Kinematics;
use crate::types::time::Steady;
use crate::types::{JOINTS, Pose};
use gripper::Gripper;

/// Stops sent for one stop: the driver takes them from another queue than motion, so frames sent before may arrive
/// after the first.
pub const STOPS: u32 = 3;
/// Time between them (s).
pub const STOP_SPACING_S: f64 = 0.02;
/// Tolerance on that spacing for a loop that ticks a little early (s).
const TICK_SLACK_S: f64 = 0.001;

/// Message to publish to rm_driver, with the values as sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum DriverCommand {
    /// Joint positions, on `rm_driver/movej_canfd_cmd`.
    Joints {
        /// Joint positions (rad); the driver reads all seven without checks.
        joint: [f32; JOINTS],
        /// Whether to use high-follow mode.
        follow: bool,
        /// Position of the external axis (rad).
        expand: f32,
        /// Number of joints in use; any value but 7 leaves joint 7 undefined in the driver.
        dof: u8,
    },
    /// Tool pose, on `rm_driver/movep_canfd_cmd`.
    Pose {
        /// Position (m).
        position: [f64; 3],
        /// Unit quaternion x, y, z, w.
        orientation: [f64; 4],
        /// Whether to use high-follow mode.
        follow: bool,
    },
    /// Stop, on `rm_driver/move_stop_cmd`, with the message type of this driver generation.
    Stop(DriverApi),
    /// Gripper position, on `rm_driver/set_gripper_position_cmd`.
    Gripper {
        /// Opening, 1 closed to 1000 open.
        position: u16,
        /// Whether the driver waits for the gripper; always false, because waiting stalls the driver.
        block: bool,
        /// Timeout (s); 0 returns at once.
        timeout: u16,
    },
}

/// Publisher to rm_driver, or a substitute for tests and simulation.
pub trait Driver {
    /// Publishes one command.
    ///
    /// # Errors
    /// When publishing fails.
    fn send(&mut self, command: &DriverCommand) -> Result<(), ArmError>;
}

/// Stop messages that are still to be sent.
#[derive(Debug, Clone, Copy)]
struct StopSequence {
    left: u32,
    next: Steady,
}

/// Realman arm behind its ROS driver.
#[derive(Debug)]
pub struct Realman<D> {
    driver: D,
    graph: Graph,
    /// Driver generation last found in the graph, kept so that a stop can be sent even if the graph has become contradictory.
    known: Option<DriverApi>,
    /// Name of the node that the arm was armed with, kept while a graph does not show it.
    driver_node: Option<String>,
    config: ArmConfig,
    kinematics: Arc<dyn Kinematics>,
    flange_from_tool: Pose,
    orientation: Option<Quaternion<f64>>,
    gripper: Gripper,
    stop: Option<StopSequence>,
    nonfinite: u64,
}

impl<D: Driver> Realman<D> {
    /// Creates an arm whose driver has not been found yet.
    pub fn new(driver: D, config: &ArmConfig, kinematics: Arc<dyn Kinematics>) -> Self {
        Self {
            driver,
            graph: Graph::default(),
            known: None,
            driver_node: None,
            kinematics,
            flange_from_tool: Pose::from_parts(Translation3::from(config.tool.offset()), Default::default()),
            orientation: None,
            gripper: Gripper::new(config.gripper),
            stop: None,
            nonfinite: 0,
            config: config.clone(),
        }
    }

    /// Last recorded facts of the ROS graph.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Records new facts of the ROS graph.
    pub fn graph_seen(&mut self, graph: Graph) {
        self.graph = graph;
        self.known = self.api().ok().or(self.known);
        if self.driver_node.is_none() {
            self.driver_node = self.graph.driver_node().map(str::to_owned);
        }
    }

    /// Takes the driver of the last graph for the arm's; to be called when the arm is armed.
    pub fn adopt_driver(&mut self) {
        self.driver_node = self.graph.driver_node().map(str::to_owned);
    }

    /// Name of the node that the arm was armed with, once it is known.
    pub fn driver_node(&self) -> Option<&str> {
        self.driver_node.as_deref()
    }

    /// Driver generation.
    ///
    /// # Errors
    /// When the graph does not determine it, or contradicts the parameter.
    pub fn api(&self) -> Result<DriverApi, Undetermined> {
        self.graph.api(self.config.driver.api)
    }

    /// Driver behind the adapter.
    pub fn driver(&self) -> &D {
        &self.driver
    }

    /// Mutable access to the driver, for anything but commands.
    pub fn driver_mut(&mut self) -> &mut D {
        &mut self.driver
    }

    /// Last gripper opening sent, 0 closed to 1 open; `None` before the first.
    pub fn gripper_opening(&self) -> Option<f64> {
        self.gripper.sent()
    }

    /// Number of non-finite joint positions that were refused instead of published.
    pub fn nonfinite(&self) -> u64 {
        self.nonfinite
    }

    /// Begins a stop: the first message is sent now, the others by [`Realman::tick`].
    ///
    /// # Errors
    /// When the first message could not be sent; the others still are.
    pub fn stop(&mut self, now: Steady) -> Result<(), ArmError> {
        self.stop = Some(StopSequence { left: STOPS, next: now });
        self.orientation = None;
        self.tick(now)
    }

    /// Sends the next message of a stop if it is due.
    ///
    /// # Errors
    /// When the message could not be sent.
    pub fn tick(&mut self, now: Steady) -> Result<(), ArmError> {
        let Some(sequence) = self.stop.as_mut() else {
            return Ok(());
        };
        if now.seconds_since(sequence.next) < -TICK_SLACK_S {
            return Ok(());
        }
        sequence.left -= 1;
        sequence.next = now.offset_secs(STOP_SPACING_S);
        if sequence.left == 0 {
            self.stop = None;
        }
        match self.api().or_else(|unknown| self.known.ok_or(unknown)) {
            Ok(api) => self.driver.send(&DriverCommand::Stop(api)),
            Err(unknown) => Err(ArmError::Transport(unknown.to_string())),
        }
    }

    /// Whether messages of a stop are still to be sent.
    pub fn is_stopping(&self) -> bool {
        self.stop.is_some()
    }

    fn frame(&mut self, command: &JointCommand) -> DriverCommand {
        let follow = self.config.driver.follow;
        match self.config.driver.command {
            CommandMode::Joint => {
                let mut joint = [0.0; JOINTS];
                for (wire, position) in joint.iter_mut().zip(command.positions.iter()) {
                    *wire = *position as f32;
                }
                DriverCommand::Joints {
                    joint,
                    follow,
                    expand: 0.0,
                    dof: JOINTS as u8,
                }
            }
            CommandMode::Cartesian => {
                let base_from_tool = self.kinematics.forward(&command.positions) * self.flange_from_tool;
                let unit = base_from_tool.rotation.quaternion().normalize();
                // q and -q are the same rotation; the sign follows the last frame so that the stream has no jump.
                let opposite = self.orientation.is_some_and(|last| last.dot(&unit) < 0.0);
                let unit = if opposite { -unit } else { unit };
                self.orientation = Some(unit);
                DriverCommand::Pose {
                    position: base_from_tool.translation.vector.into(),
                    orientation: unit.coords.into(),
                    follow,
                }
            }
        }
    }
}

impl<D: Driver> Arm for Realman<D> {
    fn command(&mut self, command: &JointCommand, _now: Steady) -> Result<(), ArmError> {
        let nonfinite = command.positions.iter().filter(|q| !(**q as f32).is_finite()).count();
        if nonfinite > 0 {
            self.nonfinite += nonfinite as u64;
            let found = command.positions.as_slice();
            return Err(ArmError::Transport(format!(
                "expected finite joints, found {found:?}; nothing was sent"
            )));
        }
        if self.graph.command_subscribers == 0 {
            return Err(ArmError::Unmatched {
                topic: self.graph.command_topic(self.config.driver.command),
            });
        }
        let frame = self.frame(command);
        self.driver.send(&frame)
    }

    fn grip(&mut self, opening: f64, now: Steady) -> Result<(), ArmError> {
        match self.gripper.position_for(opening, now) {
            Some(position) => self.driver.send(&DriverCommand::Gripper {
                position,
                block: false,
                timeout: 0,
            }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
