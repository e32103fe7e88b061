//! Where the parts of the arm are that must not touch anything.

use nalgebra::{Point3, Vector3};

use crate::control::config::Tool;
use crate::control::kinematics::Rm75;
use crate::control::types::Joints;

/// The arm with its tool.
#[derive(Debug, Clone)]
pub struct Body {
    kinematics: Rm75,
    tool: Vector3<f64>,
    tool_points: Vec<Point3<f64>>,
}

/// Where the parts of the arm are, in the base frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Placement {
    /// Tool centre point [m].
    pub tool: Point3<f64>,
    /// Height of the lowest point of the tool [m].
    pub lowest_tool_m: f64,
    /// Height of the lowest of elbow, wrist and flange [m].
    pub lowest_link_m: f64,
}

impl Body {
    /// The arm with a tool.
    pub fn new(kinematics: Rm75, tool: &Tool) -> Self {
        Self {
            kinematics,
            tool: tool.offset(),
            tool_points: tool.points(),
        }
    }

    /// The arm's kinematics.
    pub fn kinematics(&self) -> &Rm75 {
        &self.kinematics
    }

    /// Where everything is at joints [rad].
    pub fn at(&self, joints: &Joints) -> Placement {
        let geometry = &self.kinematics.geometry;
        let base_from_flange = self.kinematics.forward(joints);
        let flange = base_from_flange.translation.vector;
        let wrist = flange - base_from_flange.rotation * Vector3::new(0.0, 0.0, geometry.wrist_to_flange);
        let elbow_height = geometry.shoulder_height + geometry.upper_arm * joints[1].cos();
        let tool = base_from_flange * Point3::from(self.tool);
        let lowest_tool_m = self
            .tool_points
            .iter()
            .fold(tool.z, |low, p| low.min((base_from_flange * p).z));
        Placement {
            tool,
            lowest_tool_m,
            lowest_link_m: elbow_height.min(wrist.z).min(flange.z),
        }
    }
}
