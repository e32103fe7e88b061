//! Tests of leases: who may move the arm, and what ends that.

use thinkvla::contract::ActionSpace;
use thinkvla::control::event::{Check, EventKind};
use thinkvla::control::lease::{Priority, ReceivedHeartbeat};
use thinkvla::supervisor::{ArmMode, MoveProgress};

use super::arm_rig::{Rig, steps};
use super::{INWARD, braking_delay, moving};

#[test]
fn foreign_heartbeats_keep_nobody_alive() {
    let mut rig = moving();
    let lease = rig.lease;
    rig.lease = lease + 7;
    rig.run(0.5);
    assert_ne!(rig.mode(), ArmMode::Executing);
}

#[test]
fn an_operator_takes_over_smoothly_and_the_policy_is_out() {
    let mut rig = moving();
    let policy = rig.lease;
    assert!(
        rig.supervisor
            .acquire_lease("another policy", Priority::Policy, rig.now)
            .is_err()
    );
    rig.acquire("teleop", Priority::Operator);
    assert_eq!(rig.mode(), ArmMode::Braking);
    rig.tick();
    let operator = rig.lease;
    rig.lease = policy;
    let late = rig.chunk(ActionSpace::Ee7, steps(5, INWARD));
    assert_eq!(rig.supervisor.on_chunk(late, rig.now).unwrap_err().check, Check::Lease);
    rig.lease = operator;
    rig.source = "policy".into();
    let borrowed = rig.chunk(ActionSpace::Ee7, steps(5, INWARD));
    assert_eq!(
        rig.supervisor.on_chunk(borrowed, rig.now).unwrap_err().check,
        Check::Lease
    );
    rig.source = "teleop".into();
    let from = rig.sent().len() - 5;
    rig.follow(5, [0.0, 0.005, 0.0, 0.0, 0.0, 0.0, 1.0]);
    assert_eq!(
        rig.mode(),
        ArmMode::Executing,
        "an operator does not wait for the arm to rest"
    );
    rig.run(0.3);
    for pair in rig.velocities(from).windows(2) {
        assert!((pair[1] - pair[0]).amax() <= 0.1 + 1e-3);
    }
    assert_eq!(rig.status().lease_source, "teleop");
}

#[test]
fn a_released_lease_ends_motion() {
    let mut rig = moving();
    rig.supervisor.release_lease(rig.lease, rig.now).unwrap();
    assert!(braking_delay(&mut rig) <= 0.02);
    assert_eq!(rig.mode(), ArmMode::Holding);
    assert!(rig.supervisor.release_lease(rig.lease, rig.now).is_err());
    assert_eq!(rig.status().lease, 0);
}

#[test]
fn what_somebody_else_repeats_is_no_sign_of_life() {
    for (source, sequence, age) in [
        ("rosbag", 1_000_000, 0.0),
        ("policy", 1, 0.0),
        ("policy", 1_000_000, 3600.0),
    ] {
        let mut rig = moving();
        rig.heartbeat = false;
        let lease = rig.lease;
        for _ in 0..150 {
            let beat = ReceivedHeartbeat {
                lease,
                source,
                sequence,
                age,
            };
            rig.supervisor.on_heartbeat(&beat, rig.now);
            rig.tick();
        }
        assert_eq!(rig.mode(), ArmMode::Holding);
        assert_eq!(rig.status().lease_source, "", "the lease has lapsed");
        assert!(rig.has(EventKind::Refused, Check::Lease));
    }
}

#[test]
fn a_named_move_is_the_lease_holder_s_and_ends_with_it() {
    let under_way = || {
        let mut rig = Rig::armed();
        rig.supervisor.move_named("home", 0.8, rig.lease, rig.now).unwrap();
        rig.run(0.5);
        assert_eq!(rig.mode(), ArmMode::Moving);
        rig
    };
    let ended = |mut rig: Rig, reason: &str| {
        let delay = braking_delay(&mut rig);
        assert!(delay <= 0.1, "{delay}");
        assert_eq!(rig.mode(), ArmMode::Holding);
        let Some(MoveProgress::Failed(why)) = rig.supervisor.move_progress() else {
            panic!("the move goes on")
        };
        assert!(why.contains(reason), "{why}");
    };
    let mut rig = Rig::armed();
    let stranger = rig
        .supervisor
        .move_named("home", 0.8, rig.lease ^ 1, rig.now)
        .unwrap_err();
    assert_eq!(stranger.check, Check::Lease);
    rig.heartbeat = false;
    rig.run(0.2);
    let silent = rig.supervisor.move_named("home", 0.8, rig.lease, rig.now).unwrap_err();
    assert_eq!(silent.check, Check::Fresh);

    let mut rig = under_way();
    rig.heartbeat = false;
    ended(rig, "heartbeat");
    let mut rig = under_way();
    rig.supervisor.release_lease(rig.lease, rig.now).unwrap();
    ended(rig, "released");
    let mut rig = under_way();
    rig.supervisor
        .acquire_lease("teleop", Priority::Operator, rig.now)
        .unwrap();
    ended(rig, "teleop took the lease");
}

#[test]
fn a_silent_lease_holder_loses_the_lease() {
    let mut rig = Rig::armed();
    rig.heartbeat = false;
    rig.run(0.9);
    assert_eq!(rig.status().lease_source, "policy");
    rig.run(0.2);
    assert_eq!(rig.status().lease_source, "");
    assert!(rig.has(EventKind::Held, Check::Lease));
}
