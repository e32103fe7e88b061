use super::*;
use approx::assert_relative_eq;
use nalgebra::{Translation3, UnitQuaternion};
use std::f64::consts::FRAC_PI_2;

fn turned(angle: f64) -> Axes {
    Axes::base().about_z(angle)
}

fn line(bearing: f64, slant: f64) -> Vector3<f64> {
    Vector3::new(
        slant * bearing.cos(),
        slant * bearing.sin(),
        (1.0 - slant * slant).sqrt(),
    )
}

#[test]
fn what_fades_is_whole_up_to_the_first_bound_half_in_the_middle_and_nothing_from_the_second_on() {
    let fade = Fade { whole: 0.1, none: 0.3 };
    let at = |value: f64| fade.at(value);
    assert_eq!([at(-1.0), at(0.1), at(0.3), at(5.0)], [1.0, 1.0, 0.0, 0.0]);
    assert_relative_eq!(at(0.2), 0.5, epsilon = 1e-12);
    assert_relative_eq!(at(0.15), 0.84375, epsilon = 1e-12);
    assert_relative_eq!(at(0.25), 0.15625, epsilon = 1e-12);
}

#[test]
fn a_bearing_changes_with_the_line_and_against_the_axes() {
    let base = Axes::base();
    for angle in [0.4, -0.7, 3.0] {
        let change = bearing_change(&line(0.3, 0.8), &base, &line(0.3 + angle, 0.6), &base);
        assert_relative_eq!(change, angle, epsilon = 1e-12);
        let change = bearing_change(&line(0.3, 0.8), &base, &line(0.3, 0.8), &turned(angle));
        assert_relative_eq!(change, -angle, epsilon = 1e-12);
    }
    // The change takes the shorter direction.
    let change = bearing_change(&line(3.0, 0.8), &base, &line(-3.0, 0.8), &base);
    assert_relative_eq!(change, std::f64::consts::TAU - 6.0, epsilon = 1e-12);
}

#[test]
fn a_line_along_the_axis_has_no_bearing_that_could_change() {
    let base = Axes::base();
    for (slant, next_slant, share) in [(0.05, 0.9, 0.0), (0.9, 0.05, 0.0), (0.2, 0.9, 0.5), (0.9, 0.2, 0.5)] {
        let change = bearing_change(&line(0.1, slant), &base, &line(0.5, next_slant), &base);
        assert_relative_eq!(change, 0.4 * share, epsilon = 1e-12);
    }
}

/// Link that leans by `swing`, with bearing `swivel`.
fn link(swing: f64) -> Turning {
    Turning {
        cos: Vector3::x() * swing,
        sin: Vector3::y() * swing,
        still: Vector3::z(),
    }
}

#[test]
fn a_link_is_brought_into_the_plane_by_the_smaller_turn() {
    let normal = Vector3::new(0.2f64.cos(), 0.2f64.sin(), 0.0);
    for (held, expected) in [
        (1.6, FRAC_PI_2 - 1.4),
        (1.9, FRAC_PI_2 - 1.7),
        (-1.2, -FRAC_PI_2 + 1.4),
        (2.0, FRAC_PI_2 - 1.8),
    ] {
        let turn = still(&link(0.5), held, &normal);
        assert_relative_eq!(turn, expected, epsilon = 1e-12);
        let (sin, cos) = (held + turn).sin_cos();
        assert!(link(0.5).at(cos, sin).dot(&normal).abs() < 1e-12);
    }
}

#[test]
fn a_link_that_the_swivel_hardly_moves_does_not_turn_it() {
    let turn = |swing: f64| still(&link(swing), 1.3, &Vector3::x());
    let whole = turn(0.5);
    assert_relative_eq!(whole, FRAC_PI_2 - 1.3, epsilon = 1e-12);
    assert_eq!(turn(0.01), 0.0);
    assert_relative_eq!(turn(0.03), 0.5 * whole, epsilon = 1e-12);
    assert_relative_eq!(turn(0.05), whole, epsilon = 1e-12);
}

#[test]
fn the_elbow_is_carried_along_by_the_smallest_turn_of_the_line() {
    let near = |from: Vector3<f64>, elbow_axis: Vector3<f64>| NearFrame {
        frame: SwivelFrame::new(from),
        elbow_axis,
        flange: Axes::base(),
    };
    for (from, to) in [
        (line(0.1, 0.3), line(2.0, 0.7)),
        (line(-1.0, 0.9), line(-1.2, 0.1)),
        (Vector3::z(), Vector3::x()),
    ] {
        let axis = from.cross(&Vector3::new(0.3, -0.5, 0.8)).normalize();
        let expected = UnitQuaternion::rotation_between(&from, &to).unwrap() * axis;
        let carried = near(from, axis).carried_to(&SwivelFrame::new(to)).unwrap();
        assert!((carried - expected).amax() < 1e-12, "{carried} instead of {expected}");
    }
    assert!(
        near(Vector3::x(), Vector3::y())
            .carried_to(&SwivelFrame::new(-Vector3::x()))
            .is_none()
    );
}

#[test]
fn with_shoulder_and_wrist_straight_the_swivel_is_halfway_between_those_that_hold_either() {
    let arm = Rm75::b();
    let near = Joints::from([0.3, 0.1, 0.4, 1.4, 0.2, 0.1, 0.1]);
    let (near_frame, before) = (arm.near_frame(&near), arm.swivel(&near));
    let pose = Translation3::new(0.003, -0.002, 0.001) * arm.forward(&near);
    let circle = arm.circle(&pose, Sign::Positive).unwrap();
    let turned =
        |axes: &Axes, next_axes: &Axes| bearing_change(&near_frame.frame.line, axes, &circle.frame.line, next_axes);
    let nearer = |swivels: [f64; 2]| {
        let [a, b] = swivels.map(|swivel| wrap(swivel - before));
        if a.abs() <= b.abs() { a } else { b }
    };
    let base = Axes::base();
    let for_1 = nearer(circle.swivels_of_joint1(near[0] + turned(&base, &base)));
    let for_7 = nearer(circle.swivels_of_joint7(near[6] - turned(&near_frame.flange, &circle.flange)));
    assert!((for_1 - for_7).abs() > 0.01, "{for_1} {for_7}");
    let held = wrap(arm.held_swivel(&circle, &near_frame, &near) - before);
    assert_relative_eq!(held, 0.5 * (for_1 + for_7), epsilon = 1e-12);
}

#[test]
fn joints_2_and_6_may_pass_through_zero_and_keep_their_sign_elsewhere() {
    let arm = Rm75::b();
    for (joint, flips) in [(1, [true, false]), (5, [false, true])] {
        for side in [1.0, -1.0] {
            let mut near = Joints::from([0.3, 0.8, -0.4, 1.1, 0.5, -0.9, 0.2]);
            near[joint] = 0.01 * side;
            let mut next = near;
            next[joint] = -0.01 * side;
            let kept = Branch::of(&near);
            let circle = arm.circle(&arm.forward(&next), kept.elbow).unwrap();
            let found = nearest_signs(&circle, arm.swivel(&next), kept, &near);
            assert_eq!(found, Branch::of(&next));
            assert_eq!([found.shoulder != kept.shoulder, found.wrist != kept.wrist], flips);
            // A joint that does not cross zero keeps its sign.
            let circle = arm.circle(&arm.forward(&near), kept.elbow).unwrap();
            assert_eq!(nearest_signs(&circle, arm.swivel(&near), kept, &near), kept);
        }
    }
    // Far from zero the sign is kept even where the other one would be nearer.
    let near = Joints::from([0.0, 0.5, 0.0, 1.1, 0.0, 0.5, 0.0]);
    let turned = Joints::from([3.0, 0.5, 3.0, 1.1, 3.0, 0.5, 3.0]);
    let circle = arm.circle(&arm.forward(&turned), Sign::Positive).unwrap();
    assert_eq!(
        nearest_signs(&circle, arm.swivel(&turned), Branch::of(&near), &near),
        Branch::of(&near)
    );
}

fn search<'a>(circle: &'a Circle, near: &'a Joints) -> Search<'a> {
    Search {
        circle,
        branch: Branch::of(near),
        limits: Rm75::b().limits,
        near,
        turns: crate::control::kinematics::feasible::Turns::Continuous,
    }
}

#[test]
fn the_swivel_drifts_softly_away_from_a_limit_and_not_at_all_elsewhere() {
    let arm = Rm75::b();
    let drift = |joint3: f64| {
        let near = Joints::from([0.3, 0.8, joint3, 1.1, 0.5, -0.9, 0.2]);
        let circle = arm.circle(&arm.forward(&near), Sign::Positive).unwrap();
        let held = arm.swivel(&near);
        let search = search(&circle, &near);
        let drifted = drifted(&search, held);
        let joints = search.joints_at(drifted);
        (wrap(drifted - held), joints[2] - near[2], (joints - near).amax())
    };
    let limit = arm.limits.upper[2];
    assert_eq!(drift(limit - 0.2).0, 0.0);
    assert_eq!(drift(limit - SWIVEL_COMFORT - 1e-3).0, 0.0);
    // The drift is a twentieth of the distance to comfort, within the bounds.
    let (_, little, _) = drift(limit - SWIVEL_COMFORT + 0.02);
    assert!((little + 0.02 * 0.05).abs() < 1e-4, "{little}");
    for room in [0.09, 0.05, 0.01] {
        let (swivel, joint3, most) = drift(limit - room);
        assert!(joint3 < 0.0, "away from the limit: {joint3}");
        assert!(swivel.abs() <= MAX_SWIVEL_DRIFT + 1e-12 && most <= MAX_JOINT_DRIFT + 1e-9);
        assert!((joint3 + (SWIVEL_COMFORT - room) * 0.05).abs() < 1e-4 || swivel.abs() > MAX_SWIVEL_DRIFT - 1e-9);
    }
}

#[test]
fn close_to_an_alignment_the_drift_is_bounded_by_what_the_joints_do() {
    let arm = Rm75::b();
    let near = Joints::from([arm.limits.upper[0] - 0.01, 0.02, 0.3, 1.1, 0.5, -0.9, 0.2]);
    let circle = arm.circle(&arm.forward(&near), Sign::Positive).unwrap();
    let held = arm.swivel(&near);
    // The joint is so far outside that a twentieth of the distance exceeds the largest drift of a joint.
    let narrow = Search {
        limits: arm.limits.shrunk(0.4),
        ..search(&circle, &near)
    };
    let moved = narrow.joints_at(drifted(&narrow, held)) - near;
    assert!(moved[0] < 0.0, "towards the limits: {moved}");
    assert!(
        (0.8 * MAX_JOINT_DRIFT..1.2 * MAX_JOINT_DRIFT).contains(&moved.amax()),
        "{moved}"
    );
}
