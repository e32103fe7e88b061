//! Reports of the arm node, and whether the arm can be driven.

use crate::types::time::Time;
use crate::types::{Joints, Pose};

/// Time without reports after which the arm node counts as silent (s).
const ARM_SILENT_S: f64 = 0.3;

/// Report of the arm node.
#[derive(Debug, Clone, PartialEq)]
pub struct ObservedArm {
    /// Time of the report, on the arm's clock.
    pub stamp: Time,
    /// Time of reception, on the clock of the caller.
    pub received: Time,
    /// Whether the arm can be driven.
    pub readiness: Readiness,
    /// Lease that drives the arm, 0 for none.
    pub lease: u64,
    /// Commanded `base_from_tool` (m).
    pub pose: Pose,
    /// Commanded joints (rad).
    pub joints: Joints,
    /// Commanded gripper opening; `None` if it was never commanded.
    pub gripper: Option<f64>,
}

/// Whether an arm can be driven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// Holds, or follows a chunk.
    Ready,
    /// Brakes or ends a move, and can be driven afterwards.
    Busy,
    /// Needs an intervention first, for this reason.
    Away(String),
}

/// Reason why the arm cannot be driven now.
pub(super) enum Wait {
    /// The lease is not held.
    Lease,
    /// The arm may become ready by itself.
    For(String),
    /// The arm needs an intervention first.
    Never(String),
}

impl ObservedArm {
    /// Returns whether the last report is recent.
    pub(super) fn is_fresh(&self, now: Time) -> bool {
        now.seconds_since(self.received) <= ARM_SILENT_S
    }
}

/// Returns the arm and the lease that drives it, if it can be driven now.
pub(super) fn ready(arm: Option<&ObservedArm>, lease: Option<u64>, now: Time) -> Result<(&ObservedArm, u64), Wait> {
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
