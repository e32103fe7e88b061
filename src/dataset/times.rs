//! Times of rows in their episodes, compared as LeRobot does.

/// Largest difference between two times that LeRobot takes for the same (s).
pub const TOLERANCE_S: f64 = 1e-4;

/// Unit to which some programs round or cut times (s).
pub const ROUNDED_S: f64 = 1e-3;

/// Returns whether the time of a row is the one at which it is due (s). Times are 32-bit numbers, which for late rows are
/// coarser than LeRobot's tolerance. NaN never is.
pub fn is_due(time_s: f64, due_s: f64) -> bool {
    (time_s - due_s).abs() <= TOLERANCE_S + due_s.abs() * f64::from(f32::EPSILON)
}

/// Returns whether the time of a row looks like a time at which one is due (s), rounded or cut to milliseconds. It still
/// says which row is meant, because rows are much further apart.
pub fn is_rounded(time_s: f64, fps: f64) -> bool {
    let due_s = (time_s * fps).round() / fps;
    let resolution_s = time_s.abs() * f64::from(f32::EPSILON);
    let is_whole = (time_s - (time_s / ROUNDED_S).round() * ROUNDED_S).abs() <= 1e-6 + resolution_s;
    let is_near = (time_s - due_s).abs() < ROUNDED_S + resolution_s;
    is_whole && is_near && !is_due(time_s, due_s) && fps * ROUNDED_S < 0.25
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_in_milliseconds_are_those_of_their_rows() {
        for time_s in [0.033_f32, 0.034, 0.067, 0.066, 0.133, 100.033, 900.067] {
            assert!(is_rounded(f64::from(time_s), 30.0), "{time_s}");
        }
        // Exact, not near a row or not in milliseconds, and at a rate at which milliseconds do not tell rows apart.
        for (time_s, fps) in [
            (1.0 / 30.0, 30.0),
            (0.1, 30.0),
            (0.035, 30.0),
            (0.0335, 30.0),
            (0.003, 300.0),
        ] {
            assert!(!is_rounded(time_s, fps), "{time_s} at {fps} Hz");
        }
        assert!(!is_rounded(f64::NAN, 30.0));
    }
}
