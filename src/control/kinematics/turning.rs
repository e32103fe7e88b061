//! Directions that turn with the swivel, and the swivels at which they point somewhere.

use std::f64::consts::TAU;

use nalgebra::Vector3;

/// `angle` brought into -pi .. pi.
pub(super) fn wrap(angle: f64) -> f64 {
    angle - TAU * (angle / TAU).round()
}

/// A direction as the swivel turns: `cos(swivel) cos + sin(swivel) sin + still`.
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

    /// How far the component along `direction` swings as the swivel turns.
    pub fn swing(&self, direction: &Vector3<f64>) -> f64 {
        self.cos.dot(direction).hypot(self.sin.dot(direction))
    }

    /// The swivels where the component along `direction` is `value`; the closest approach twice where it never is.
    pub fn swivels(&self, direction: &Vector3<f64>, value: f64) -> [f64; 2] {
        let (p, q) = (self.cos.dot(direction), self.sin.dot(direction));
        solve_trigonometric(p, q, value - self.still.dot(direction))
    }
}

/// The angles where `p cos + q sin = r`, or the closest approach twice.
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

/// Horizontal direction swivels are counted from, and the one a quarter turn on, for a line from shoulder to wrist.
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
        // on axis 1 itself any horizontal direction will do
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
