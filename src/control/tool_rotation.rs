//! Rotation of the tool as three numbers without jumps in the range that the tool works in.
//!
//! The rotation vector of `base_from_tool` jumps from +π to -π where the angle passes half a turn, and a tool that points
//! straight down is half a turn away from the base. A recorded state therefore holds the rotation from *down*: the tool's z
//! axis along -z of the base and its x axis along -x, half a turn about the base's y axis, as a Realman arm points at a
//! table in front of it. A rotation of the tool about the vertical then changes `rz_down` alone. The values depend on the
//! pose of one instant only, so a policy that has just started reads the same values as were recorded. They jump only half
//! a turn away from down.

use nalgebra::{Quaternion, Unit, UnitQuaternion, Vector3};

/// Names of the values, in order (rad).
pub const TURN_FROM_DOWN: [&str; 3] = ["rx_down", "ry_down", "rz_down"];

/// Rotation `base_from_tool` of a tool that points straight down.
fn down() -> UnitQuaternion<f64> {
    Unit::new_unchecked(Quaternion::new(0.0, 0.0, 1.0, 0.0))
}

/// Returns the rotation vector from down to `base_from_tool` along the axes of the base (rad), at most π long.
pub fn turn_from_down(base_from_tool: &UnitQuaternion<f64>) -> Vector3<f64> {
    (base_from_tool * down().inverse()).scaled_axis()
}

/// Returns the rotation `base_from_tool` with this rotation vector from down (rad).
pub fn turned_from_down(turn: Vector3<f64>) -> UnitQuaternion<f64> {
    UnitQuaternion::from_scaled_axis(turn) * down()
}

#[cfg(test)]
mod tests {
    use std::f64::consts::PI;

    use approx::assert_relative_eq;
    use nalgebra::vector;
    use proptest::prelude::*;

    use super::*;

    fn turn(reach: f64) -> impl Strategy<Value = Vector3<f64>> {
        prop::array::uniform3(-1.0..1.0f64).prop_map(move |v| {
            let v = Vector3::from(v);
            v * (reach / v.norm().max(1.0))
        })
    }

    #[test]
    fn a_hand_that_points_down_and_turns_about_the_vertical_changes_one_value() {
        let hand = |yaw: f64| UnitQuaternion::from_scaled_axis(Vector3::z() * yaw) * down();
        for yaw in [-3.0, -0.5, 0.0, 0.5, 3.0] {
            assert_relative_eq!(turn_from_down(&hand(yaw)), vector![0.0, 0.0, yaw], epsilon = 1e-12);
        }
        assert_relative_eq!(down() * Vector3::z(), -Vector3::z(), epsilon = 1e-12);
        assert_relative_eq!(down() * Vector3::x(), -Vector3::x(), epsilon = 1e-12);
    }

    proptest! {
        #[test]
        fn a_small_turn_of_the_tool_is_a_small_change_of_the_values(at in turn(0.9 * PI), by in turn(0.05)) {
            let before = turned_from_down(at);
            let after = UnitQuaternion::from_scaled_axis(by) * before;
            let change = (turn_from_down(&after) - turn_from_down(&before)).norm();
            // The change of a rotation vector lies between the rotation itself and π/2 of it, which is reached at half a turn.
            prop_assert!(change <= by.norm() * PI / 2.0 + 1e-9, "{change} for a turn by {}", by.norm());
        }

        #[test]
        fn the_values_say_which_rotation_it_is(at in turn(0.999 * PI)) {
            assert_relative_eq!(turn_from_down(&turned_from_down(at)), at, epsilon = 1e-9);
        }

        #[test]
        fn the_sign_of_a_quaternion_changes_nothing(at in turn(0.999 * PI)) {
            let one = turned_from_down(at);
            let other = Unit::new_unchecked(-one.into_inner());
            assert_relative_eq!(turn_from_down(&other), turn_from_down(&one), epsilon = 1e-9);
        }
    }
}
