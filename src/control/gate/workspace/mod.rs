//! Workspace check: the box of the tool centre point and the table plane.

use nalgebra::{Point3, Vector3};

use super::arm_points::PointPlacement;
use super::violation::{Violation, slack};
use crate::control::config::Workspace;
use crate::control::event::Check;

/// Distance inside the box and above the table to which waypoints outside are moved (m), so that a path along a wall does
/// not violate it by rounding.
const INSET_M: f64 = 0.002;

impl Workspace {
    /// First part of the arm that is outside, if any.
    pub fn violation(&self, placement: &PointPlacement) -> Option<Violation> {
        self.box_violation(&placement.tool)
            .or_else(|| self.table_violation(placement))
    }

    fn box_violation(&self, tool: &Point3<f64>) -> Option<Violation> {
        let corners = self.tool_min_m.iter().zip(&self.tool_max_m);
        tool.coords
            .iter()
            .zip(corners)
            .enumerate()
            .find_map(|(axis, (found, (low, high)))| {
                let limit = if *found < low - slack(*low) {
                    low
                } else if *found > high + slack(*high) {
                    high
                } else {
                    return None;
                };
                Some(Violation {
                    check: Check::Workspace,
                    quantity: "tool coordinate",
                    index: axis + 1,
                    limit: *limit,
                    found: *found,
                    unit: "m",
                })
            })
    }

    fn table_violation(&self, placement: &PointPlacement) -> Option<Violation> {
        let points = [
            ("height of tool point", placement.lowest_tool_m, self.tool_clearance_m),
            ("height of link point", placement.lowest_link_m, self.link_clearance_m),
        ];
        points.into_iter().find_map(|(quantity, found, clearance)| {
            let limit = self.table_height_m + clearance;
            (found < limit - slack(limit)).then_some(Violation {
                check: Check::Table,
                quantity,
                index: 1,
                limit,
                found,
                unit: "m",
            })
        })
    }

    /// Translation that moves a tool at `tool` with its lowest point at height `lowest_tool_m` inside (m); 0 if it is inside.
    pub fn correction(&self, tool: &Point3<f64>, lowest_tool_m: f64) -> Vector3<f64> {
        let low = Vector3::from(self.tool_min_m).add_scalar(INSET_M);
        let high = Vector3::from(self.tool_max_m).add_scalar(-INSET_M);
        let mut correction = tool.coords.sup(&low).inf(&high) - tool.coords;
        let lift = self.table_height_m + self.tool_clearance_m + INSET_M - lowest_tool_m;
        correction.z = correction.z.max(lift);
        // Waypoints that are inside but closer to a wall than the inset stay where they are.
        correction.map(|c| if c.abs() <= INSET_M { 0.0 } else { c })
    }
}

#[cfg(test)]
mod tests;
