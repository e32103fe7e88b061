//! The part of the arm node's status that the operator's node needs.

use ros_env::thinkvla::msg::ArmStatus;

use super::Steady;
use crate::ros::convert::pose::{PoseError, pose_from_message};
use crate::ros::node::time::from_message;
use crate::teleop::session::{ObservedArm, Readiness};
use crate::types::Joints;

/// A status, converted.
#[derive(Debug, Clone)]
pub struct ArmReport {
    /// Fields that the teleoperation session needs.
    pub arm: ObservedArm,
    /// Source that holds the lease; empty when none does.
    pub holder: String,
    /// Whether a named move is in progress.
    pub moving: bool,
}

/// Converts a status that arrives now.
///
/// # Errors
/// When the commanded pose is invalid.
pub fn read(status: &ArmStatus, steady: Steady) -> Result<ArmReport, PoseError> {
    Ok(ArmReport {
        arm: ObservedArm {
            stamp: from_message(&status.header.stamp),
            received: steady.now(),
            readiness: readiness(status),
            lease: status.lease,
            pose: pose_from_message(&status.commanded_pose)?,
            joints: Joints::from_column_slice(&status.commanded_joints),
            // Every chunk commands an opening; before the first chunk the value is not a commanded one.
            gripper: (status.chunks > 0).then_some(status.gripper),
        },
        holder: status.lease_source.clone(),
        moving: status.mode == ArmStatus::MOVING,
    })
}

fn readiness(status: &ArmStatus) -> Readiness {
    let away = |what: &str| Readiness::Away(format!("the arm is {what}: {}", status.reason));
    match status.mode {
        ArmStatus::HOLDING | ArmStatus::EXECUTING => Readiness::Ready,
        ArmStatus::MOVING | ArmStatus::BRAKING => Readiness::Busy,
        ArmStatus::DISARMED => away("disarmed"),
        ArmStatus::STOPPED => away("stopped"),
        ArmStatus::FAULT => away("in fault"),
        other => away(&format!("in mode {other}, which this version does not know")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> ArmStatus {
        let mut status = ArmStatus {
            mode: ArmStatus::HOLDING,
            ..ArmStatus::default()
        };
        status.commanded_pose.orientation.w = 1.0;
        status
    }

    #[test]
    fn a_gripper_nobody_commanded_is_unknown_not_closed() {
        let mut status = status();
        assert_eq!(read(&status, Steady::start()).unwrap().arm.gripper, None);
        status.chunks = 1;
        assert_eq!(read(&status, Steady::start()).unwrap().arm.gripper, Some(0.0));
    }

    #[test]
    fn an_arm_that_needs_somebody_says_why() {
        let mut status = status();
        status.mode = ArmStatus::STOPPED;
        status.reason = "the stop service was called".into();
        let seen = read(&status, Steady::start()).unwrap();
        let Readiness::Away(why) = seen.arm.readiness else {
            panic!("{seen:?}")
        };
        assert!(why.contains("stopped") && why.contains("stop service"), "{why}");
    }
}
