//! What hand and arm were when the deadman was pressed, and what the hand therefore asks for now.

use nalgebra::{Translation3, UnitQuaternion, Vector6};

use super::arm::Arm;
use super::engaged::offset;
use crate::control::types::{Joints, Pose};
use crate::operator::hand::{Intent, Twist};
use crate::operator::mapping::{Engage, Frame, Input, LEADER_JOINTS};

/// Where hand and tool were.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Clutch {
    hand: Pose,
    base_from_tool: Pose,
}

/// What motion is relative to.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Anchor {
    clutch: Option<Clutch>,
    /// Where the tool was last asked to be: what a new clutch goes on from.
    goal: Option<Pose>,
    /// The arm has come to the leader.
    reached: bool,
}

/// What the tool is asked for.
pub(super) enum Goal {
    /// Shares of the speeds, base frame.
    Velocity(Twist),
    /// An offset in the base frame (m, rad), to be come to with this time constant (s).
    Offset(Vector6<f64>, f64),
}

impl Anchor {
    /// Anchors; a leader that is not where the arm is may be refused, with every joint that is too far off.
    pub(super) fn new(input: &Input, intent: Intent, arm: &Arm) -> Result<Self, String> {
        if let (Input::Leader(leader), Intent::Joints(joints)) = (input, intent) {
            let away: Vec<String> = (joints - arm.joints)
                .iter()
                .enumerate()
                .filter(|(_, away)| away.abs() > leader.tolerance_rad)
                .map(|(joint, away)| format!("joint{} {away:+.3}", joint + 1))
                .collect();
            if leader.engage == Engage::Refuse && !away.is_empty() {
                return Err(format!(
                    "expected each of {LEADER_JOINTS} joints of the leader within {} rad of the arm, found {} rad; bring \
                     the leader there, or set engage: ramp",
                    leader.tolerance_rad,
                    away.join(", ")
                ));
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

    /// The relation of hand and tool changes: it is anchored anew where the tool was last asked to be.
    pub(super) fn loosen(&mut self) {
        if self.goal.is_some() {
            self.clutch = None;
        }
    }

    /// Whether the arm has come to the leader once since it was engaged.
    pub(super) fn is_reached(&mut self, away: &Joints, tolerance_rad: f64) -> bool {
        self.reached |= away.amax() <= tolerance_rad;
        self.reached
    }

    /// What the tool is asked for, seen from where it is.
    pub(super) fn tool_goal(&mut self, input: &Input, intent: Intent, arm: &Arm, scale: f64) -> Goal {
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
                Frame::Base => twist,
                Frame::Tool => Twist {
                    linear: arm.pose.rotation * twist.linear,
                    angular: arm.pose.rotation * twist.angular,
                },
            }),
            _ => Goal::Velocity(Twist::default()),
        }
    }
}
