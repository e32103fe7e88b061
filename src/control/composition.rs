//! Where the steps of a chunk take the tool.

use nalgebra::{UnitQuaternion, Vector3};

use crate::contract::Composition;

/// How far the tool is from the anchor, in the base frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Offset {
    /// Translation (m).
    pub translation: Vector3<f64>,
    /// Rotation, applied from the left.
    pub rotation: UnitQuaternion<f64>,
}

impl Offset {
    /// At the anchor.
    pub fn none() -> Self {
        Self {
            translation: Vector3::zeros(),
            rotation: UnitQuaternion::identity(),
        }
    }

    /// What one step of end-effector deltas says: three metres and a rotation vector (rad); what is missing is 0.
    pub fn of(step: &[f64]) -> Self {
        let value = |i: usize| step.get(i).copied().unwrap_or(0.0);
        Self {
            translation: Vector3::new(value(0), value(1), value(2)),
            rotation: UnitQuaternion::from_scaled_axis(Vector3::new(value(3), value(4), value(5))),
        }
    }

    /// The offset after a further step. Deltas are expressed in the base frame: translations add, rotation vectors
    /// multiply from the left. With SEQUENTIAL composition a step applies to the result of the one before, with
    /// FROM_ANCHOR to the anchor.
    #[must_use]
    pub fn then(self, step: &[f64], composition: Composition) -> Self {
        let delta = Self::of(step);
        match composition {
            Composition::Sequential => Self {
                translation: self.translation + delta.translation,
                rotation: delta.rotation * self.rotation,
            },
            Composition::FromAnchor => delta,
        }
    }
}
