//! The simulated driver as the driver of the control side, in one process and without topics.

use super::{DriverMotion, Grip, JointFrame, PoseFrame, SimDriver};
use crate::control::arm::ArmError;
use crate::realman;
use crate::realman::DriverCommand;

impl realman::Driver for SimDriver {
    fn send(&mut self, command: &DriverCommand) -> Result<(), ArmError> {
        match *command {
            DriverCommand::Joints { joint, follow, dof, .. } => self.motion(DriverMotion::Joints(JointFrame {
                joint: joint.to_vec(),
                follow,
                dof,
            })),
            DriverCommand::Pose {
                position,
                orientation,
                follow,
            } => self.motion(DriverMotion::Pose(PoseFrame {
                position,
                orientation,
                follow,
            })),
            // Both ends are of the same version within one process, so the field can be ignored.
            DriverCommand::Stop(_) => self.stop(),
            DriverCommand::Gripper {
                position,
                block,
                timeout,
            } => self.grip(Grip {
                position,
                block,
                timeout,
            }),
        }
        Ok(())
    }
}
