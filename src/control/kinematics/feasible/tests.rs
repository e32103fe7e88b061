use super::*;
use crate::control::kinematics::Rm75;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

#[test]
fn the_nearest_swivel_of_a_span_is_itself_inside_and_an_end_outside() {
    // The span from 3.0 across pi to -2.683.
    let span = Span {
        start: 3.0,
        length: 0.6,
    };
    let end = 3.6 - TAU;
    assert!((span.middle() - (3.3 - TAU)).abs() < 1e-12);
    for (swivel, expected) in [
        (3.1, 3.1),
        (-3.0, -3.0),
        (2.0, 3.0),
        (-2.0, end),
        (0.1, end),
        (0.2, 3.0),
    ] {
        let found = span.nearest(swivel);
        assert!((found - expected).abs() < 1e-8, "{found} instead of {expected}");
    }
    // The result is slightly inside.
    assert!(span.nearest(2.0) > 3.0 && span.nearest(-2.0) < end);
}

#[test]
fn spans_fill_the_circle_between_the_meetings() {
    let mut meetings = [2.0, -3.0, 0.5, 0.5, 1.0];
    let spans: Vec<Span> = spans_between(&mut meetings).collect();
    let starts: Vec<f64> = spans.iter().map(|span| span.start).collect();
    assert_eq!(starts, [-3.0, 0.5, 1.0, 2.0]);
    let expected = [3.5, 0.5, 1.0, TAU - 5.0];
    for (span, length) in spans.iter().zip(expected) {
        assert!((span.length - length).abs() < 1e-12);
    }
}

fn random(arm: &Rm75, rng: &mut ChaCha8Rng) -> Joints {
    let limits = arm.limits.shrunk(0.05);
    limits
        .lower
        .zip_map(&limits.upper, |low, high| rng.random_range(low..high))
}

#[test]
fn every_joint_is_at_an_angle_at_one_of_the_swivels_found_for_it() {
    let arm = Rm75::b();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    type Solver = fn(&Circle, f64) -> [f64; 2];
    let solvers: [(usize, Solver); 6] = [
        (0, Circle::swivels_of_joint1),
        (1, Circle::swivels_of_joint2),
        (2, Circle::swivels_of_joint3),
        (4, Circle::swivels_of_joint5),
        (5, Circle::swivels_of_joint6),
        (6, Circle::swivels_of_joint7),
    ];
    for _ in 0..100 {
        let joints = random(&arm, &mut rng);
        let branch = Branch::of(&joints);
        let circle = arm.circle(&arm.forward(&joints), branch.elbow).unwrap();
        let swivel = arm.swivel(&joints);
        for (joint, solve) in solvers {
            let nearest = solve(&circle, joints[joint]).map(|found| wrap(found - swivel).abs());
            assert!(nearest[0].min(nearest[1]) < 1e-5, "joint {} of {joints}", joint + 1);
        }
    }
}

#[test]
fn the_joint_that_stands_farthest_out_is_named() {
    let arm = Rm75::b();
    let near = Joints::from([0.3, 0.8, -0.4, 1.1, 0.5, -0.9, 0.2]);
    let circle = arm.circle(&arm.forward(&near), Branch::of(&near).elbow).unwrap();
    let search = Search {
        circle: &circle,
        branch: Branch::of(&near),
        limits: arm.limits,
        near: &near,
        turns: Turns::Continuous,
    };
    for joint in 0..7 {
        for (limit, out) in [(arm.limits.lower, -0.2), (arm.limits.upper, 0.2)] {
            let mut outside = near;
            outside[joint] = limit[joint] + out;
            outside[(joint + 1) % 7] = limit[(joint + 1) % 7] + 0.5 * out;
            let worst = search.worst(&outside);
            assert_eq!(worst.joint, joint + 1);
            assert!((worst.beyond - 0.2).abs() < 1e-12);
            assert_eq!(search.settled(&outside)[joint], limit[joint]);
        }
        let mut outside = near;
        outside[joint] = arm.limits.upper[joint] + 1e-6;
        assert_eq!(search.admits(&outside), joint == ELBOW, "joint 4 follows from the pose");
        outside[joint] = arm.limits.upper[joint] + 1e-10;
        assert!(search.admits(&outside), "rounding");
        outside[joint] = arm.limits.lower[joint] - 1e-10;
        assert!(search.admits(&outside), "rounding");
    }
    assert!(search.worst(&near).beyond < 0.0);
}

#[test]
fn the_nearest_feasible_swivel_is_the_one_a_fine_search_finds() {
    let arm = Rm75::b();
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let step = 2e-3;
    let mut moved = 0;
    for turns in [Turns::Continuous, Turns::Any] {
        for _ in 0..40 {
            let near = random(&arm, &mut rng);
            let branch = Branch::of(&near);
            let circle = arm.circle(&arm.forward(&near), branch.elbow).unwrap();
            let search = Search {
                circle: &circle,
                branch,
                limits: arm.limits.shrunk(0.3),
                near: &near,
                turns,
            };
            let from = rng.random_range(-PI..PI);
            let fine = (0..(PI / step) as usize)
                .map(|k| k as f64 * step)
                .find(|away| search.is_feasible(from + away) || search.is_feasible(from - away));
            let found = search.nearest(from).map(|found| {
                assert!(search.is_feasible(found), "{near}");
                wrap(found - from).abs()
            });
            match (fine, found) {
                (Some(fine), Some(found)) => {
                    assert!(found <= fine + 1e-6 && found > fine - 1.1 * step, "{fine} {found}")
                }
                // The span may be narrower than the step of the search.
                (None, found) => assert!(found.is_none_or(|away| away > 0.0)),
                (Some(fine), None) => panic!("one is feasible {fine} away: {near}"),
            }
            moved += usize::from(found.is_some_and(|away| away > 0.1));
        }
    }
    assert!(moved > 20, "{moved}");
}

#[test]
fn a_joint_that_may_not_go_on_turning_unwinds_no_further_than_it_has_to() {
    let arm = Rm75::b();
    let at = |joint7: f64| Joints::from([0.3, 0.8, -0.4, 1.1, 0.5, -0.9, joint7]);
    for side in [1.0, -1.0] {
        let (near, goal) = (at(6.2 * side), at(0.2 * side));
        let circle = arm.circle(&arm.forward(&goal), Branch::of(&near).elbow).unwrap();
        let search = |turns| Search {
            circle: &circle,
            branch: Branch::of(&near),
            limits: arm.limits,
            near: &near,
            turns,
        };
        let swivel = arm.swivel(&goal);
        assert!((search(Turns::Any).joints_at(swivel) - goal).amax() < 1e-9);
        let on = search(Turns::Continuous).joints_at(swivel);
        assert!(
            (on - at((0.2 + TAU) * side)).amax() < 1e-9,
            "a moving arm goes on: {on}"
        );
    }
}
