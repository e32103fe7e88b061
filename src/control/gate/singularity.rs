//! Reduction of velocity limits near singular configurations.

use crate::control::config::Singularity;
use crate::control::kinematics::{Conditioning, Kinematics};
use crate::types::Joints;

/// Characteristic length that makes metres and radians comparable (m); 1 keeps SI units, as in MoveIt Servo's thresholds.
const LENGTH_M: f64 = 1.0;

/// Condition number of the Jacobian at joint positions (rad); infinite at a singularity.
pub fn condition_number(kinematics: &dyn Kinematics, joints: &Joints) -> f64 {
    Conditioning::new(&kinematics.jacobian(joints), LENGTH_M).number()
}

impl Singularity {
    /// Fraction of the velocity limits left to a motion from condition number `here` to `there`: 1 up to the first threshold
    /// and for motion out of the singularity, falling linearly to 0 at the second.
    pub fn share(&self, here: f64, there: f64) -> f64 {
        if there <= self.slow || there <= here {
            return 1.0;
        }
        ((self.halt - there) / (self.halt - self.slow)).clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::kinematics::ArmModel;

    const THRESHOLDS: Singularity = Singularity {
        slow: 50.0,
        halt: 150.0,
    };

    #[test]
    fn limits_shrink_gradually_between_the_thresholds_and_not_outside() {
        assert_eq!(THRESHOLDS.share(10.0, 50.0), 1.0);
        assert_eq!(THRESHOLDS.share(70.0, 75.0), 0.75);
        assert_eq!(THRESHOLDS.share(99.0, 100.0), 0.5);
        assert_eq!(THRESHOLDS.share(140.0, 150.0), 0.0);
        assert_eq!(THRESHOLDS.share(140.0, f64::INFINITY), 0.0);
    }

    #[test]
    fn the_way_out_is_free() {
        assert_eq!(THRESHOLDS.share(140.0, 139.0), 1.0);
        assert_eq!(THRESHOLDS.share(f64::INFINITY, 1e9), 1.0);
        assert_eq!(THRESHOLDS.share(f64::INFINITY, f64::INFINITY), 1.0);
    }

    #[test]
    fn the_arm_gets_worse_towards_its_stretched_elbow() {
        let kinematics = ArmModel::Rm75.kinematics();
        let at = |elbow: f64| {
            condition_number(
                &*kinematics,
                &Joints::from([0.0, 30.0, 0.0, elbow, 0.0, 60.0, 0.0].map(f64::to_radians)),
            )
        };
        assert!(at(60.0) < 30.0);
        assert!(at(20.0) > at(40.0) && at(5.0) > at(20.0));
        assert!(at(0.0) > 1e6);
    }
}
