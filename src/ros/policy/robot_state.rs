//! Reader of the robot's state, from the status of the arm node.

use std::time::Duration;

use ros_env::thinkvla::msg::ArmStatus;

use super::backend::InferenceError;
use super::error::PolicyError;
use crate::contract::Contract;
use crate::control::proprioception::{ArmReading, Proprioception};
use crate::ros::client::arm_status::ArmMonitor;
use crate::ros::convert::pose::{PoseError, pose_from_message};
use crate::types::Joints;

/// Definition of the state vector: values of the arm's status, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RobotState(Proprioception);

impl RobotState {
    /// Takes the definition from a contract; it is empty where the contract defines no state.
    ///
    /// # Errors
    /// Names the first value that the arm's status does not contain.
    pub fn of(contract: &Contract) -> Result<Self, PolicyError> {
        Proprioception::of(contract)
            .map(Self)
            .map_err(|e| PolicyError::StateDefinition(e.to_string()))
    }

    /// Reads the current state vector, in physical units.
    ///
    /// # Errors
    /// When the newest status is older than `limit`, or its poses are invalid.
    pub fn read(&self, arm: &ArmMonitor, limit: Duration) -> Result<Vec<f64>, InferenceError> {
        if self.0.is_empty() {
            return Ok(Vec::new());
        }
        match arm.latest() {
            Some((status, age)) if age <= limit => Ok(self.0.values(&from_status(&status)?)),
            Some((_, age)) => Err(InferenceError::OldState { limit, age }),
            None => Err(InferenceError::NoState),
        }
    }
}

fn from_status(status: &ArmStatus) -> Result<ArmReading, PoseError> {
    Ok(ArmReading {
        joints: Joints::from(status.measured_joints),
        tool: pose_from_message(&status.measured_pose)?,
        commanded: pose_from_message(&status.commanded_pose)?,
        gripper: status.gripper,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_without_a_pose_is_no_state() {
        // The default quaternion is the identity, so this status has valid poses; one of zeros has not.
        assert!(from_status(&ArmStatus::default()).is_ok());
        let mut status = ArmStatus::default();
        status.measured_pose.orientation.w = 0.0;
        assert!(from_status(&status).unwrap_err().to_string().contains("quaternion"));
    }
}
