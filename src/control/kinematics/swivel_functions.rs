//! Directions as functions of the swivel, and the swivels at which a component has a given value.

use std::f64::consts::TAU;

use nalgebra::Vector3;

/// Wraps `angle` into -pi .. pi (rad).
pub(super) fn wrap(angle: f64) -> f64 {
    angle - TAU * (angle / TAU).round()
}

/// Direction as a function of the swivel: `cos(swivel) cos + sin(swivel) sin + still`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turning {
    pub cos: Vector3<f64>,
    pub sin: Vector3<f64>,
    pub still: Vector3<f64>,
}

impl Turning {
    pub fn at(&self, cos: f64, sin: f64) -> Vector3<f64> {
        self.cos * cos + self.sin * sin + self.still
    }

    /// Amplitude of the component along `direction` as the swivel changes.
    pub fn swing(&self, direction: &Vector3<f64>) -> f64 {
        self.cos.dot(direction).hypot(self.sin.dot(direction))
    }

    /// Swivels at which the component along `direction` is `value` (rad); the closest approach twice if it never is.
    pub fn swivels(&self, direction: &Vector3<f64>, value: f64) -> [f64; 2] {
        let (p, q) = (self.cos.dot(direction), self.sin.dot(direction));
        solve_trigonometric(p, q, value - self.still.dot(direction))
    }
}

/// Solves `p cos + q sin = r` for the angle (rad); returns the closest approach twice if there is no solution.
pub(super) fn solve_trigonometric(p: f64, q: f64, r: f64) -> [f64; 2] {
    let amplitude = p.hypot(q);
    let centre = q.atan2(p);
    let half = if amplitude > 0.0 {
        (r / amplitude).clamp(-1.0, 1.0).acos()
    } else {
        0.0
    };
    [wrap(centre - half), wrap(centre + half)]
}

/// Frame that swivels are measured in, about a line from shoulder to wrist: the horizontal zero direction, and the direction
/// a quarter turn on.
#[derive(Debug, Clone, Copy)]
pub(super) struct SwivelFrame {
    pub line: Vector3<f64>,
    pub zero: Vector3<f64>,
    pub quarter: Vector3<f64>,
    /// Sine of the angle between the line and axis 1; the frame turns fast where it is small.
    pub slant: f64,
}

impl SwivelFrame {
    pub fn new(line: Vector3<f64>) -> Self {
        let slant = line.x.hypot(line.y);
        // On axis 1 itself the horizontal direction is arbitrary.
        let zero = if slant > 1e-12 {
            Vector3::new(-line.y / slant, line.x / slant, 0.0)
        } else {
            Vector3::y()
        };
        Self {
            line,
            zero,
            quarter: line.cross(&zero),
            slant,
        }
    }

    pub fn swivel_of(&self, elbow_axis: &Vector3<f64>) -> f64 {
        elbow_axis.dot(&self.quarter).atan2(elbow_axis.dot(&self.zero))
    }
}
