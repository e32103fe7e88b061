//! A simulation of Realman's `rm_driver` and its controller, without ROS and on a virtual clock.
//!
//! It reproduces the driver's behaviour with its faults: state is republished with fresh stamps even when none arrives,
//! motion callbacks share one queue of a thousand that a blocking move stalls, a stop does not latch, joints are read
//! without bounds checks, errors clear with the next motion.

mod controller;
mod in_process;
mod messages;

use std::collections::VecDeque;

use nalgebra::Translation3;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

pub use controller::{ERROR_LIMIT, ERROR_UNREACHABLE, FRAME_SPEED, FRAME_STEP};
pub use messages::{DriverMotion, DriverState, Grip, JointFrame, PlannedMove, PoseFrame, Reply, xyzw};

use self::controller::Controller;
use super::config::SimDriverConfig;
use super::world::{ARM, FINGER_TRAVEL, STEP_S, Setpoint};
use crate::types::{Joints, Pose};

/// Depth of the driver's queues.
const QUEUE: usize = 1000;
/// Time for which a gripper command that waits for an answer blocks the gripper's callbacks (s).
const GRIP_STALL_S: f64 = 0.5;
/// Position of the fully open gripper, in the driver's units.
const OPEN: f64 = 1000.0;

/// Faults that can be switched on and off at any time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Faults {
    /// State keeps its values under fresh stamps, although packets arrive.
    pub frozen_state: bool,
    /// No packet arrives: state keeps its values, or is all zeros when none ever came.
    pub lost_udp: bool,
    /// Motion callbacks stall as behind a blocking move; a stop, or switching this off, flushes the backlog.
    pub backlog: bool,
    /// The driver has lost the controller: no state arrives and no command gets through.
    pub disconnected: bool,
}

/// The driver and its controller.
#[derive(Debug, Clone)]
pub struct SimDriver {
    config: SimDriverConfig,
    controller: Controller,
    motions: VecDeque<DriverMotion>,
    grips: VecDeque<Grip>,
    /// Whether a blocking move is under way, for which motion callbacks wait.
    blocked: bool,
    /// Whether the backlog of a fault has been flushed.
    flushed: bool,
    grip_stall: f64,
    opening: f64,
    opening_target: f64,
    faults: Faults,
    last_packet: Option<(Joints, u16)>,
    until_push: f64,
    replies: Vec<Reply>,
    memory: ChaCha8Rng,
    undefined_reads: u64,
}

impl SimDriver {
    /// Creates a driver connected to an arm at rest at `joints` (rad) with the gripper open.
    pub fn new(config: &SimDriverConfig, joints: Joints) -> Self {
        let tool = Pose::from_parts(Translation3::from(config.tool_offset_m), Default::default());
        Self {
            controller: Controller::new(ARM.kinematics(), joints, tool, config.low_follow_acceleration_rad_s2),
            config: *config,
            motions: VecDeque::new(),
            grips: VecDeque::new(),
            blocked: false,
            flushed: false,
            grip_stall: 0.0,
            opening: 1.0,
            opening_target: 1.0,
            faults: Faults::default(),
            last_packet: None,
            until_push: 0.0,
            replies: Vec::new(),
            memory: ChaCha8Rng::seed_from_u64(0),
            undefined_reads: 0,
        }
    }

    /// Switches faults on and off.
    pub fn set_faults(&mut self, faults: Faults) {
        self.flushed &= faults.backlog;
        self.faults = faults;
    }

    /// Makes the controller report an error and stop the arm, until the next motion command clears it.
    pub fn inject_error(&mut self, error: u16) {
        self.controller.fail(error);
    }

    /// Queues a command for the motion callbacks. A full queue drops its oldest command.
    pub fn motion(&mut self, motion: DriverMotion) {
        if self.motions.len() >= QUEUE {
            self.motions.pop_front();
        }
        self.motions.push_back(motion);
    }

    /// Handles `rm_driver/move_stop_cmd`. It has a callback group of its own, so it overtakes waiting motion commands
    /// and does not remove them.
    pub fn stop(&mut self) {
        if self.faults.disconnected {
            self.replies.push(Reply::Stop(false));
            return;
        }
        if self.blocked {
            self.blocked = false;
            self.replies.push(Reply::Planned(false));
        }
        self.flushed = self.faults.backlog;
        self.controller.stop();
        self.replies.push(Reply::Stop(true));
    }

    /// Queues a command for the gripper's callbacks.
    pub fn grip(&mut self, grip: Grip) {
        if self.grips.len() >= QUEUE {
            self.grips.pop_front();
        }
        self.grips.push_back(grip);
    }

    /// Returns the number of waiting motion commands.
    pub fn backlog(&self) -> usize {
        self.motions.len()
    }

    /// Returns how many joint values have been read from beyond the end of a message.
    pub fn undefined_reads(&self) -> u64 {
        self.undefined_reads
    }

    /// Advances by one physics step: handles waiting commands and returns the targets of the servos.
    pub fn step(&mut self) -> Setpoint {
        // Callbacks of one group run one after the other, each sending one frame.
        if self.blocked && !self.controller.is_planned() {
            self.blocked = false;
            self.replies.push(Reply::Planned(true));
        }
        let stalled = self.blocked || (self.faults.backlog && !self.flushed);
        if !stalled && let Some(motion) = self.motions.pop_front() {
            self.take(motion);
        }
        self.grip_stall = (self.grip_stall - STEP_S).max(0.0);
        if self.grip_stall == 0.0
            && let Some(grip) = self.grips.pop_front()
        {
            self.take_grip(grip);
        }
        let change = self.config.gripper_speed_m_s / (2.0 * FINGER_TRAVEL) * STEP_S;
        self.opening += (self.opening_target - self.opening).clamp(-change, change);
        Setpoint {
            joints: self.controller.step(),
            opening: self.opening,
        }
    }

    /// Returns the state to publish when a cycle is over; `joints` (rad) are the encoders' values. Call it every
    /// physics step.
    pub fn push(&mut self, joints: &Joints) -> Option<DriverState> {
        let packet_comes = !self.faults.lost_udp && !self.faults.disconnected;
        let taken = packet_comes && !(self.faults.frozen_state && self.last_packet.is_some());
        if taken {
            self.last_packet = Some((messages::reported_joints(joints), self.controller.error()));
        }
        self.until_push -= STEP_S;
        if self.until_push > STEP_S / 2.0 {
            return None;
        }
        self.until_push += self.config.udp_cycle_s;
        Some(match self.last_packet {
            Some((joints, error)) => DriverState {
                joints,
                pose: messages::reported_pose(&self.controller.base_from_tool_at(&joints)),
                error,
            },
            None => DriverState {
                joints: Joints::zeros(),
                pose: Pose::identity(),
                error: 0,
            },
        })
    }

    /// Returns the results since the last call.
    pub fn replies(&mut self) -> Vec<Reply> {
        std::mem::take(&mut self.replies)
    }

    fn take(&mut self, motion: DriverMotion) {
        if self.faults.disconnected {
            if matches!(motion, DriverMotion::Planned(_)) {
                self.replies.push(Reply::Planned(false));
            }
            return;
        }
        match motion {
            DriverMotion::Joints(frame) => {
                let joints = self.read(&frame.joint, frame.dof);
                self.controller.follow(joints, frame.follow);
            }
            DriverMotion::Pose(frame) => self
                .controller
                .follow_pose(&messages::received_pose(&frame), frame.follow),
            DriverMotion::Planned(planned) => {
                let joints = self.read(&planned.joint, planned.dof);
                let accepted = self.controller.plan(joints, planned.speed);
                if accepted && planned.block {
                    self.blocked = true;
                } else {
                    self.replies.push(Reply::Planned(accepted));
                }
            }
        }
    }

    fn read(&mut self, joint: &[f32], dof: u8) -> Joints {
        let (memory, reads) = (&mut self.memory, &mut self.undefined_reads);
        messages::read_joints(joint, dof, || {
            *reads += 1;
            memory.random_range(-6.3..6.3)
        })
    }

    fn take_grip(&mut self, grip: Grip) {
        let accepted = (1..=1000).contains(&grip.position) && !self.faults.disconnected;
        if accepted {
            self.opening_target = f64::from(grip.position) / OPEN;
        }
        if grip.block || grip.timeout > 0 {
            self.grip_stall = GRIP_STALL_S;
        }
        self.replies.push(Reply::Grip(accepted));
    }
}

#[cfg(test)]
mod tests;
