//! Properties that hold for every hand and arm.

use nalgebra::{Vector3, vector};
use proptest::prelude::*;

use super::{SessionFixture, step_lengths};
use crate::teleop::input_device::{Intent, Twist};
use crate::teleop::mapping::Command;
use crate::teleop::motion::STEP_S;
use crate::teleop::session::SessionStep;
use crate::types::Pose;

proptest! {
    #[test]
    fn no_step_is_longer_than_speed_times_scale_and_released_is_no_motion(
        pushes in prop::collection::vec((any::<bool>(), prop::array::uniform6(-2.0..2.0f64), 0..4u8), 1..60),
    ) {
        let mut fixture = SessionFixture::new("gamepad");
        let speed = fixture.session.mapping.input.tool_speed().unwrap();
        // Largest scale since the press: motion that is already faster is slowed down within the acceleration.
        let mut largest = 0.0_f64;
        for (held, push, command) in pushes {
            match command {
                0 => { fixture.session.command(&Command::Faster); }
                1 => { fixture.session.command(&Command::Slower); }
                _ => {}
            }
            let scale = fixture.session.scale();
            largest = if held { largest.max(scale) } else { 0.0 };
            fixture.reading.held = held;
            fixture.reading.intent = Some(Intent::Twist(Twist {
                linear: Vector3::from_column_slice(&push[..3]),
                angular: Vector3::from_column_slice(&push[3..]),
            }));
            let step = fixture.observe();
            match step {
                SessionStep::Send(chunk) => {
                    prop_assert!(held);
                    for (moved, turned) in step_lengths(&chunk) {
                        prop_assert!(moved <= speed.linear_m_s * largest * STEP_S + 1e-9, "{} m", moved);
                        prop_assert!(turned <= speed.angular_rad_s * largest * STEP_S + 1e-9, "{} rad", turned);
                    }
                }
                _ => prop_assert!(!held, "{:?}", step),
            }
        }
    }

    #[test]
    fn a_press_begins_without_a_jump_wherever_arm_and_hand_are(
        arm in prop::array::uniform6(-0.5..0.5f64), first in prop::array::uniform6(-5.0..5.0f64),
        second in prop::array::uniform6(-5.0..5.0f64),
    ) {
        let pose = |v: [f64; 6]| Pose::new(vector![v[0], v[1], v[2]], vector![v[3], v[4], v[5]]);
        let mut fixture = SessionFixture::new("vr");
        fixture.arm.pose = pose(arm);
        for hand in [first, second] {
            fixture.reading.held = true;
            fixture.reading.intent = Some(Intent::Pose(pose(hand)));
            for (moved, turned) in step_lengths(&fixture.sent()) {
                prop_assert!(moved < 1e-9 && turned < 1e-9, "{} m, {} rad", moved, turned);
            }
            fixture.reading.held = false;
            fixture.observe();
        }
    }

    #[test]
    fn no_reading_that_is_no_number_moves_the_arm(value in prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY])) {
        let mut fixture = SessionFixture::new("gamepad");
        fixture.push(value);
        for _ in 0..5 {
            if let SessionStep::Send(chunk) = fixture.observe() {
                prop_assert!(chunk.actions.values().iter().all(|v| v.is_finite()));
                prop_assert!(step_lengths(&chunk).iter().all(|(moved, _)| *moved == 0.0));
            }
        }
    }
}
