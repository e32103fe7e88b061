//! Anchor of hand and arm when the deadman was pressed, and the motion that the hand requests relative to it.

use nalgebra::{Translation3, UnitQuaternion, Vector6};

use super::arm::ObservedArm;
use super::engaged::offset;
use crate::teleop::input_device::{Intent, Twist};
use crate::teleop::mapping::{Engage, Input, LEADER_JOINTS, VelocityFrame};
use crate::types::{Joints, Pose};

/// Poses of hand and tool when the clutch was closed.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Clutch {
    hand: Pose,
    base_from_tool: Pose,
}

/// Reference of the motion.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Anchor {
    clutch: Option<Clutch>,
    /// Last requested pose of the tool, from which a new clutch continues.
    goal: Option<Pose>,
    /// Whether the arm has reached the leader.
    reached: bool,
}

/// Reason for which the operator cannot engage.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(super) enum EngageError {
    /// The input has sent nothing.
    #[error("expected a reading of the input, found none yet")]
    NoReading,
    /// The leader is away from the arm.
    #[error(
        "expected each of {joints} joints of the leader within {tolerance_rad} rad of the arm, found {away} rad; bring \
         the leader there, or set engage: ramp",
        joints = LEADER_JOINTS
    )]
    LeaderAway {
        /// Largest distance of a joint (rad).
        tolerance_rad: f64,
        /// Joints that are further away, with their distances (rad).
        away: String,
    },
}

/// Requested motion of the tool.
pub(super) enum Goal {
    /// Velocity as fractions of the speeds, in the base frame.
    Velocity(Twist),
    /// Offset in the base frame (m, rad), to be reached with this time constant (s).
    Offset(Vector6<f64>, f64),
}

impl Anchor {
    /// Creates an anchor. A leader away from the arm may be refused, with every joint that is too far off.
    pub(super) fn new(input: &Input, intent: Intent, arm: &ObservedArm) -> Result<Self, EngageError> {
        if let (Input::Leader(leader), Intent::Joints(joints)) = (input, intent) {
            let away: Vec<String> = (joints - arm.joints)
                .iter()
                .enumerate()
                .filter(|(_, away)| away.abs() > leader.tolerance_rad)
                .map(|(joint, away)| format!("joint{} {away:+.3}", joint + 1))
                .collect();
            if leader.engage == Engage::Refuse && !away.is_empty() {
                return Err(EngageError::LeaderAway {
                    tolerance_rad: leader.tolerance_rad,
                    away: away.join(", "),
                });
            }
        }
        let clutch = match intent {
            Intent::Pose(hand) => Some(Clutch {
                hand,
                base_from_tool: arm.pose,
            }),
            _ => None,
        };
        Ok(Self {
            clutch,
            goal: None,
            reached: false,
        })
    }

    /// Releases the clutch, because the relation of hand and tool changes; it closes again at the last requested tool
    /// pose.
    pub(super) fn release_clutch(&mut self) {
        if self.goal.is_some() {
            self.clutch = None;
        }
    }

    /// Returns whether the arm has reached the leader since it was engaged.
    pub(super) fn is_reached(&mut self, away: &Joints, tolerance_rad: f64) -> bool {
        self.reached |= away.amax() <= tolerance_rad;
        self.reached
    }

    /// Returns the requested motion of the tool, relative to its commanded pose.
    pub(super) fn tool_goal(&mut self, input: &Input, intent: Intent, arm: &ObservedArm, scale: f64) -> Goal {
        match (input, intent) {
            (Input::Pose(mapping), Intent::Pose(hand)) => {
                let clutch = *self.clutch.get_or_insert(Clutch {
                    hand,
                    base_from_tool: self.goal.unwrap_or(arm.pose),
                });
                let moved = offset(&clutch.hand, &hand);
                let gain = mapping.translation_gain * scale;
                let turned = if mapping.rotates {
                    UnitQuaternion::from_scaled_axis(moved.fixed_rows::<3>(3).into_owned())
                } else {
                    UnitQuaternion::identity()
                };
                let start = clutch.base_from_tool;
                let goal = Pose::from_parts(
                    Translation3::from(start.translation.vector + moved.fixed_rows::<3>(0) * gain),
                    turned * start.rotation,
                );
                self.goal = Some(goal);
                Goal::Offset(offset(&arm.pose, &goal), mapping.smoothing_s)
            }
            (_, Intent::Twist(twist)) => Goal::Velocity(match input.frame() {
                VelocityFrame::Base => twist,
                VelocityFrame::Tool => Twist {
                    linear: arm.pose.rotation * twist.linear,
                    angular: arm.pose.rotation * twist.angular,
                },
            }),
            _ => Goal::Velocity(Twist::default()),
        }
    }
}
