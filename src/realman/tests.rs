use super::*;
use crate::control::arm::CommandSource;
use crate::types::Joints;

#[derive(Debug, Default)]
struct Wire(Vec<DriverCommand>);

impl Driver for Wire {
    fn send(&mut self, command: &DriverCommand) -> Result<(), ArmError> {
        self.0.push(*command);
        Ok(())
    }
}

fn config() -> ArmConfig {
    ArmConfig::parse(include_str!("../../config/robots/rm75.yaml")).unwrap()
}

fn arm(config: &ArmConfig) -> Realman<Wire> {
    let mut arm = Realman::new(Wire::default(), config, config.arm.kinematics());
    arm.graph_seen(Graph::of_driver(DriverApi::V2));
    arm
}

fn to(positions: Joints) -> JointCommand {
    JointCommand {
        positions,
        source: CommandSource::NamedMove,
    }
}

fn at(seconds: f64) -> Steady {
    Steady::from_secs_f64(seconds)
}

#[test]
fn a_joint_frame_has_seven_joints_dof_7_low_follow_and_no_external_axis() {
    let mut arm = arm(&config());
    arm.command(&to(Joints::from([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7])), at(0.0))
        .unwrap();
    let joint = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7];
    assert_eq!(
        arm.driver().0,
        [DriverCommand::Joints {
            joint,
            follow: false,
            expand: 0.0,
            dof: 7
        }]
    );
}

#[test]
fn high_follow_is_sent_when_configured() {
    let mut config = config();
    config.driver.follow = true;
    let mut arm = arm(&config);
    arm.command(&to(Joints::zeros()), at(0.0)).unwrap();
    assert!(matches!(
        arm.driver().0.as_slice(),
        [DriverCommand::Joints { follow: true, .. }]
    ));
}

#[test]
fn nothing_leaves_when_nobody_listens_so_no_backlog_waits_for_a_driver() {
    let mut arm = arm(&config());
    arm.graph_seen(Graph {
        command_subscribers: 0,
        ..Graph::of_driver(DriverApi::V2)
    });
    let error = arm.command(&to(Joints::zeros()), at(0.0)).unwrap_err();
    assert_eq!(
        error,
        ArmError::Unmatched {
            topic: "rm_driver/movej_canfd_cmd"
        }
    );
    assert!(arm.driver().0.is_empty());
}

#[test]
fn a_value_that_is_no_number_on_the_wire_is_counted_and_kept_back() {
    let mut arm = arm(&config());
    for value in [f64::NAN, f64::INFINITY, 1e300] {
        assert!(arm.command(&to(Joints::repeat(value)), at(0.0)).is_err());
    }
    assert!(arm.driver().0.is_empty());
    assert_eq!(arm.nonfinite(), 21);
}

#[test]
fn pose_frames_carry_the_tool_in_unit_quaternions_without_sign_jumps() {
    let mut config = config();
    config.driver.command = CommandMode::Cartesian;
    let mut arm = arm(&config);
    for i in 0..200 {
        let turn = f64::from(i) * 0.06 - 6.0;
        arm.command(&to(Joints::from([0.0, 0.5, 0.0, 1.0, 0.0, 1.5, turn])), at(0.0))
            .unwrap();
    }
    let mut last: Option<[f64; 4]> = None;
    for command in &arm.driver().0 {
        let DriverCommand::Pose {
            position,
            orientation,
            follow: false,
        } = command
        else {
            panic!("{command:?}")
        };
        assert!((position[2] - 0.195).abs() < 0.05, "{position:?}");
        let norm: f64 = orientation.iter().map(|x| x * x).sum();
        assert!((norm - 1.0).abs() < 1e-12);
        if let Some(last) = last {
            let dot: f64 = last.iter().zip(orientation).map(|(a, b)| a * b).sum();
            assert!(dot > 0.99, "sign jump");
        }
        last = Some(*orientation);
    }
}

#[test]
fn a_stop_is_sent_at_once_and_twice_more_20_ms_apart_in_the_type_of_the_generation() {
    for api in [DriverApi::V1, DriverApi::V2] {
        let mut arm = arm(&config());
        arm.graph_seen(Graph::of_driver(api));
        arm.stop(at(1.0)).unwrap();
        assert_eq!(arm.driver().0, [DriverCommand::Stop(api)]);
        let mut sent = vec![];
        for tick in 1..20 {
            let before = arm.driver().0.len();
            arm.tick(at(1.0 + 0.01 * f64::from(tick))).unwrap();
            if arm.driver().0.len() > before {
                sent.push(tick);
            }
        }
        assert_eq!(sent, [2, 4]);
        assert!(!arm.is_stopping());
        assert_eq!(arm.driver().0, [DriverCommand::Stop(api); 3]);
    }
}

#[test]
fn the_gripper_never_blocks() {
    let mut arm = arm(&config());
    arm.grip(0.25, at(0.0)).unwrap();
    arm.grip(0.25, at(1.0)).unwrap();
    assert_eq!(
        arm.driver().0,
        [DriverCommand::Gripper {
            position: 251,
            block: false,
            timeout: 0
        }]
    );
    assert_eq!(arm.gripper_opening(), Some(0.25));
}
