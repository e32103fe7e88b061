//! The robot's own state, as the arm node tells it.

use std::time::Duration;

use ros_env::thinkvla::msg::ArmStatus;

use super::arm::ArmWatch;
use crate::contract::Contract;
use crate::control::proprioception::{Felt, Proprioception};
use crate::control::types::Joints;
use crate::ros::convert::pose_from_message;

/// Which values of the arm's status make the state, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Body(Proprioception);

impl Body {
    /// The state this contract describes; of no values where it describes none.
    ///
    /// # Errors
    /// Names the first value that the arm's status does not hold.
    pub fn of(contract: &Contract) -> Result<Self, String> {
        Proprioception::of(contract).map(Self)
    }

    /// The values now.
    ///
    /// # Errors
    /// When the arm node has been silent for longer than `limit`, or what it says is no pose.
    pub fn feel(&self, arm: &ArmWatch, limit: Duration) -> Result<Vec<f64>, String> {
        if self.0.is_empty() {
            return Ok(Vec::new());
        }
        match arm.latest() {
            Some((status, age)) if age <= limit => felt(&status).map(|felt| self.0.values(&felt)),
            Some((_, age)) => Err(format!(
                "the state the checkpoint reads is old: expected arm_status within {:.2} s, found none for {:.2} s",
                limit.as_secs_f64(),
                age.as_secs_f64()
            )),
            None => Err("the state the checkpoint reads is missing: arm_node has not been heard of".to_owned()),
        }
    }
}

fn felt(status: &ArmStatus) -> Result<Felt, String> {
    let pose = |message| pose_from_message(message).map_err(|e| format!("arm_status: {e}"));
    Ok(Felt {
        joints: Joints::from(status.measured_joints),
        tool: pose(&status.measured_pose)?,
        commanded: pose(&status.commanded_pose)?,
        gripper: status.gripper,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_without_a_pose_is_no_state() {
        // The default message's quaternion is the identity, so this status is a pose; one of zeros is not.
        assert!(felt(&ArmStatus::default()).is_ok());
        let mut status = ArmStatus::default();
        status.measured_pose.orientation.w = 0.0;
        assert!(felt(&status).unwrap_err().contains("quaternion"));
    }
}
