//! State of the arm at the time of a sample, interpolated between the two states around it.

use std::collections::VecDeque;

use super::waiting::distance;
use crate::recording::steps::Commanded;
use crate::types::time::Time;
use crate::types::{Joints, Pose};

/// State of the arm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ArmState {
    /// Measured joints (rad).
    pub joints: Joints,
    /// Measured `base_from_tool` (m).
    pub tool: Pose,
    /// Commanded state.
    pub commanded: Commanded,
    /// Whether it follows the chunks of a source.
    pub following: bool,
}

/// Returns the state of the arm at `tick`, interpolated between the two states around it; if it is not between two, the
/// nearest one within `slop_s` (s).
pub(super) fn at(states: &mut VecDeque<(Time, ArmState)>, tick: Time, slop_s: f64) -> Option<ArmState> {
    while states.get(1).is_some_and(|(second, _)| *second <= tick) {
        states.pop_front();
    }
    let (start, from) = states.front()?;
    match states.get(1) {
        Some((end, to)) if *start <= tick => {
            let share = tick.seconds_since(*start) / end.seconds_since(*start);
            Some(between(from, to, share))
        }
        _ => (distance(*start, tick) <= slop_s).then_some(*from),
    }
}

fn between(from: &ArmState, to: &ArmState, share: f64) -> ArmState {
    let pose = |from: &Pose, to: &Pose| from.try_lerp_slerp(to, share, 1e-9).unwrap_or(*to);
    ArmState {
        joints: from.joints.lerp(&to.joints, share),
        tool: pose(&from.tool, &to.tool),
        commanded: Commanded {
            joints: from.commanded.joints.lerp(&to.commanded.joints, share),
            tool: pose(&from.commanded.tool, &to.commanded.tool),
            gripper: from.commanded.gripper,
        },
        following: from.following,
    }
}
