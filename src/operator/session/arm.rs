//! What the arm node says of itself, and whether that lets a person drive it.

use crate::control::time::Time;
use crate::control::types::{Joints, Pose};

/// An arm node silent for longer has no arm to move (s).
const ARM_SILENT_S: f64 = 0.3;

/// What the arm node says of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Arm {
    /// Time of the report, on the arm's clock.
    pub stamp: Time,
    /// When it was received, on the clock of the caller.
    pub received: Time,
    /// Whether it can be driven.
    pub readiness: Readiness,
    /// Lease that drives it, 0 for none.
    pub lease: u64,
    /// `base_from_tool` commanded (m).
    pub pose: Pose,
    /// Joints commanded (rad).
    pub joints: Joints,
    /// Gripper opening commanded; nothing when nobody ever did.
    pub gripper: Option<f64>,
}

/// Whether an arm can be driven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// It holds, or follows a chunk.
    Ready,
    /// It comes to rest or ends a move, and then can be.
    Busy,
    /// Somebody must do something first; says what is the matter.
    Away(String),
}

/// Why the arm cannot be driven this moment.
pub(super) enum Wait {
    /// The lease is not held.
    Lease,
    /// It may come to be.
    For(String),
    /// Somebody must do something first.
    Never(String),
}

impl Arm {
    /// Whether it was heard of lately.
    pub(super) fn is_fresh(&self, now: Time) -> bool {
        now.seconds_since(self.received) <= ARM_SILENT_S
    }
}

/// The arm and the lease that drives it, when it can be driven now.
pub(super) fn ready(arm: Option<&Arm>, lease: Option<u64>, now: Time) -> Result<(&Arm, u64), Wait> {
    let arm = arm.filter(|arm| arm.is_fresh(now));
    let Some(arm) = arm else {
        return Err(Wait::For(
            "expected reports of arm_node, found none; is it running in this namespace?".into(),
        ));
    };
    if let Readiness::Away(why) = &arm.readiness {
        return Err(Wait::Never(why.clone()));
    }
    let Some(lease) = lease else {
        return Err(Wait::Lease);
    };
    if arm.lease != lease {
        return Err(Wait::For("another source holds the lease".into()));
    }
    if arm.readiness == Readiness::Busy {
        return Err(Wait::For("the arm is not at rest yet".into()));
    }
    Ok((arm, lease))
}
