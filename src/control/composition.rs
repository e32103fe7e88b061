//! Composition of end-effector steps into offsets from the chunk's anchor.

use nalgebra::{UnitQuaternion, Vector3};

use crate::contract::Composition;

/// Offset of the tool from the anchor, in the base frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Offset {
    /// Translation (m).
    pub translation: Vector3<f64>,
    /// Rotation, applied from the left.
    pub rotation: UnitQuaternion<f64>,
}

impl Offset {
    /// Returns the zero offset.
    pub fn none() -> Self {
        Self {
            translation: Vector3::zeros(),
            rotation: UnitQuaternion::identity(),
        }
    }

    /// Reads one step of end-effector deltas: translation (m), then rotation vector (rad); missing values are 0.
    pub fn of(step: &[f64]) -> Self {
        let value = |i: usize| step.get(i).copied().unwrap_or(0.0);
        Self {
            translation: Vector3::new(value(0), value(1), value(2)),
            rotation: UnitQuaternion::from_scaled_axis(Vector3::new(value(3), value(4), value(5))),
        }
    }

    /// Returns the offset after a further step. Deltas are expressed in the base frame: translations add, rotations multiply
    /// from the left. With `Sequential` composition a step applies to the result of the previous one, with `FromAnchor` to
    /// the anchor.
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
