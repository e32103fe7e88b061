//! Markers for rviz: the planned chunk and the workspace box.

use ros_env::geometry_msgs::msg::{Point, Pose, Vector3};
use ros_env::std_msgs::msg::{ColorRGBA, Header};
use ros_env::visualization_msgs::msg::{Marker, MarkerArray};

/// Colour of steps that are done.
const DONE: ColorRGBA = rgba(0.45, 0.45, 0.45, 0.9);
/// Colour of pending steps.
const PENDING: ColorRGBA = rgba(0.10, 0.65, 0.95, 1.0);
/// Colour of the workspace's edges.
const BOX: ColorRGBA = rgba(0.95, 0.70, 0.10, 0.8);
const LINE_M: f64 = 0.004;
const STEP_M: f64 = 0.012;
const TEXT_M: f64 = 0.03;

/// A chunk as tool poses.
#[derive(Debug, Clone, Copy)]
pub struct PlannedPoses<'a> {
    /// Stamp and base frame.
    pub header: &'a Header,
    /// base_from_tool of each step (m).
    pub poses: &'a [Pose],
    /// Gripper of each step, 0 closed .. 1 open.
    pub gripper: &'a [f64],
    /// Number of steps that are done.
    pub done: usize,
}

/// An axis-aligned box in the base frame (m).
#[derive(Debug, Clone, Copy)]
pub struct MarkerBox {
    /// Corner with the lowest coordinates.
    pub min: [f64; 3],
    /// Corner with the highest coordinates.
    pub max: [f64; 3],
}

/// Markers of a chunk: a line and a sphere for each step, done and pending in different colours, and the next gripper value
/// as text. They replace those of the last call.
pub fn planned_path(plan: PlannedPoses<'_>) -> MarkerArray {
    let (done, pending) = plan.poses.split_at(plan.done.min(plan.poses.len()));
    // The pending line starts at the last step that is done, or there would be a gap.
    let joined = plan.poses.get(done.len().saturating_sub(1)..).unwrap_or_default();
    let parts = [("done", done, done, DONE), ("pending", joined, pending, PENDING)];
    let mut markers = vec![Marker {
        header: plan.header.clone(),
        action: Marker::DELETEALL,
        ..Default::default()
    }];
    for (namespace, line, steps, color) in parts {
        if line.len() > 1 {
            markers.push(Marker {
                type_: Marker::LINE_STRIP,
                scale: cube(LINE_M),
                points: positions(line),
                ..shape(plan.header, namespace.to_owned(), color.clone())
            });
        }
        if !steps.is_empty() {
            markers.push(Marker {
                type_: Marker::SPHERE_LIST,
                scale: cube(STEP_M),
                points: positions(steps),
                ..shape(plan.header, format!("{namespace}_steps"), color)
            });
        }
    }
    let next = done.len().min(plan.poses.len().saturating_sub(1));
    if let (Some(pose), Some(gripper)) = (plan.poses.get(next), plan.gripper.get(next)) {
        let mut text = shape(plan.header, "gripper".to_owned(), PENDING);
        text.type_ = Marker::TEXT_VIEW_FACING;
        text.scale = cube(TEXT_M);
        text.text = format!("gripper {:.0} %", gripper * 100.0);
        text.pose.position = Point {
            x: pose.position.x,
            y: pose.position.y,
            z: pose.position.z + 2.0 * TEXT_M,
        };
        markers.push(text);
    }
    MarkerArray { markers }
}

/// The workspace box as its twelve edges.
pub fn workspace(header: &Header, bounds: MarkerBox) -> MarkerArray {
    let corner = |bits: usize| {
        let [x, y, z] = std::array::from_fn(|axis| {
            let side = if bits >> axis & 1 == 1 { bounds.max } else { bounds.min };
            side.get(axis).copied().unwrap_or_default()
        });
        Point { x, y, z }
    };
    let edges = (0..8_usize).flat_map(|from| {
        (0..3)
            .filter(move |axis| from >> axis & 1 == 0)
            .map(move |axis| [from, from | 1 << axis])
    });
    MarkerArray {
        markers: vec![Marker {
            type_: Marker::LINE_LIST,
            scale: cube(LINE_M),
            points: edges.flatten().map(corner).collect(),
            ..shape(header, "workspace".to_owned(), BOX)
        }],
    }
}

/// A marker with this header, namespace and colour at the frame's origin.
fn shape(header: &Header, namespace: String, color: ColorRGBA) -> Marker {
    Marker {
        header: header.clone(),
        ns: namespace,
        action: Marker::ADD,
        pose: identity(),
        color,
        ..Default::default()
    }
}

fn positions(poses: &[Pose]) -> Vec<Point> {
    poses.iter().map(|pose| pose.position.clone()).collect()
}

fn identity() -> Pose {
    let mut pose = Pose::default();
    pose.orientation.w = 1.0;
    pose
}

fn cube(edge: f64) -> Vector3 {
    Vector3 {
        x: edge,
        y: edge,
        z: edge,
    }
}

const fn rgba(r: f32, g: f32, b: f32, a: f32) -> ColorRGBA {
    ColorRGBA { r, g, b, a }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(done: usize) -> Vec<Marker> {
        let poses: Vec<_> = (0..4)
            .map(|i| {
                let mut pose = identity();
                pose.position.x = f64::from(i);
                pose
            })
            .collect();
        let plan = PlannedPoses {
            header: &Header::default(),
            poses: &poses,
            gripper: &[1.0, 1.0, 0.5, 0.0],
            done,
        };
        planned_path(plan).markers
    }

    fn steps(markers: &[Marker], namespace: &str) -> usize {
        markers
            .iter()
            .filter(|m| m.ns == namespace)
            .map(|m| m.points.len())
            .sum()
    }

    #[test]
    fn done_and_pending_steps_are_told_apart() {
        for done in 0..=4 {
            let markers = show(done);
            assert_eq!(steps(&markers, "done_steps"), done);
            assert_eq!(steps(&markers, "pending_steps"), 4 - done);
        }
        let colour = |namespace| show(2).into_iter().find(|m| m.ns == namespace).map(|m| m.color);
        assert_ne!(colour("done_steps"), colour("pending_steps"));
    }

    #[test]
    fn the_next_gripper_value_is_written_out() {
        let text = show(2).into_iter().find(|m| m.ns == "gripper").unwrap();
        assert_eq!(text.text, "gripper 50 %");
    }

    #[test]
    fn an_empty_plan_clears_the_display() {
        let plan = PlannedPoses {
            header: &Header::default(),
            poses: &[],
            gripper: &[],
            done: 3,
        };
        let markers = planned_path(plan).markers;
        assert_eq!(
            markers.iter().map(|m| m.action).collect::<Vec<_>>(),
            [Marker::DELETEALL]
        );
    }

    #[test]
    fn the_box_has_twelve_edges_between_its_corners() {
        let bounds = MarkerBox {
            min: [0.0, -1.0, 0.1],
            max: [1.0, 1.0, 0.6],
        };
        let points = workspace(&Header::default(), bounds).markers.remove(0).points;
        assert_eq!(points.len(), 24);
        assert!(
            points
                .iter()
                .all(|p| [0.0, 1.0].contains(&p.x) && [0.1, 0.6].contains(&p.z))
        );
    }
}
