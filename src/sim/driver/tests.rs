//! The driver's behaviour, one test for each property.

use super::*;
use crate::sim::config::SimConfig;
use crate::sim::world::start_joints;

fn driver() -> SimDriver {
    SimDriver::new(&SimConfig::shipped().unwrap().driver, start_joints())
}

fn joints(values: Joints) -> Vec<f32> {
    values.iter().map(|q| *q as f32).collect()
}

fn frame(values: Joints, follow: bool) -> DriverMotion {
    DriverMotion::Joints(JointFrame {
        joint: joints(values),
        follow,
        dof: 7,
    })
}

fn planned(values: Joints, block: bool) -> DriverMotion {
    DriverMotion::Planned(PlannedMove {
        joint: joints(values),
        speed: 50,
        block,
        dof: 7,
    })
}

fn offset(joint: usize, by: f64) -> Joints {
    let mut joints = start_joints();
    joints[joint] += by;
    joints
}

/// Runs for `seconds` with perfect servos; returns the last set-point and the published states.
fn run(driver: &mut SimDriver, seconds: f64) -> (Joints, Vec<DriverState>) {
    let mut last = Joints::zeros();
    let mut states = Vec::new();
    for _ in 0..(seconds / STEP_S).round() as usize {
        last = driver.step().joints;
        states.extend(driver.push(&last));
    }
    (last, states)
}

#[test]
fn state_comes_every_cycle_rounded_to_a_thousandth_of_a_degree() {
    let mut driver = driver();
    let (_, states) = run(&mut driver, 1.0);
    assert!((199..=201).contains(&states.len()), "{}", states.len());
    let q4 = states[0].joints[3].to_degrees();
    assert!((q4 - 60.0).abs() < 1e-9);
    let z = states[0].pose.translation.z;
    assert!(
        (z - (0.3182 - 0.125)).abs() < 1e-4,
        "pose is that of the current tool: {z}"
    );
}

#[test]
fn low_follow_plans_to_a_far_target_and_clips_it_at_the_limit() {
    let mut driver = driver();
    driver.motion(frame(offset(0, 10.0), false));
    let mut fastest: f64 = 0.0;
    let mut before = start_joints();
    for _ in 0..2000 {
        let now = driver.step().joints;
        fastest = fastest.max((now - before).abs().max() / STEP_S);
        before = now;
    }
    assert!(
        (before[0].to_degrees() - 178.0).abs() < 0.01,
        "{}",
        before[0].to_degrees()
    );
    assert!(fastest <= FRAME_SPEED + 1e-9, "{fastest}");
}

#[test]
fn low_follow_lags_a_steady_stream_by_little() {
    let mut driver = driver();
    let speed = 0.5;
    let mut last = start_joints();
    for tick in 0..100 {
        driver.motion(frame(offset(0, speed * f64::from(tick) * 0.01), false));
        last = run(&mut driver, 0.01).0;
    }
    let lag = speed * 0.99 - last[0];
    assert!((0.0..speed * 0.04).contains(&lag), "{lag}");
}

#[test]
fn a_joint_does_not_respond_to_a_high_follow_frame_beyond_ten_degrees_or_half_a_turn_a_second() {
    let mut driver = driver();
    driver.motion(frame(offset(0, 11f64.to_radians()), true));
    assert_eq!(run(&mut driver, 0.1).0[0], 0.0);
    // A step of 5 degrees is accepted after a pause, but 10 ms later it would be 500 degrees per second.
    driver.motion(frame(offset(0, 5f64.to_radians()), true));
    assert!((run(&mut driver, 0.01).0[0].to_degrees() - 5.0).abs() < 2e-3);
    driver.motion(frame(offset(0, 10f64.to_radians()), true));
    assert!((run(&mut driver, 0.01).0[0].to_degrees() - 5.0).abs() < 2e-3);
    // The other joints of such a frame respond.
    let mut both = offset(0, 90f64.to_radians());
    both[1] += 1f64.to_radians();
    driver.motion(frame(both, true));
    let now = run(&mut driver, 0.01).0;
    assert!((now[0].to_degrees() - 5.0).abs() < 2e-3 && (now[1].to_degrees() - 31.0).abs() < 2e-3);
}

#[test]
fn frozen_state_keeps_coming_with_old_values() {
    let mut driver = driver();
    run(&mut driver, 0.1);
    driver.set_faults(Faults {
        frozen_state: true,
        ..Faults::default()
    });
    driver.motion(frame(offset(0, 0.5), false));
    let (last, states) = run(&mut driver, 1.0);
    assert!(last[0] > 0.4);
    assert!(states.len() >= 199 && states.iter().all(|s| s.joints[0] == 0.0));
}

#[test]
fn without_a_first_packet_state_is_all_zeros() {
    let mut driver = driver();
    driver.set_faults(Faults {
        lost_udp: true,
        ..Faults::default()
    });
    let (_, states) = run(&mut driver, 0.1);
    assert!(!states.is_empty() && states.iter().all(|s| s.joints == Joints::zeros()));
}

#[test]
fn a_blocking_move_stalls_pass_through_and_then_the_backlog_flushes() {
    let mut driver = driver();
    driver.motion(planned(offset(0, 1.0), true));
    for tick in 0..20 {
        driver.motion(frame(offset(1, -0.01 * f64::from(tick)), false));
        let (now, _) = run(&mut driver, 0.01);
        assert_eq!(now[1], start_joints()[1]);
    }
    assert_eq!(driver.backlog(), 20);
    run(&mut driver, 3.0);
    assert_eq!((driver.backlog(), driver.replies()), (0, vec![Reply::Planned(true)]));
    let (now, _) = run(&mut driver, 0.5);
    assert!(
        (now - offset(1, -0.19)).abs().max() < 1e-3,
        "the last frame of the backlog wins: {now}"
    );
}

#[test]
fn the_queue_holds_a_thousand_and_drops_the_oldest() {
    let mut driver = driver();
    driver.set_faults(Faults {
        backlog: true,
        ..Faults::default()
    });
    for _ in 0..1500 {
        driver.motion(frame(start_joints(), false));
    }
    assert_eq!(driver.backlog(), 1000);
}

#[test]
fn a_stop_is_no_latch_and_the_backlog_moves_the_arm_after_it() {
    let mut driver = driver();
    driver.motion(frame(offset(0, 1.0), false));
    run(&mut driver, 0.2);
    driver.set_faults(Faults {
        backlog: true,
        ..Faults::default()
    });
    for _ in 0..5 {
        driver.motion(frame(offset(0, 1.0), false));
    }
    let (moving, _) = run(&mut driver, 0.01);
    driver.stop();
    assert_eq!(driver.replies(), vec![Reply::Stop(true)]);
    let (later, _) = run(&mut driver, 1.0);
    assert!(moving[0] < 0.8 && later[0] > 0.95, "{} {}", moving[0], later[0]);
}

#[test]
fn a_stop_with_nothing_after_it_brings_the_arm_to_rest() {
    let mut driver = driver();
    driver.motion(planned(offset(0, 2.0), false));
    let (moving, _) = run(&mut driver, 0.8);
    driver.stop();
    let (soon, _) = run(&mut driver, 0.5);
    let (later, _) = run(&mut driver, 1.0);
    assert_eq!(soon, later);
    assert!(later[0] > moving[0] && later[0] < 1.9);
}

#[test]
fn six_joints_or_another_dof_leave_joint_seven_undefined() {
    for (count, dof, undefined) in [(7, 7, 0), (7, 6, 1), (6, 7, 1), (3, 7, 4)] {
        let mut driver = driver();
        let mut joint = joints(start_joints());
        joint.truncate(count);
        driver.motion(DriverMotion::Joints(JointFrame {
            joint,
            follow: false,
            dof,
        }));
        let (last, _) = run(&mut driver, 2.0);
        assert_eq!(driver.undefined_reads(), undefined);
        assert_eq!(
            (last[6]).abs() < 1e-3,
            undefined == 0,
            "{count} joints, dof {dof}: {last}"
        );
    }
}

#[test]
fn nan_becomes_the_lowest_number_and_drives_the_joint_to_its_limit() {
    let mut driver = driver();
    driver.motion(frame(offset(3, f64::NAN), false));
    let (last, _) = run(&mut driver, 4.0);
    assert!((last[3].to_degrees() + 135.0).abs() < 0.01, "{last}");
}

#[test]
fn an_error_stops_the_arm_and_clears_with_the_next_motion() {
    let mut driver = driver();
    driver.motion(frame(offset(0, 1.0), false));
    run(&mut driver, 0.2);
    driver.inject_error(0x1014);
    let (rest, states) = run(&mut driver, 0.5);
    assert!(rest[0] < 0.9 && states.iter().skip(1).all(|s| s.error == 0x1014));
    driver.motion(frame(offset(0, 1.0), false));
    let (moved, states) = run(&mut driver, 1.0);
    assert!(moved[0] > 0.95 && states.iter().skip(1).all(|s| s.error == 0));
}

#[test]
fn a_planned_target_beyond_a_limit_is_refused_with_an_error() {
    let mut driver = driver();
    driver.motion(planned(offset(1, 3.0), false));
    let (last, states) = run(&mut driver, 0.1);
    assert_eq!((last, states.last().unwrap().error), (start_joints(), ERROR_LIMIT));
    assert_eq!(driver.replies(), vec![Reply::Planned(false)]);
}

fn pose_frame(position: [f64; 3], orientation: [f64; 4]) -> DriverMotion {
    DriverMotion::Pose(PoseFrame {
        position,
        orientation,
        follow: false,
    })
}

#[test]
fn a_pose_moves_the_current_tool_there() {
    let mut driver = driver();
    driver.motion(pose_frame([0.33, 0.05, 0.15], [0.0, 1.0, 0.0, 0.0]));
    let (_, states) = run(&mut driver, 1.5);
    let last = states.last().unwrap();
    assert_eq!(last.error, 0);
    let miss = (last.pose.translation.vector - nalgebra::Vector3::new(0.33, 0.05, 0.15)).norm();
    assert!(miss < 1e-3, "{miss}");
}

#[test]
fn a_pose_out_of_reach_is_an_error_and_no_motion() {
    let mut driver = driver();
    driver.motion(pose_frame([2.0, 0.0, 0.2], [0.0, 1.0, 0.0, 0.0]));
    let (last, states) = run(&mut driver, 0.2);
    assert_eq!(
        (last, states.last().unwrap().error),
        (start_joints(), ERROR_UNREACHABLE)
    );
}

#[test]
fn a_gripper_command_that_waits_stalls_the_ones_after_it() {
    let grip = |position, block| Grip {
        position,
        block,
        timeout: 0,
    };
    let mut driver = driver();
    driver.grip(grip(1, true));
    driver.grip(grip(1000, false));
    run(&mut driver, 0.45);
    assert_eq!(driver.replies(), vec![Reply::Grip(true)]);
    run(&mut driver, 0.1);
    assert_eq!(driver.replies(), vec![Reply::Grip(true)]);
    driver.grip(grip(0, false));
    run(&mut driver, 0.1);
    assert_eq!(
        driver.replies(),
        vec![Reply::Grip(false)],
        "positions go from 1 to 1000"
    );
}

#[test]
fn the_gripper_takes_its_time() {
    let mut driver = driver();
    driver.grip(Grip {
        position: 1,
        block: false,
        timeout: 0,
    });
    assert!(driver.step().opening > 0.99);
    let mut opening = 1.0;
    for _ in 0..300 {
        opening = driver.step().opening;
    }
    assert!((opening - 0.001).abs() < 1e-9);
}

#[test]
fn a_lost_controller_moves_nothing_and_its_state_freezes() {
    let mut driver = driver();
    run(&mut driver, 0.1);
    driver.set_faults(Faults {
        disconnected: true,
        ..Faults::default()
    });
    driver.motion(frame(offset(0, 0.5), false));
    driver.stop();
    let (last, states) = run(&mut driver, 0.5);
    assert_eq!(last, start_joints());
    assert!(states.len() >= 99 && states.windows(2).all(|w| w[0] == w[1]));
    assert_eq!(driver.replies(), vec![Reply::Stop(false)]);
}
