use super::*;
use crate::contract::Reference;
use crate::control::chunk::PhysicalActions;
use crate::control::config::ArmConfig;

fn config() -> ArmConfig {
    ArmConfig::parse(include_str!("../../../../config/robots/rm75.yaml")).unwrap()
}

fn anchor() -> Anchor {
    Anchor {
        joints: Joints::zeros(),
        joint_velocity: Joints::zeros(),
        pose: Pose::from_parts(
            Translation3::new(0.3, 0.0, 0.2),
            UnitQuaternion::from_scaled_axis(Vector3::new(std::f64::consts::PI, 0.0, 0.0)),
        ),
        twist: Vector6::zeros(),
    }
}

fn chunk(values: Vec<f64>) -> ActionChunk {
    ActionChunk {
        actions: PhysicalActions::new(ActionSpace::Ee7, values).unwrap(),
        composition: Composition::Sequential,
        reference: Reference::Commanded,
        frame: "base_link".into(),
        step_period: 0.1,
        observed: Time(0),
        expires: Time(1),
        source: "test".into(),
        lease: 1,
        plan_id: 1,
    }
}

fn plan(values: Vec<f64>) -> Result<ChunkPlan, PlanError> {
    let config = config();
    let kinematics = config.arm.kinematics();
    let bounds = PlanBounds {
        workspace: &config.workspace,
        tool: &config.tool,
        limits: &config.limits,
        kinematics: &*kinematics,
    };
    ChunkPlan::new(&chunk(values), &anchor(), bounds)
}

fn pose(plan: &ChunkPlan, seconds: f64) -> Pose {
    match plan.at(Time::from_secs_f64(seconds)) {
        PlanTarget::Pose(pose) => pose,
        PlanTarget::Joints(joints) => panic!("a Cartesian plan gives poses, not {joints}"),
    }
}

#[test]
fn turning_on_and_on_passes_half_a_turn_without_turning_back() {
    let plan = plan([0.0, 0.0, 0.0, 0.0, 0.0, 0.5, 0.0].repeat(20)).unwrap();
    let mut before = pose(&plan, 0.2);
    for i in 21..190 {
        let next = pose(&plan, f64::from(i) * 0.01);
        let turn = (next.rotation * before.rotation.inverse()).scaled_axis();
        assert!(
            (turn.z - 0.05).abs() < 0.02 && turn.xy().norm() < 1e-9,
            "at step {i}: {turn}"
        );
        before = next;
    }
}

#[test]
fn steps_compose_from_the_left_in_the_base_frame() {
    let plan = plan([[0.0, 0.0, 0.0, 0.3, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, 0.4, 0.0, 0.0]].concat()).unwrap();
    let expected = UnitQuaternion::from_scaled_axis(Vector3::new(0.0, 0.4, 0.0))
        * UnitQuaternion::from_scaled_axis(Vector3::new(0.3, 0.0, 0.0))
        * anchor().pose.rotation;
    assert!(pose(&plan, 0.2).rotation.angle_to(&expected) < 1e-9);
}

#[test]
fn the_gripper_holds_the_value_of_the_step_under_way() {
    let values: Vec<f64> = (0..3)
        .flat_map(|k| [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, f64::from(k) * 0.5])
        .collect();
    let plan = plan(values).unwrap();
    let at = |seconds: f64| plan.gripper_at(Time::from_secs_f64(seconds)).unwrap();
    assert_eq!(
        [at(-1.0), at(0.0), at(0.09), at(0.1), at(0.19), at(0.25), at(9.0)],
        [0.0, 0.0, 0.0, 0.5, 0.5, 1.0, 1.0]
    );
    assert_eq!(plan.steps_done(Time::from_secs_f64(0.25)), 2);
    assert_eq!(plan.end(), Time::from_secs_f64(0.3));
}

#[test]
fn waypoints_a_little_outside_are_moved_in_and_those_after_them_are_not_shifted() {
    let down = [0.0, 0.0, -0.21, 0.0, 0.0, 0.0, 0.0];
    let up = [0.0, 0.0, 0.21, 0.0, 0.0, 0.0, 0.0];
    let plan = plan([down, up, [0.0; 7]].concat()).unwrap();
    assert_eq!(plan.moved, 1);
    assert!((pose(&plan, 0.1).translation.z - 0.005).abs() < 1e-9);
    assert!((pose(&plan, 0.2).translation.z - 0.2).abs() < 1e-9);
    assert!((pose(&plan, 0.3).translation.z - 0.2).abs() < 1e-9);
}

#[test]
fn waypoints_far_outside_refuse_the_whole_chunk_and_name_the_step() {
    let error = plan([0.03, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0].repeat(20)).unwrap_err();
    // The 14th step reaches 0.3 + 14 * 0.03 = 0.72 m, 0.07 m beyond the box at 0.65 m.
    assert!(matches!(error, PlanError::OutOfWorkspace { step: 13, .. }), "{error}");
    assert!(error.to_string().contains("0.720"), "{error}");
}

#[test]
fn a_start_in_motion_is_continued() {
    let config = config();
    let moving = Anchor {
        twist: Vector6::new(0.1, 0.0, 0.0, 0.0, 0.0, 0.2),
        ..anchor()
    };
    let kinematics = config.arm.kinematics();
    let bounds = PlanBounds {
        workspace: &config.workspace,
        tool: &config.tool,
        limits: &config.limits,
        kinematics: &*kinematics,
    };
    let plan = ChunkPlan::new(&chunk([0.01, 0.0, 0.0, 0.0, 0.0, 0.02, 0.0].repeat(5)), &moving, bounds).unwrap();
    let (start, soon) = (pose(&plan, 0.0), pose(&plan, 1e-4));
    assert!(((soon.translation.x - start.translation.x) / 1e-4 - 0.1).abs() < 1e-3);
    assert!(((soon.rotation * start.rotation.inverse()).scaled_axis().z / 1e-4 - 0.2).abs() < 1e-3);
}
