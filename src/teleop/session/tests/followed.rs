//! Tests of a tracked hand and a leader arm.

use nalgebra::vector;

use super::SessionFixture;
use crate::teleop::input_device::Intent;
use crate::teleop::mapping::tests::shipped_mapping;
use crate::teleop::mapping::{Command, Engage, Input};
use crate::teleop::motion::STEP_S;
use crate::teleop::session::SessionStep;
use crate::types::Pose;

fn hand_at(x: f64) -> Intent {
    Intent::Pose(Pose::translation(x, 0.0, 0.0))
}

#[test]
fn a_clutch_moves_the_tool_by_what_the_hand_moved_since_it_was_closed() {
    let mut fixture = SessionFixture::new("vr");
    let start = fixture.arm.pose;
    fixture.reading.held = true;
    fixture.reading.intent = Some(hand_at(5.0));
    for _ in 0..5 {
        fixture.observe();
    }
    assert!((fixture.arm.pose.translation.vector - start.translation.vector).norm() < 1e-12);
    fixture.reading.intent = Some(hand_at(5.05));
    for _ in 0..100 {
        fixture.observe();
    }
    let moved = fixture.arm.pose.translation.vector - start.translation.vector;
    assert!((moved - vector![0.05, 0.0, 0.0]).norm() < 1e-6, "{moved}");
    // While the clutch is open, the hand may move anywhere.
    fixture.reading.held = false;
    fixture.observe();
    fixture.reading.intent = Some(hand_at(-3.0));
    fixture.observe();
    let before = fixture.arm.pose;
    fixture.reading.held = true;
    for _ in 0..10 {
        fixture.observe();
    }
    assert!((fixture.arm.pose.translation.vector - before.translation.vector).norm() < 1e-12);
}

#[test]
fn another_scale_does_not_move_a_clutched_tool() {
    let mut fixture = SessionFixture::new("vr");
    fixture.reading.held = true;
    fixture.reading.intent = Some(hand_at(0.0));
    fixture.observe();
    fixture.reading.intent = Some(hand_at(0.08));
    for _ in 0..100 {
        fixture.observe();
    }
    let before = fixture.arm.pose;
    fixture.session.command(&Command::Slower);
    for _ in 0..20 {
        fixture.observe();
    }
    assert!((fixture.arm.pose.translation.vector - before.translation.vector).norm() < 1e-6);
}

#[test]
fn a_leader_away_from_the_arm_is_refused_with_its_joints() {
    let mut fixture = SessionFixture::new("leader");
    fixture.reading.held = true;
    let mut leader = fixture.arm.joints;
    leader[1] += 0.2;
    leader[6] -= 0.3;
    fixture.reading.intent = Some(Intent::Joints(leader));
    let SessionStep::Refuse(why) = fixture.observe() else {
        panic!("engaged")
    };
    assert!(
        why.contains("joint2 +0.200") && why.contains("joint7 -0.300") && !why.contains("joint1 "),
        "{why}"
    );
    assert_eq!(fixture.observe(), SessionStep::Rest, "until the deadman is let go");
    fixture.reading.held = false;
    fixture.observe();
    fixture.reading.held = true;
    fixture.reading.intent = Some(Intent::Joints(fixture.arm.joints));
    fixture.sent();
}

#[test]
fn a_leader_may_be_come_to_slowly_and_is_then_followed_at_full_speed() {
    let mut mapping = shipped_mapping("leader");
    let Input::Leader(leader) = &mut mapping.input else {
        panic!()
    };
    leader.engage = Engage::Ramp;
    let (speed, slowest) = (leader.speed_rad_s, mapping.scale.steps[0]);
    let mut fixture = SessionFixture::of(mapping);
    fixture.reading.held = true;
    let target = fixture.arm.joints.add_scalar(0.3);
    fixture.reading.intent = Some(Intent::Joints(target));
    for _ in 0..400 {
        let before = fixture.arm.joints;
        fixture.observe();
        let moved = (fixture.arm.joints - before).norm();
        assert!(
            moved <= speed * slowest * STEP_S + 1e-9 || (target - before).amax() <= 0.1 + 0.02,
            "{moved}"
        );
    }
    assert!((fixture.arm.joints - target).amax() < 1e-6);
}
