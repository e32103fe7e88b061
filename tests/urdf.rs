//! Tests of the robot description: it agrees with the kinematics and is physically possible.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // helpers of tests may panic

use std::collections::BTreeMap;
use std::path::Path;

use nalgebra::{Matrix3, Translation3, Unit, UnitQuaternion, Vector3};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use thinkvla::control::kinematics::Rm75;
use thinkvla::types::{Joints, Pose};
use urdf_rs::{Geometry, JointType, Robot};

/// Realman's joint speed limit, rounded as in its description (rad/s).
#[allow(clippy::approx_constant)]
const SPEED_LIMIT: f64 = 3.14;

fn robot() -> Robot {
    urdf_rs::read_file(Path::new(env!("CARGO_MANIFEST_DIR")).join("urdf/rm75.urdf")).unwrap()
}

fn pose_of(origin: &urdf_rs::Pose) -> Pose {
    let [roll, pitch, yaw] = *origin.rpy;
    Pose::from_parts(
        Translation3::from(Vector3::from(*origin.xyz)),
        UnitQuaternion::from_euler_angles(roll, pitch, yaw),
    )
}

/// `base_from_link`, computed from the link up to the root.
fn base_from(robot: &Robot, link: &str, positions: &BTreeMap<String, f64>) -> Pose {
    let mut base_from_link = Pose::identity();
    let mut at = link.to_owned();
    while let Some(joint) = robot.joints.iter().find(|joint| joint.child.link == at) {
        let position = positions.get(&joint.name).copied().unwrap_or(0.0);
        let axis = Unit::new_normalize(Vector3::from(*joint.axis.xyz));
        let motion = match joint.joint_type {
            JointType::Revolute => Pose::rotation(axis.into_inner() * position),
            JointType::Prismatic => Pose::from_parts((axis.into_inner() * position).into(), UnitQuaternion::identity()),
            _ => Pose::identity(),
        };
        base_from_link = pose_of(&joint.origin) * motion * base_from_link;
        at = joint.parent.link.clone();
    }
    assert_eq!(at, "base_link", "every link hangs on the base");
    base_from_link
}

#[test]
fn description_and_kinematics_agree_on_every_pose() {
    let (robot, arm) = (robot(), Rm75::b());
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    for _ in 0..1_000 {
        let joints: Joints = arm
            .limits
            .lower
            .zip_map(&arm.limits.upper, |lower, upper| rng.random_range(lower..upper));
        let positions = (1..)
            .zip(joints.iter())
            .map(|(i, q)| (format!("joint{i}"), *q))
            .collect();
        let expected = arm.forward(&joints);
        for link in ["Link7", "flange", "tool0"] {
            let found = base_from(&robot, link, &positions);
            assert!((found.translation.vector - expected.translation.vector).norm() < 1e-9);
            assert!(found.rotation.angle_to(&expected.rotation) < 1e-9);
        }
        let points = arm.points(&joints, &Pose::translation(0.0, 0.0, 0.125));
        for (link, point) in [
            ("Link2", points.shoulder),
            ("Link4", points.elbow),
            ("Link6", points.wrist),
            ("tcp", points.tool),
        ] {
            assert!(
                (base_from(&robot, link, &positions).translation.vector - point.coords).norm() < 1e-9,
                "{link}"
            );
        }
    }
}

#[test]
fn joints_have_the_drivers_names_and_the_limits_enforced() {
    let (robot, arm) = (robot(), Rm75::b());
    let efforts = [60.0, 60.0, 30.0, 30.0, 10.0, 10.0, 10.0];
    for (i, effort) in efforts.into_iter().enumerate() {
        let joint = robot
            .joints
            .iter()
            .find(|joint| joint.name == format!("joint{}", i + 1))
            .unwrap();
        assert_eq!(joint.child.link, format!("Link{}", i + 1));
        assert!((joint.limit.lower - arm.limits.lower[i]).abs() < 1e-12);
        assert!((joint.limit.upper - arm.limits.upper[i]).abs() < 1e-12);
        assert_eq!((joint.limit.effort, joint.limit.velocity), (effort, SPEED_LIMIT));
    }
}

#[test]
fn every_moving_link_has_a_possible_inertia() {
    let robot = robot();
    let mut arm_mass = 0.0;
    for link in robot.links.iter().filter(|link| link.inertial.mass.value > 0.0) {
        let i = &link.inertial.inertia;
        let tensor = Matrix3::new(i.ixx, i.ixy, i.ixz, i.ixy, i.iyy, i.iyz, i.ixz, i.iyz, i.izz);
        let principal = tensor.symmetric_eigenvalues();
        assert!(principal.min() > 0.0, "{}: {principal}", link.name);
        assert!(principal.sum() >= 2.0 * principal.max(), "{}: {principal}", link.name);
        if link.name == "base_link" || link.name.starts_with("Link") {
            arm_mass += link.inertial.mass.value;
        }
    }
    assert!((arm_mass - 7.776).abs() < 1e-9, "{arm_mass}");
    for joint in robot
        .joints
        .iter()
        .filter(|joint| !matches!(joint.joint_type, JointType::Fixed))
    {
        let child = robot.links.iter().find(|link| link.name == joint.child.link).unwrap();
        assert!(child.inertial.mass.value > 0.0, "{}", child.name);
    }
}

#[test]
fn cameras_look_where_they_are_mounted_to_look() {
    let robot = robot();
    let top = base_from(&robot, "top_camera_optical_frame", &BTreeMap::new());
    assert!((top.translation.vector - Vector3::new(0.86, 0.0, 0.72)).norm() < 1e-12);
    assert!((top.rotation * Vector3::x() - Vector3::y()).norm() < 1e-12);
    assert!((top.rotation * Vector3::z() - Vector3::new(-0.67, 0.0, -0.74).normalize()).norm() < 1e-12);

    let flange = base_from(&robot, "flange", &BTreeMap::new());
    let wrist = flange.inverse() * base_from(&robot, "wrist_camera_optical_frame", &BTreeMap::new());
    assert!((wrist.translation.vector - Vector3::new(0.085, 0.0, -0.004)).norm() < 1e-12);
    assert!((wrist.rotation * Vector3::x() - Vector3::y()).norm() < 1e-12);
    assert!((wrist.rotation * Vector3::z() - Vector3::new(-0.34, 0.0, 0.94).normalize()).norm() < 1e-12);
    // The wrist camera sees the tool centre point.
    let tcp = wrist.inverse_transform_point(&nalgebra::Point3::new(0.0, 0.0, 0.125));
    assert!(
        tcp.z > 0.0 && (tcp.x / tcp.z).abs() < 0.5 && (tcp.y / tcp.z).abs() < 0.5,
        "{tcp}"
    );
}

#[test]
fn fingers_open_to_the_stroke() {
    let robot = robot();
    let open = BTreeMap::from([
        ("left_finger_joint".to_owned(), 0.035),
        ("right_finger_joint".to_owned(), 0.035),
    ]);
    let between =
        base_from(&robot, "left_finger", &open).translation.y - base_from(&robot, "right_finger", &open).translation.y;
    assert!((between - 0.070).abs() < 1e-12);
    for side in ["left_finger_joint", "right_finger_joint"] {
        let joint = robot.joints.iter().find(|joint| joint.name == side).unwrap();
        assert_eq!((joint.limit.lower, joint.limit.upper), (0.0, 0.035));
    }
}

#[test]
fn shapes_need_no_files() {
    for link in robot().links {
        let shapes = link
            .visual
            .iter()
            .map(|v| &v.geometry)
            .chain(link.collision.iter().map(|c| &c.geometry));
        assert!(
            shapes.into_iter().all(|shape| !matches!(shape, Geometry::Mesh { .. })),
            "{}",
            link.name
        );
    }
}
