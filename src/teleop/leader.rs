//! Leader arm: converts its joints, found by name, to joints of this arm.

use super::input_device::{InputDevice, InputReading, Intent, StreamFreshness};
use super::joystick::JoystickControls;
use super::mapping::{Command, Leader as Mapping, LeaderGripper, LeaderJoint};
use crate::types::time::Time;
use crate::types::{JOINTS, Joints};

/// Joint state that lacks what the mapping names.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
enum LeaderError {
    /// A position is NaN or infinite.
    #[error("expected a number for {joint}, found {found}")]
    NotFinite {
        /// Joint.
        joint: String,
        /// Position found.
        found: f64,
    },
    /// A joint has no position.
    #[error("expected a position of {joint}, found {names}")]
    Missing {
        /// Joint.
        joint: String,
        /// Names of the joints found.
        names: String,
    },
}

/// Joints of this arm and gripper opening that a leader shows.
struct LeaderReading {
    /// Joint positions (rad).
    joints: Joints,
    /// Opening, 0 closed to 1 open; `None` for a leader without gripper.
    opening: Option<f64>,
}

/// Leader arm, with the pad that has its deadman.
#[derive(Debug, Clone)]
pub struct LeaderDevice {
    /// Deadman and buttons.
    pub pad: JoystickControls,
    joints: Vec<LeaderJoint>,
    gripper: Option<LeaderGripper>,
    freshness: StreamFreshness,
    latest: Option<Joints>,
    opening: Option<f64>,
}

impl LeaderDevice {
    /// Creates a leader without any reading.
    pub fn new(mapping: &Mapping) -> Self {
        Self {
            pad: JoystickControls::new(&mapping.pad),
            joints: mapping.joints.clone(),
            gripper: mapping.gripper.clone(),
            freshness: StreamFreshness::new("leader", mapping.timeout_s),
            latest: None,
            opening: None,
        }
    }

    /// Handles a joint state.
    pub fn received(&mut self, names: &[String], positions: &[f64], now: Time) {
        match self.parse(names, positions) {
            Ok(LeaderReading { joints, opening }) => {
                self.latest = Some(joints);
                self.opening = opening;
                self.freshness.good(now);
                if !self.pad.held() {
                    self.freshness.clear_fault();
                }
            }
            Err(why) => self.freshness.bad(now, why.to_string()),
        }
    }

    fn parse(&self, names: &[String], positions: &[f64]) -> Result<LeaderReading, LeaderError> {
        let position = |wanted: &str| {
            let place = names.iter().position(|name| name == wanted);
            let value = place.and_then(|place| positions.get(place)).copied();
            match value {
                Some(value) if value.is_finite() => Ok(value),
                Some(found) => Err(LeaderError::NotFinite {
                    joint: wanted.to_owned(),
                    found,
                }),
                None => Err(LeaderError::Missing {
                    joint: wanted.to_owned(),
                    names: names.join(", "),
                }),
            }
        };
        let mut joints = [0.0; JOINTS];
        for (target, joint) in joints.iter_mut().zip(&self.joints) {
            *target = joint.sign * position(&joint.name)? + joint.offset_rad;
        }
        let opening = match &self.gripper {
            Some(LeaderGripper { name, closed, open }) => {
                Some(((position(name)? - closed) / (open - closed)).clamp(0.0, 1.0))
            }
            None => None,
        };
        Ok(LeaderReading {
            joints: joints.into(),
            opening,
        })
    }
}

impl InputDevice for LeaderDevice {
    fn read(&mut self, now: Time) -> InputReading {
        InputReading {
            held: self.pad.held(),
            intent: self.latest.map(Intent::Joints),
            gripper: self.opening.or_else(|| self.pad.gripper()),
            fault: self.pad.fault(now).or_else(|| self.freshness.fault(now)),
        }
    }

    fn commands(&mut self) -> Vec<Command> {
        self.pad.commands()
    }

    fn last_seen(&self) -> Option<Time> {
        self.freshness.last()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::teleop::mapping::tests::shipped_leader;

    fn at(seconds: f64) -> Time {
        Time::from_secs_f64(seconds)
    }

    fn leader() -> LeaderDevice {
        let mut mapping = shipped_leader();
        for (i, joint) in mapping.joints.iter_mut().enumerate() {
            joint.name = format!("l{i}");
            joint.sign = if i % 2 == 0 { 1.0 } else { -1.0 };
            joint.offset_rad = 0.1 * i as f64;
        }
        mapping.gripper = None;
        LeaderDevice::new(&mapping)
    }

    #[test]
    fn joints_are_found_by_name_and_turned_by_sign_and_offset() {
        let mut leader = leader();
        let names: Vec<String> = (0..7).rev().map(|i| format!("l{i}")).collect();
        leader.received(&names, &[0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0], at(0.0));
        let Some(Intent::Joints(joints)) = leader.read(at(0.0)).intent else {
            panic!("no joints")
        };
        let expected = Joints::from([0.0, 0.0, 0.4, 0.0, 0.8, 0.0, 1.2]);
        assert!((joints - expected).amax() < 1e-12, "{joints}");
    }

    #[test]
    fn a_missing_joint_or_one_that_is_no_number_lets_go_and_is_named() {
        let mut leader = leader();
        leader.pad.received(&[0.0; 8], &[0; 12], at(0.0));
        let names: Vec<String> = (0..7).map(|i| format!("l{i}")).collect();
        leader.received(&names[..6], &[0.0; 6], at(0.0));
        assert!(
            leader
                .read(at(0.0))
                .fault
                .unwrap()
                .contains("expected a position of l6")
        );
        leader.received(&names, &[0.0; 7], at(0.1));
        assert_eq!(leader.read(at(0.1)).fault, None);
        leader.received(&names, &[0.0, 0.0, f64::INFINITY, 0.0, 0.0, 0.0, 0.0], at(0.2));
        assert!(leader.read(at(0.2)).fault.unwrap().contains("l2, found inf"));
    }
}
