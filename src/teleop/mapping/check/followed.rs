//! Checks the mappings of inputs that are followed: a leader arm, a tracked hand.

use std::collections::BTreeSet;

use super::{check_pad, check_speed, check_topic};
use crate::files::yaml::{InvalidValue, between};
use crate::teleop::mapping::{LEADER_JOINTS, Leader, Pose};

pub(super) fn check_leader(leader: &Leader) -> Result<(), InvalidValue> {
    const UNDER: &str = "input.leader";
    let at = |name: &str| format!("{UNDER}.{name}");
    check_topic(at("topic"), &leader.topic)?;
    between(at("timeout_s"), leader.timeout_s, 0.02, 2.0)?;
    if leader.joints.len() != LEADER_JOINTS {
        return Err(InvalidValue::new(
            at("joints"),
            format!("{LEADER_JOINTS} joints"),
            leader.joints.len(),
        ));
    }
    let mut names = BTreeSet::new();
    for (index, joint) in leader.joints.iter().enumerate() {
        let field = |name: &str| at(&format!("joints[{index}].{name}"));
        if joint.name.is_empty() || !names.insert(&joint.name) {
            return Err(InvalidValue::new(
                field("name"),
                "a name of its own",
                format!("{:?}", joint.name),
            ));
        }
        if joint.sign.abs() != 1.0 {
            return Err(InvalidValue::new(field("sign"), "1 or -1", joint.sign));
        }
        between(field("offset_rad"), joint.offset_rad, -6.3, 6.3)?;
    }
    if let Some(gripper) = &leader.gripper {
        between(at("gripper.closed"), gripper.closed, -10.0, 10.0)?;
        between(at("gripper.open"), gripper.open, -10.0, 10.0)?;
        if (gripper.closed - gripper.open).abs() < 1e-3 {
            return Err(InvalidValue::new(
                at("gripper.open"),
                "a position away from closed",
                gripper.open,
            ));
        }
    }
    between(at("tolerance_rad"), leader.tolerance_rad, 0.005, 0.5)?;
    between(at("speed_rad_s"), leader.speed_rad_s, 0.01, 2.0)?;
    between(at("acceleration_rad_s2"), leader.acceleration_rad_s2, 0.5, 20.0)?;
    between(at("smoothing_s"), leader.smoothing_s, 0.05, 1.0)?;
    check_pad(UNDER, &leader.pad)
}

pub(super) fn check_pose(pose: &Pose) -> Result<(), InvalidValue> {
    const UNDER: &str = "input.pose";
    let at = |name: &str| format!("{UNDER}.{name}");
    check_topic(at("topic"), &pose.topic)?;
    between(at("timeout_s"), pose.timeout_s, 0.02, 2.0)?;
    for angle in pose.base_from_input_deg {
        between(at("base_from_input_deg"), angle, -360.0, 360.0)?;
    }
    between(at("translation_gain"), pose.translation_gain, 0.01, 5.0)?;
    between(at("jump_m"), pose.jump_m, 0.005, 1.0)?;
    between(at("jump_rad"), pose.jump_rad, 0.02, 3.0)?;
    between(at("smoothing_s"), pose.smoothing_s, 0.05, 1.0)?;
    check_speed(UNDER, &pose.speed)?;
    check_pad(UNDER, &pose.pad)
}
