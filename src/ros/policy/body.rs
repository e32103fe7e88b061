//! The robot's own state, as a checkpoint with proprioception reads it.

use std::time::Duration;

use ros_env::thinkvla::msg::ArmStatus;

use super::arm::ArmWatch;
use crate::contract::Contract;
use crate::control::tool_rotation::{TURN_FROM_DOWN, turn_from_down};
use crate::control::types::Pose;
use crate::ros::convert::pose_from_message;

/// The values a checkpoint may ask for, by the names of its contract's state statistics.
const KNOWN: &str = "joint1 .. joint7 [rad], x, y, z [m], rx_down, ry_down, rz_down (turn of the tool from \
                     straight down) [rad], rx, ry, rz (rotation vector) [rad] and gripper (0 closed .. 1 open)";

/// Which values of the arm's status make the state, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Body(Vec<Part>);

/// One value of the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Measured position of a joint, from 0.
    Joint(usize),
    /// Measured position of the tool, axis 0 to 2.
    Position(usize),
    /// Measured rotation vector of the tool, axis 0 to 2.
    Rotation(usize),
    /// Measured turn of the tool from straight down, axis 0 to 2.
    FromDown(usize),
    /// Last gripper command.
    Gripper,
}

impl Body {
    /// The state this contract describes; of no values where it describes none.
    ///
    /// # Errors
    /// Names the first value that the arm's status does not hold.
    pub fn of(contract: &Contract) -> Result<Self, String> {
        let names = contract.data.state.iter().map(|dimension| dimension.name.as_str());
        names.map(part).collect::<Result<_, _>>().map(Self)
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
            Some((status, age)) if age <= limit => self.values(&status),
            Some((_, age)) => Err(format!(
                "the state the checkpoint reads is old: expected arm_status within {:.2} s, found none for {:.2} s",
                limit.as_secs_f64(),
                age.as_secs_f64()
            )),
            None => Err("the state the checkpoint reads is missing: arm_node has not been heard of".to_owned()),
        }
    }

    fn values(&self, status: &ArmStatus) -> Result<Vec<f64>, String> {
        let pose: Pose = pose_from_message(&status.measured_pose).map_err(|e| format!("arm_status: {e}"))?;
        let rotation = pose.rotation.scaled_axis();
        let from_down = turn_from_down(&pose.rotation);
        let value = |part: &Part| match *part {
            Part::Joint(i) => status.measured_joints.get(i).copied(),
            Part::Position(axis) => pose.translation.vector.get(axis).copied(),
            Part::Rotation(axis) => rotation.get(axis).copied(),
            Part::FromDown(axis) => from_down.get(axis).copied(),
            Part::Gripper => Some(status.gripper),
        };
        Ok(self.0.iter().filter_map(value).collect())
    }
}

fn part(name: &str) -> Result<Part, String> {
    const AXES: [&str; 3] = ["x", "y", "z"];
    let axis = |name: &str| AXES.iter().position(|axis| *axis == name);
    let joint = |name: &str| match name.strip_prefix("joint")?.parse() {
        Ok(number @ 1..=7usize) => Some(Part::Joint(number - 1)),
        _ => None,
    };
    let from_down = TURN_FROM_DOWN.iter().position(|value| *value == name);
    let known = match name {
        "gripper" => Some(Part::Gripper),
        _ => axis(name)
            .map(Part::Position)
            .or_else(|| name.strip_prefix('r').and_then(axis).map(Part::Rotation))
            .or_else(|| from_down.map(Part::FromDown))
            .or_else(|| joint(name)),
    };
    known.ok_or_else(|| {
        format!(
            "contract.yaml, data.state: expected {KNOWN}, found {name}; this arm cannot give the checkpoint the state it \
             was trained on"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(names: &[&str]) -> Result<Body, String> {
        names.iter().copied().map(part).collect::<Result<_, _>>().map(Body)
    }

    #[test]
    fn values_come_by_name_in_the_contract_s_order() {
        let mut status = ArmStatus {
            measured_joints: [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7],
            gripper: 0.8,
            ..ArmStatus::default()
        };
        let pose = &mut status.measured_pose;
        (pose.position.x, pose.position.y, pose.position.z) = (1.0, 2.0, 3.0);
        // A quarter turn about y.
        (pose.orientation.y, pose.orientation.w) = (0.5f64.sqrt(), 0.5f64.sqrt());
        let values = body(&["gripper", "joint7", "z", "joint1", "ry", "x", "ry_down"])
            .unwrap()
            .values(&status)
            .unwrap();
        // Down is half a turn about y.
        let quarter = std::f64::consts::FRAC_PI_2;
        let expected = [0.8, 0.7, 3.0, 0.1, quarter, 1.0, -quarter];
        assert_eq!(values.len(), expected.len());
        assert!(
            values.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9),
            "{values:?}"
        );
    }

    #[test]
    fn a_value_the_arm_does_not_give_is_refused_by_name() {
        for name in ["roll", "joint8", "joint0", "pad", "r", "joint"] {
            let error = body(&["x", name]).unwrap_err();
            assert!(error.contains(&format!("found {name};")), "{error}");
        }
    }

    #[test]
    fn before_the_arm_s_first_state_there_is_none() {
        let error = body(&["x"]).unwrap().values(&ArmStatus::default());
        // The default message's quaternion is the identity, so this status is a pose; one of zeros is not.
        assert!(error.is_ok());
        let mut status = ArmStatus::default();
        status.measured_pose.orientation.w = 0.0;
        assert!(
            body(&["x"])
                .unwrap()
                .values(&status)
                .unwrap_err()
                .contains("quaternion")
        );
    }
}
