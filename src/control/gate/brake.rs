//! Braking: all joints together on a straight line in joint space, as hard as the acceleration limits permit.

use crate::types::Joints;

/// Position and velocity of a commanded arm; the velocity is the last step over the period.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CommandedMotion {
    /// Joint positions (rad).
    pub position: Joints,
    /// Joint velocities (rad/s).
    pub velocity: Joints,
}

impl CommandedMotion {
    /// Creates the motion of an arm at rest at `position` (rad).
    pub fn at_rest(position: Joints) -> Self {
        Self {
            position,
            velocity: Joints::zeros(),
        }
    }

    /// Whether all velocities are 0.
    pub fn is_at_rest(&self) -> bool {
        self.velocity.iter().all(|v| *v == 0.0)
    }
}

/// Fraction of `velocity` that one command may remove without exceeding `change`, the largest velocity change of each
/// joint in one command (rad/s).
pub fn braking_share(velocity: &Joints, change: &Joints) -> f64 {
    velocity.iter().zip(change.iter()).fold(
        1.0,
        |share: f64, (v, c)| {
            if v.abs() > *c { share.min(c / v.abs()) } else { share }
        },
    )
}

/// Velocity after one braking command (rad/s).
pub fn braked(velocity: &Joints, change: &Joints) -> Joints {
    velocity * (1.0 - braking_share(velocity, change))
}

/// Velocities while braking from `velocity` to rest, one per command (rad/s); the first is `velocity`, the last zero.
pub fn braking_velocities(velocity: Joints, change: &Joints) -> impl Iterator<Item = Joints> {
    let share = braking_share(&velocity, change);
    let commands = (1.0 / share).ceil();
    (0..=commands as usize).map(move |k| velocity * (1.0 - k as f64 * share).max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change() -> Joints {
        Joints::repeat(0.06)
    }

    #[test]
    fn braking_stays_on_a_line_takes_the_limit_of_the_fastest_joint_and_ends_at_zero() {
        let start = Joints::from([0.2, -0.1, 0.0, 0.05, 0.0, 0.0, 0.01]);
        let velocities: Vec<Joints> = braking_velocities(start, &change()).collect();
        assert_eq!(velocities[0], start);
        assert_eq!(velocities.len(), 5);
        assert_eq!(velocities[4], Joints::zeros());
        for pair in velocities.windows(2) {
            let step = pair[0] - pair[1];
            assert!(step.amax() <= 0.06 + 1e-12);
            assert!((step.normalize() - start.normalize()).norm() < 1e-9);
        }
        assert!(
            (velocities[0][0] - velocities[1][0] - 0.06).abs() < 1e-12,
            "the fastest joint brakes at its limit"
        );
    }

    #[test]
    fn braking_again_on_the_way_leads_along_the_same_velocities() {
        let start = Joints::from([0.5, -0.1, 0.3, 0.05, 0.0, 0.0, 0.01]);
        let whole: Vec<Joints> = braking_velocities(start, &change()).collect();
        let rest: Vec<Joints> = braking_velocities(braked(&start, &change()), &change()).collect();
        assert_eq!(whole.len(), rest.len() + 1);
        for (a, b) in whole.iter().skip(1).zip(&rest) {
            assert!((a - b).amax() < 1e-12);
        }
    }

    #[test]
    fn what_fits_into_one_command_stops_in_one() {
        let slow = Joints::repeat(0.06);
        assert_eq!(braked(&slow, &change()), Joints::zeros());
        assert!(
            !CommandedMotion {
                position: slow,
                velocity: slow
            }
            .is_at_rest()
        );
        assert!(CommandedMotion::at_rest(slow).is_at_rest());
    }
}
