//! The simulated driver as the driver of the control side, in one process and without topics.

use super::{Driver, Grip, JointFrame, Motion, PoseFrame};
use crate::realman;
use crate::realman::DriverCommand;

impl realman::Driver for Driver {
    fn send(&mut self, command: &DriverCommand) -> Result<(), String> {
        match *command {
            DriverCommand::Joints { joint, follow, dof, .. } => self.motion(Motion::Joints(JointFrame {
                joint: joint.to_vec(),
                follow,
                dof,
            })),
            DriverCommand::Pose {
                position,
                orientation,
                follow,
            } => self.motion(Motion::Pose(PoseFrame {
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
