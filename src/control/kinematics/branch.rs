//! The eight solutions (branches) for a pose at one swivel, distinguished by the signs of joints 2, 4 and 6.

use crate::types::Joints;

/// Sign of a joint angle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// Zero counts as positive.
    Positive,
    /// Below zero.
    Negative,
}

impl Sign {
    /// Sign of an angle.
    pub fn of(angle: f64) -> Self {
        if angle < 0.0 { Self::Negative } else { Self::Positive }
    }

    /// Returns the opposite sign.
    pub fn flipped(self) -> Self {
        match self {
            Self::Positive => Self::Negative,
            Self::Negative => Self::Positive,
        }
    }

    pub(super) fn factor(self) -> f64 {
        match self {
            Self::Positive => 1.0,
            Self::Negative => -1.0,
        }
    }
}

/// One of the eight solutions for a pose at a given swivel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Branch {
    /// Sign of joint 2.
    pub shoulder: Sign,
    /// Sign of joint 4.
    pub elbow: Sign,
    /// Sign of joint 6.
    pub wrist: Sign,
}

impl Branch {
    /// Branch of joint positions (rad).
    pub fn of(joints: &Joints) -> Self {
        {
            let [_, q2, _, q4, _, q6, _]: [f64; 7] = (*joints).into();
            Self {
                shoulder: Sign::of(q2),
                elbow: Sign::of(q4),
                wrist: Sign::of(q6),
            }
        }
    }

    /// All eight branches.
    pub fn all() -> impl Iterator<Item = Self> {
        let signs = [Sign::Positive, Sign::Negative];
        signs.into_iter().flat_map(move |shoulder| {
            signs
                .into_iter()
                .flat_map(move |elbow| signs.into_iter().map(move |wrist| Self { shoulder, elbow, wrist }))
        })
    }
}
