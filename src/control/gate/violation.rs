//! Violation of a limit: expected and found value.

use std::fmt;

use crate::control::event::Check;

/// Quantity beyond its limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Violation {
    /// Check that found it.
    pub check: Check,
    /// Name of the quantity, e.g. `joint velocity`.
    pub quantity: &'static str,
    /// Index of the joint, axis or point, from 1.
    pub index: usize,
    /// Limit that is exceeded.
    pub limit: f64,
    /// Value found.
    pub found: f64,
    /// Unit of limit and value.
    pub unit: &'static str,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = if self.found < self.limit { "at least" } else { "at most" };
        write!(
            f,
            "{} {}: expected {side} {:.4} {unit}, found {:.4} {unit}",
            self.quantity,
            self.index,
            self.limit,
            self.found,
            unit = self.unit
        )
    }
}

/// Tolerance for rounding in a comparison with `limit`.
pub(super) fn slack(limit: f64) -> f64 {
    1e-9 * (1.0 + limit.abs())
}
