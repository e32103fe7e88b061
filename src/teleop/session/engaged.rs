//! Arm that follows the hand, in steps from its commanded position.

use nalgebra::{Vector3, Vector6};

use super::anchor::{Anchor, Goal};
use super::arm::ObservedArm;
use crate::contract::ActionSpace;
use crate::teleop::input_device::Intent;
use crate::teleop::mapping::Input;
use crate::teleop::motion::{MotionLimits, MotionProfile};
use crate::types::time::Time;
use crate::types::{JOINTS, Joints, Pose};

#[derive(Debug, Clone)]
pub(super) struct Engaged {
    pub(super) anchor: Anchor,
    linear: MotionProfile<3>,
    angular: MotionProfile<3>,
    joints: MotionProfile<JOINTS>,
    /// Stamp of the last report that was answered.
    pub(super) last: Option<Time>,
}

/// Inputs of a plan besides hand and arm.
#[derive(Debug, Clone, Copy)]
pub(super) struct Present {
    /// Speed scale, and the smallest one.
    pub(super) scale: f64,
    pub(super) slowest: f64,
    /// Time since the last plan (s).
    pub(super) elapsed: f64,
    /// Requested gripper opening.
    pub(super) opening: f64,
}

impl Engaged {
    /// Creates the state without any motion.
    pub(super) fn new(anchor: Anchor) -> Self {
        Self {
            anchor,
            linear: MotionProfile::default(),
            angular: MotionProfile::default(),
            joints: MotionProfile::default(),
            last: None,
        }
    }

    /// Plans steps of the tool (EE7) from its commanded pose.
    pub(super) fn tool_steps(
        &mut self,
        input: &Input,
        intent: Intent,
        arm: &ObservedArm,
        present: Present,
    ) -> Vec<f64> {
        let Present { scale, elapsed, .. } = present;
        let Some(speed) = input.tool_speed() else {
            return Vec::new();
        };
        let linear = MotionLimits {
            fastest: speed.linear_m_s * scale,
            acceleration: speed.linear_m_s2,
        };
        let angular = MotionLimits {
            fastest: speed.angular_rad_s * scale,
            acceleration: speed.angular_rad_s2,
        };
        let (moves, turns) = match self.anchor.tool_goal(input, intent, arm, scale) {
            Goal::Velocity(twist) => (
                self.linear.plan(elapsed, linear, |_| twist.linear * linear.fastest),
                self.angular.plan(elapsed, angular, |_| twist.angular * angular.fastest),
            ),
            Goal::Offset(offset, within_s) => {
                let toward = |goal: Vector3<f64>| move |done: &Vector3<f64>| (goal - done) / within_s;
                (
                    self.linear
                        .plan(elapsed, linear, toward(offset.fixed_rows::<3>(0).into_owned())),
                    self.angular
                        .plan(elapsed, angular, toward(offset.fixed_rows::<3>(3).into_owned())),
                )
            }
        };
        let steps = moves.len().max(turns.len());
        let at =
            |offsets: &[Vector3<f64>], step: usize| offsets.get(step).or(offsets.last()).copied().unwrap_or_default();
        let mut values = Vec::with_capacity(steps * ActionSpace::Ee7.dim());
        for step in 0..steps {
            let (translation, rotation) = (at(&moves, step), at(&turns, step));
            values.extend(translation.iter().chain(rotation.iter()));
            values.push(present.opening);
        }
        values
    }

    /// Plans steps of the joints (JOINT8) from their commanded positions.
    pub(super) fn joint_steps(
        &mut self,
        input: &Input,
        leader: Joints,
        arm: &ObservedArm,
        present: Present,
    ) -> Vec<f64> {
        let Input::Leader(mapping) = input else {
            return Vec::new();
        };
        let away = leader - arm.joints;
        let share = if self.anchor.is_reached(&away, mapping.tolerance_rad) {
            present.scale
        } else {
            present.slowest
        };
        let pace = MotionLimits {
            fastest: mapping.speed_rad_s * share,
            acceleration: mapping.acceleration_rad_s2,
        };
        let within_s = mapping.smoothing_s;
        let offsets = self.joints.plan(present.elapsed, pace, |done| (away - done) / within_s);
        let mut values = Vec::with_capacity(offsets.len() * ActionSpace::Joint8.dim());
        for offset in &offsets {
            values.extend(offset.iter());
            values.push(present.opening);
        }
        values
    }
}

/// Returns translation (m) and rotation vector (rad) from `from` to `to`, in the base frame.
pub(super) fn offset(from: &Pose, to: &Pose) -> Vector6<f64> {
    let moved = to.translation.vector - from.translation.vector;
    let turned = (to.rotation * from.rotation.inverse()).scaled_axis();
    Vector6::new(moved.x, moved.y, moved.z, turned.x, turned.y, turned.z)
}
