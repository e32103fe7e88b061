//! The stand-in as the control side's driver, in one process and without a wire.

use super::{Driver, Grip, JointFrame, Motion, PoseFrame};
use crate::control::realman;
use crate::control::realman::DriverCommand;

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
            // Both ends are of one generation when they are in one process.
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
