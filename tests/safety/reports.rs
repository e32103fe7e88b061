//! Tests of what the supervisor reports: events, refusals and the status.

use thinkvla::control::event::{Check, EventKind};
use thinkvla::control::lease::Priority;
use thinkvla::supervisor::{ArmMode, ErrorChannel};
use thinkvla::types::Joints;

use super::arm_rig::{Rig, config, ready};
use super::moving;

#[test]
fn events_say_whether_the_arm_was_stopped_or_failed() {
    let mut rig = moving();
    rig.supervisor.stop("button", rig.now).unwrap();
    rig.run(0.1);
    assert!(rig.has(EventKind::Stopped, Check::Stop) && !rig.has(EventKind::Fault, Check::Stop));
    let mut rig = moving();
    rig.supervisor.on_driver_errors(ErrorChannel::All, &[0x100D], rig.now);
    rig.run(0.1);
    assert!(rig.has(EventKind::Fault, Check::Driver) && !rig.has(EventKind::Stopped, Check::Driver));
}

#[test]
fn refusals_name_the_check_the_mode_and_its_reason() {
    let mut rig = Rig::new(config());
    rig.acquire("policy", Priority::Policy);
    let refusal = rig
        .supervisor
        .move_named("home", 0.5, rig.lease, rig.now)
        .unwrap_err()
        .to_string();
    assert!(
        refusal.starts_with("mode: ") && refusal.contains("disarmed (not armed yet)"),
        "{refusal}"
    );
    let refusal = rig.supervisor.reset_fault(rig.now).unwrap_err().to_string();
    assert!(refusal.contains("found the arm disarmed"), "{refusal}");
    let refusal = rig.supervisor.arm(rig.now).unwrap_err().to_string();
    assert!(refusal.starts_with("fresh: joint state of the driver"), "{refusal}");
    rig.run(0.1);
    rig.supervisor.stop("button", rig.now).unwrap();
    let refusal = rig.supervisor.arm(rig.now).unwrap_err().to_string();
    assert!(
        refusal.contains("stopped (button)") && refusal.contains("reset the fault first"),
        "{refusal}"
    );
    // An arm that brakes to be disarmed has no fault to reset.
    let mut rig = moving();
    rig.supervisor.disarm(rig.now);
    let refusal = rig.supervisor.arm(rig.now).unwrap_err().to_string();
    assert!(refusal.contains("braking (disarmed); wait until it rests"), "{refusal}");
}

#[test]
fn the_status_says_what_the_arm_does_and_has_done() {
    let mut rig = Rig::armed();
    let status = rig.status();
    assert_eq!(
        (status.driver_api.as_str(), status.plan_id, status.gripper),
        ("v2", 0, 0.0)
    );
    assert_eq!((status.commanded_joints, status.measured_joints), (ready(), ready()));
    rig.follow(10, [-0.006, 0.0, 0.0, 0.0, 0.0, 0.0, 0.4]);
    rig.run(0.5);
    rig.joints += Joints::repeat(0.01);
    let measured = rig.joints;
    rig.tick();
    let status = rig.status();
    assert_eq!((status.mode, status.plan_id, status.chunks), (ArmMode::Executing, 1, 1));
    assert_eq!((status.lease, status.lease_source.as_str()), (rig.lease, "policy"));
    assert_eq!(status.gripper, 0.4);
    assert_eq!(status.commands as usize, rig.sent().len());
    assert_eq!(status.reason, "following policy");
    assert_eq!(status.measured_joints, measured);
    assert!((status.commanded_joints - rig.joints).amax() < 1e-6);
    assert!((status.measured_pose.translation.vector - status.commanded_pose.translation.vector).norm() > 1e-3);
}
