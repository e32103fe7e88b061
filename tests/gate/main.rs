//! Property tests of the gate: every command that leaves it keeps every limit, and commands within the limits are not
//! changed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // helpers of tests may panic

mod random_commands;
mod refused;
mod targets;
mod unchanged;

use nalgebra::{Point3, Vector3};
use thinkvla::control::arm::RecordingArm;
use thinkvla::control::config::ArmConfig;
use thinkvla::control::gate::Gate;
use thinkvla::control::kinematics::Rm75;
use thinkvla::types::Joints;

/// Tolerance for rounding in comparisons.
const ROUNDING: f64 = 1e-6;

fn shipped() -> ArmConfig {
    ArmConfig::parse(include_str!("../../config/robots/rm75.yaml")).unwrap()
}

fn ready() -> Joints {
    shipped().named("ready").unwrap()
}

fn gate(config: &ArmConfig, start: Joints) -> Option<Gate<RecordingArm>> {
    let mut gate = Gate::new(RecordingArm::default(), config, config.arm.kinematics(), start);
    gate.take_up(start).ok()?;
    Some(gate)
}

fn tool(config: &ArmConfig, joints: &Joints) -> Point3<f64> {
    Rm75::b().forward(joints) * Point3::from(config.tool.offset())
}

fn outside(config: &ArmConfig, joints: &Joints) -> Option<String> {
    let space = &config.workspace;
    let at = tool(config, joints);
    for axis in 0..3 {
        if at[axis] < space.tool_min_m[axis] - ROUNDING || at[axis] > space.tool_max_m[axis] + ROUNDING {
            return Some(format!("tool at {at}"));
        }
    }
    let flange = Rm75::b().forward(joints);
    let points = Rm75::b().points(
        joints,
        &nalgebra::Isometry3::from_parts(Vector3::from(config.tool.offset_m).into(), Default::default()),
    );
    let lowest_link = points.elbow.z.min(points.wrist.z).min(points.flange.z);
    if lowest_link < space.table_height_m + space.link_clearance_m - ROUNDING {
        return Some(format!("a link {lowest_link} above the base"));
    }
    let lowest_tool = config.tool.points().iter().map(|p| (flange * p).z).fold(at.z, f64::min);
    (lowest_tool < space.table_height_m + space.tool_clearance_m - ROUNDING)
        .then(|| format!("the tool {lowest_tool} above the base"))
}
