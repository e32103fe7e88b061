//! C2 cubic spline through evenly spaced knots, with given velocities at both ends; at rest outside.

use nalgebra::SVector;

/// Value and velocity at one time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SplineSample<const N: usize> {
    /// Value.
    pub value: SVector<f64, N>,
    /// Velocity (1/s).
    pub velocity: SVector<f64, N>,
}

/// Spline in N dimensions; time runs from 0 at the first knot.
#[derive(Debug, Clone, PartialEq)]
pub struct Spline<const N: usize> {
    knots: Vec<SVector<f64, N>>,
    velocities: Vec<SVector<f64, N>>,
    spacing: f64,
}

impl<const N: usize> Spline<N> {
    /// Creates the spline through `knots`, `spacing` (s) apart, starting at `start_velocity` (1/s) and ending at rest.
    ///
    /// The velocities at the knots make the second derivative continuous: `v[i-1] + 4 v[i] + v[i+1] =
    /// 3 (p[i+1] - p[i-1]) / spacing`, a tridiagonal system.
    pub fn through(knots: Vec<SVector<f64, N>>, spacing: f64, start_velocity: SVector<f64, N>) -> Self {
        let inner = knots.len().saturating_sub(2);
        // Forward elimination; each entry holds the factor of the next velocity and the right-hand side.
        let mut rows: Vec<(f64, SVector<f64, N>)> = Vec::with_capacity(inner);
        let mut factor = 0.0;
        let mut side = start_velocity;
        for window in knots.windows(3) {
            let [before, _, after] = window else { continue };
            let pivot = 4.0 - factor;
            side = ((after - before) * (3.0 / spacing) - side) / pivot;
            factor = 1.0 / pivot;
            rows.push((factor, side));
        }
        let mut velocities = vec![SVector::zeros(); knots.len().min(1)];
        if knots.len() > 1 {
            let mut next = SVector::zeros();
            velocities = vec![next];
            for (factor, side) in rows.iter().rev() {
                next = side - next * *factor;
                velocities.push(next);
            }
            velocities.push(start_velocity);
            velocities.reverse();
        }
        Self {
            knots,
            velocities,
            spacing,
        }
    }

    /// Time of the last knot (s).
    pub fn duration(&self) -> f64 {
        self.knots.len().saturating_sub(1) as f64 * self.spacing
    }

    /// Value and velocity at `time` (s) after the first knot.
    pub fn at(&self, time: f64) -> SplineSample<N> {
        let clamped = time.clamp(0.0, self.duration());
        let index = ((clamped / self.spacing) as usize).min(self.knots.len().saturating_sub(2));
        let around = |values: &[SVector<f64, N>]| {
            let first = values.get(index).copied().unwrap_or_else(SVector::zeros);
            (first, values.get(index + 1).copied().unwrap_or(first))
        };
        let ((p0, p1), (v0, v1)) = (around(&self.knots), around(&self.velocities));
        let h = self.spacing;
        let u = clamped / h - index as f64;
        let (u2, u3) = (u * u, u * u * u);
        let value = p0 * (2.0 * u3 - 3.0 * u2 + 1.0)
            + v0 * (h * (u3 - 2.0 * u2 + u))
            + p1 * (3.0 * u2 - 2.0 * u3)
            + v1 * (h * (u3 - u2));
        let velocity = (p1 - p0) * (6.0 * (u - u2) / h) + v0 * (3.0 * u2 - 4.0 * u + 1.0) + v1 * (3.0 * u2 - 2.0 * u);
        let moving = if time == clamped { 1.0 } else { 0.0 };
        SplineSample {
            value,
            velocity: velocity * moving,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nalgebra::Vector2;

    fn wavy() -> Spline<2> {
        let knots = [0.0, 0.3, 0.2, 0.7, 1.0].map(|x| Vector2::new(x, 1.0 - x * x));
        Spline::through(knots.to_vec(), 0.1, Vector2::new(0.5, -0.2))
    }

    #[test]
    fn it_passes_through_its_knots_from_the_given_velocity_to_rest() {
        let spline = wavy();
        assert!((spline.duration() - 0.4).abs() < 1e-12);
        for (k, x) in [0.0, 0.3, 0.2, 0.7, 1.0].into_iter().enumerate() {
            let at = spline.at(0.1 * k as f64).value;
            assert!((at - Vector2::new(x, 1.0 - x * x)).norm() < 1e-12, "knot {k}: {at}");
        }
        assert!((spline.at(0.0).velocity - Vector2::new(0.5, -0.2)).norm() < 1e-9);
        assert!(spline.at(0.4).velocity.norm() < 1e-9);
    }

    #[test]
    fn velocity_is_the_derivative_and_both_it_and_the_acceleration_are_continuous() {
        let spline = wavy();
        let h = 1e-5;
        let mut last: Option<(Vector2<f64>, Vector2<f64>)> = None;
        for i in 1..3999 {
            let t = f64::from(i) * 1e-4;
            let derivative = (spline.at(t + h).value - spline.at(t - h).value) / (2.0 * h);
            let sample = spline.at(t);
            assert!((derivative - sample.velocity).norm() < 1e-4, "at {t}");
            let acceleration = (spline.at(t + h).velocity - spline.at(t - h).velocity) / (2.0 * h);
            if let Some((velocity, before)) = last {
                assert!((sample.velocity - velocity).norm() < 0.05, "velocity jumps at {t}");
                assert!(
                    (acceleration - before).norm() < 1.0,
                    "acceleration jumps at {t}: {before} to {acceleration}"
                );
            }
            last = Some((sample.velocity, acceleration));
        }
    }

    #[test]
    fn it_rests_before_its_first_and_after_its_last_knot() {
        let spline = wavy();
        assert_eq!(spline.at(9.0).value, spline.at(0.4).value);
        assert_eq!(spline.at(9.0).velocity, Vector2::zeros());
        assert_eq!(spline.at(-1.0).value, spline.at(0.0).value);
        assert_eq!(spline.at(-1.0).velocity, Vector2::zeros());
    }

    #[test]
    fn two_knots_make_one_segment() {
        let spline = Spline::through(vec![Vector2::zeros(), Vector2::new(1.0, 2.0)], 0.5, Vector2::zeros());
        assert!((spline.at(0.25).value - Vector2::new(0.5, 1.0)).norm() < 1e-12);
        assert!((spline.at(0.25).velocity - Vector2::new(3.0, 6.0)).norm() < 1e-12);
    }
}
