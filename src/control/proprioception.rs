//! Robot state (proprioception) as input of a checkpoint.

use nalgebra::Vector3;

use super::tool_rotation::{TURN_FROM_DOWN, turn_from_down};
use crate::contract::Contract;
use crate::types::{Joints, Pose};

/// Values that a checkpoint may use, by the names in its contract's state statistics; for error messages.
const KNOWN: &str = "joint1 .. joint7 [rad], x, y, z [m], rx_down, ry_down, rz_down (turn of the tool from \
                     straight down) [rad], rx, ry, rz (rotation vector) [rad], gripper (0 closed .. 1 open) and \
                     x_error, y_error, z_error (commanded less measured position of the tool) [m]";

/// Names of the tool's tracking error: the distance of the measured position behind the commanded one. Commands lead the
/// arm by some hundredths of a second, so the error indicates the tool's speed.
pub const TRACKING_ERROR: [&str; 3] = ["x_error", "y_error", "z_error"];

/// Commanded less measured position of the tool, from `base_from_tool` of both (m).
pub fn tracking_error(commanded: &Pose, measured: &Pose) -> Vector3<f64> {
    commanded.translation.vector - measured.translation.vector
}

/// Value of the state that the arm does not provide.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "contract.yaml, data.state: expected {known}, found {name}; this arm cannot give the checkpoint the state it was \
     trained on",
    known = KNOWN
)]
pub struct UnknownStateValue {
    /// Name in the contract.
    pub name: String,
}

/// State of the arm at one instant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ArmReading {
    /// Measured joint positions (rad).
    pub joints: Joints,
    /// Measured `base_from_tool` (m).
    pub tool: Pose,
    /// Commanded `base_from_tool` (m).
    pub commanded: Pose,
    /// Last gripper command, 0 closed to 1 open.
    pub gripper: f64,
}

/// Selection of the values that form the state, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Proprioception(Vec<Part>);

/// Value of the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Measured position of a joint, by index from 0.
    Joint(usize),
    /// Measured position of the tool, axis 0 to 2.
    Position(usize),
    /// Measured rotation vector of the tool, axis 0 to 2.
    Rotation(usize),
    /// Measured turn of the tool from straight down, axis 0 to 2.
    FromDown(usize),
    /// Last gripper command.
    Gripper,
    /// Tracking error of the tool's position, axis 0 to 2.
    TrackingError(usize),
}

impl Proprioception {
    /// Returns the state that the contract describes; empty if it describes none.
    ///
    /// # Errors
    /// Names the first value that the arm does not provide.
    pub fn of(contract: &Contract) -> Result<Self, UnknownStateValue> {
        Self::named(contract.data.state.iter().map(|dimension| dimension.name.as_str()))
    }

    /// Returns a state of values by name.
    ///
    /// # Errors
    /// Names the first value that the arm does not provide.
    pub fn named<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, UnknownStateValue> {
        names.into_iter().map(part).collect::<Result<_, _>>().map(Self)
    }

    /// Whether the state has no values.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the values for the state `reading` of the arm, in physical units.
    pub fn values(&self, reading: &ArmReading) -> Vec<f64> {
        let rotation = reading.tool.rotation.scaled_axis();
        let from_down = turn_from_down(&reading.tool.rotation);
        let error = tracking_error(&reading.commanded, &reading.tool);
        let value = |part: &Part| match *part {
            Part::Joint(i) => reading.joints.get(i).copied(),
            Part::Position(axis) => reading.tool.translation.vector.get(axis).copied(),
            Part::Rotation(axis) => rotation.get(axis).copied(),
            Part::FromDown(axis) => from_down.get(axis).copied(),
            Part::Gripper => Some(reading.gripper),
            Part::TrackingError(axis) => error.get(axis).copied(),
        };
        self.0.iter().filter_map(value).collect()
    }
}

fn part(name: &str) -> Result<Part, UnknownStateValue> {
    const AXES: [&str; 3] = ["x", "y", "z"];
    let axis = |name: &str| AXES.iter().position(|axis| *axis == name);
    let joint = |name: &str| match name.strip_prefix("joint")?.parse() {
        Ok(number @ 1..=7usize) => Some(Part::Joint(number - 1)),
        _ => None,
    };
    let from_down = TURN_FROM_DOWN.iter().position(|value| *value == name);
    let error = TRACKING_ERROR.iter().position(|value| *value == name);
    let known = match name {
        "gripper" => Some(Part::Gripper),
        _ => axis(name)
            .map(Part::Position)
            .or_else(|| name.strip_prefix('r').and_then(axis).map(Part::Rotation))
            .or_else(|| from_down.map(Part::FromDown))
            .or_else(|| error.map(Part::TrackingError))
            .or_else(|| joint(name)),
    };
    known.ok_or_else(|| UnknownStateValue { name: name.to_owned() })
}

#[cfg(test)]
mod tests {
    use nalgebra::UnitQuaternion;

    use super::*;
    use crate::contract::{Data, Robot};

    #[test]
    fn values_come_by_name_in_the_contract_s_order() {
        let quarter = std::f64::consts::FRAC_PI_2;
        let reading = ArmReading {
            joints: Joints::from([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]),
            tool: Pose::from_parts(
                Vector3::new(1.0, 2.0, 3.0).into(),
                UnitQuaternion::from_scaled_axis(Vector3::y() * quarter),
            ),
            commanded: Pose::translation(1.01, 1.98, 3.0),
            gripper: 0.8,
        };
        let names = ["gripper", "joint7", "z", "joint1", "ry", "x", "ry_down", "y_error"];
        let values = Proprioception::named(names).unwrap().values(&reading);
        // A tool that points down is rotated half a turn about y.
        let expected = [0.8, 0.7, 3.0, 0.1, quarter, 1.0, -quarter, -0.02];
        assert_eq!(values.len(), expected.len());
        assert!(
            values.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9),
            "{values:?}"
        );
    }

    #[test]
    fn the_state_of_a_contract_is_what_it_lists() {
        let mut contract = Contract {
            robot: Robot::simulated(),
            data: Data::unrecorded(20.0),
            model: None,
        };
        assert!(Proprioception::of(&contract).unwrap().is_empty());
        contract.data.state = contract.data.statistics.clone();
        let state = Proprioception::of(&contract).unwrap();
        let listed = contract.data.state.iter().map(|dimension| dimension.name.as_str());
        assert_eq!(state, Proprioception::named(listed).unwrap());
        assert!(!state.is_empty());
    }

    #[test]
    fn a_value_the_arm_does_not_give_is_refused_by_name() {
        for name in ["roll", "joint8", "joint0", "pad", "r", "joint"] {
            let error = Proprioception::named(["x", name]).unwrap_err().to_string();
            assert!(error.contains(&format!("found {name};")), "{error}");
        }
    }
}
