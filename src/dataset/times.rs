//! Times of rows in their episodes, compared as LeRobot does.

/// Largest difference between two times that LeRobot takes for the same (s).
pub const TOLERANCE_S: f64 = 1e-4;

/// Returns whether the time of a row is the one at which it is due (s). Times are 32-bit numbers, which for late rows are
/// coarser than LeRobot's tolerance. NaN never is.
pub fn is_due(time_s: f64, due_s: f64) -> bool {
    (time_s - due_s).abs() <= TOLERANCE_S + due_s.abs() * f64::from(f32::EPSILON)
}
