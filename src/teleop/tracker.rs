//! Tracked hand: converts poses to the axes of the arm's base, and detects when the tracker has lost the hand.

use std::fmt::Display;

use nalgebra::{Translation3, UnitQuaternion};

use super::input_device::{InputDevice, InputReading, Intent, StreamFreshness};
use super::joystick::JoystickControls;
use super::mapping::{Command, Pose as Mapping};
use crate::types::Pose;
use crate::types::time::Time;

/// Tracked hand, with the pad that has its clutch.
#[derive(Debug, Clone)]
pub struct Tracker {
    /// Clutch and buttons.
    pub pad: JoystickControls,
    frame_id: String,
    base_from_input: UnitQuaternion<f64>,
    jump_m: f64,
    jump_rad: f64,
    freshness: StreamFreshness,
    latest: Option<Pose>,
}

impl Tracker {
    /// Creates a hand without any pose.
    pub fn new(mapping: &Mapping) -> Self {
        let [roll, pitch, yaw] = mapping.base_from_input_deg.map(f64::to_radians);
        Self {
            pad: JoystickControls::new(&mapping.pad),
            frame_id: mapping.frame_id.clone(),
            base_from_input: UnitQuaternion::from_euler_angles(roll, pitch, yaw),
            jump_m: mapping.jump_m,
            jump_rad: mapping.jump_rad,
            freshness: StreamFreshness::new("tracked hand", mapping.timeout_s),
            latest: None,
        }
    }

    /// Handles a pose message; `Err` if it holds no valid pose.
    pub fn received(&mut self, frame_id: &str, pose: Result<Pose, impl Display>, now: Time) {
        if !self.pad.held() {
            self.freshness.clear_fault();
        }
        if !self.frame_id.is_empty() && frame_id != self.frame_id {
            let why = format!("expected poses in frame {:?}, found {frame_id:?}", self.frame_id);
            return self.freshness.bad(now, why);
        }
        let pose = match pose {
            Ok(pose) => pose,
            Err(why) => return self.freshness.bad(now, why.to_string()),
        };
        // Only the axes are rotated: the origin of the input cancels out in relative motion.
        let turn = self.base_from_input;
        let seen = Pose::from_parts(
            Translation3::from(turn * pose.translation.vector),
            turn * pose.rotation * turn.inverse(),
        );
        let jump = self.latest.map_or((0.0, 0.0), |last| {
            let moved = (seen.translation.vector - last.translation.vector).norm();
            (moved, seen.rotation.angle_to(&last.rotation))
        });
        self.latest = Some(seen);
        if jump.0 > self.jump_m || jump.1 > self.jump_rad {
            let (moved, turned) = jump;
            let why = format!(
                "expected less than {} m and {} rad between two poses, found {moved:.3} m and {turned:.3} rad",
                self.jump_m, self.jump_rad
            );
            return self.freshness.bad(now, why);
        }
        self.freshness.good(now);
    }
}

impl InputDevice for Tracker {
    fn read(&mut self, now: Time) -> InputReading {
        if !self.pad.held() {
            self.freshness.clear_fault();
        }
        InputReading {
            held: self.pad.held(),
            intent: self.latest.map(Intent::Pose),
            gripper: self.pad.gripper(),
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
    use std::convert::Infallible;

    use nalgebra::{Vector3, vector};

    use super::*;
    use crate::teleop::mapping::tests::shipped_pose;

    fn at(seconds: f64) -> Time {
        Time::from_secs_f64(seconds)
    }

    fn seen(tracker: &mut Tracker, now: f64) -> Pose {
        match tracker.read(at(now)).intent {
            Some(Intent::Pose(pose)) => pose,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn axes_are_turned_into_the_base() {
        let mut mapping = shipped_pose();
        mapping.base_from_input_deg = [0.0, 0.0, 90.0];
        let mut tracker = Tracker::new(&mapping);
        let pose = Pose::new(vector![1.0, 0.0, 0.0], vector![0.3, 0.0, 0.0]);
        tracker.received(&mapping.frame_id, Ok::<_, Infallible>(pose), at(0.0));
        let seen = seen(&mut tracker, 0.0);
        assert!((seen.translation.vector - Vector3::y()).norm() < 1e-12);
        assert!((seen.rotation.scaled_axis() - Vector3::y() * 0.3).norm() < 1e-12);
    }

    #[test]
    fn a_jump_lets_go_until_the_clutch_was_opened() {
        let mapping = shipped_pose();
        let mut tracker = Tracker::new(&mapping);
        let buttons = |held: i32| [held; 12];
        let reading = |tracker: &mut Tracker, now: f64, x: f64, held: i32| {
            tracker.pad.received(&[0.0; 8], &buttons(held), at(now));
            let pose = Pose::translation(x, 0.0, 0.0);
            tracker.received(&mapping.frame_id, Ok::<_, Infallible>(pose), at(now));
            tracker.read(at(now))
        };
        assert_eq!(reading(&mut tracker, 0.0, 0.0, 0).fault, None);
        assert_eq!(reading(&mut tracker, 0.01, 0.001, 1).fault, None);
        let fault = reading(&mut tracker, 0.02, 1.0, 1).fault.unwrap();
        assert!(fault.contains("found 0.999 m"), "{fault}");
        assert!(reading(&mut tracker, 0.03, 1.001, 1).fault.is_some());
        assert_eq!(reading(&mut tracker, 0.04, 1.002, 0).fault, None);
        assert_eq!(reading(&mut tracker, 0.05, 1.003, 1).fault, None);
        assert!(tracker.read(at(1.0)).fault.is_some(), "silence");
    }
}
