//! Positions of the parts of the arm that are checked against the workspace and the table.

use std::sync::Arc;

use nalgebra::{Point3, Vector3};

use crate::control::config::Tool;
use crate::control::kinematics::{Kinematics, LinkPlacement};
use crate::types::Joints;

/// Geometry of the arm with its tool.
#[derive(Debug, Clone)]
pub struct ArmGeometry {
    kinematics: Arc<dyn Kinematics>,
    tool: Vector3<f64>,
    tool_points: Vec<Point3<f64>>,
}

/// Positions of the checked parts of the arm, in the base frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PointPlacement {
    /// Tool centre point (m).
    pub tool: Point3<f64>,
    /// Height of the lowest point of the tool (m).
    pub lowest_tool_m: f64,
    /// Height of the lowest of elbow, wrist and flange (m).
    pub lowest_link_m: f64,
}

impl ArmGeometry {
    /// Creates the geometry of an arm with a tool.
    pub fn new(kinematics: Arc<dyn Kinematics>, tool: &Tool) -> Self {
        Self {
            kinematics,
            tool: tool.offset(),
            tool_points: tool.points(),
        }
    }

    /// Kinematics of the arm.
    pub fn kinematics(&self) -> &dyn Kinematics {
        &*self.kinematics
    }

    /// Computes the positions of the parts at joint positions (rad).
    pub fn at(&self, joints: &Joints) -> PointPlacement {
        let LinkPlacement {
            base_from_flange,
            lowest_m: lowest_link_m,
        } = self.kinematics.links(joints);
        let tool = base_from_flange * Point3::from(self.tool);
        let lowest_tool_m = self
            .tool_points
            .iter()
            .fold(tool.z, |low, p| low.min((base_from_flange * p).z));
        PointPlacement {
            tool,
            lowest_tool_m,
            lowest_link_m,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::kinematics::Rm75;
    use crate::types::Pose;
    use rand::{Rng, SeedableRng};

    #[test]
    fn the_lowest_points_are_those_of_the_kinematics() {
        let tool = Tool {
            offset_m: [0.02, -0.03, 0.125],
            points_m: vec![[0.0, 0.045, 0.12], [0.05, -0.045, 0.1]],
        };
        let arm = Rm75::b();
        let arm_points = ArmGeometry::new(Arc::new(arm), &tool);
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        let mut lowest = [0; 3];
        for _ in 0..200 {
            let joints = arm
                .limits
                .lower
                .zip_map(&arm.limits.upper, |low, high| rng.random_range(low..high));
            let at = |offset: [f64; 3]| arm.points(&joints, &Pose::translation(offset[0], offset[1], offset[2]));
            let points = at(tool.offset_m);
            let found = arm_points.at(&joints);
            assert!((found.tool - points.tool).amax() < 1e-12);
            let links = [points.elbow.z, points.wrist.z, points.flange.z];
            let link = links.into_iter().fold(f64::INFINITY, f64::min);
            assert!((found.lowest_link_m - link).abs() < 1e-12, "{joints}");
            let parts = [tool.offset_m, tool.points_m[0], tool.points_m[1]].map(|offset| at(offset).tool.z);
            let part = parts.into_iter().fold(f64::INFINITY, f64::min);
            assert!((found.lowest_tool_m - part).abs() < 1e-12, "{joints}");
            lowest[links.iter().position(|z| *z == link).unwrap()] += 1;
        }
        assert!(
            lowest.iter().all(|count| *count > 5),
            "each link was the lowest: {lowest:?}"
        );
    }
}
