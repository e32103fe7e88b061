//! A chunk as a path in time: anchored, composed and smoothed.

use nalgebra::{Isometry3, Point3, SVector, Translation3, UnitQuaternion, Vector3, Vector6};

use super::spline::Spline;
use crate::contract::{ActionSpace, Composition};
use crate::control::chunk::ActionChunk;
use crate::control::composition::Offset;
use crate::control::config::{Tool, Workspace};
use crate::control::time::Time;
use crate::control::types::{JOINTS, Joints, Pose};

/// Where a plan starts from: the arm at the time of the observation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Anchor {
    /// Joints [rad].
    pub joints: Joints,
    /// Their velocity [rad/s].
    pub joint_velocity: Joints,
    /// Tool centre point seen from the base, `base_from_tool` [m].
    pub pose: Pose,
    /// Linear [m/s] and angular [rad/s] velocity of the tool in the base frame.
    pub twist: Vector6<f64>,
}

/// What a plan asks for at one time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Target {
    /// `base_from_tool` [m].
    Pose(Pose),
    /// Joints [rad].
    Joints(Joints),
}

/// Why a chunk cannot be followed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PlanError {
    /// A waypoint is far outside the workspace.
    #[error(
        "step {step}: expected the tool within {tolerance} m of the workspace, found ({:.3}, {:.3}, {:.3}) m, {distance:.3} m \
         outside; the chunk is dropped whole", tool.x, tool.y, tool.z
    )]
    OutOfWorkspace {
        /// Step, from 0.
        step: usize,
        /// Where the tool would be.
        tool: Point3<f64>,
        /// How far outside [m].
        distance: f64,
        /// How far is still moved inside [m].
        tolerance: f64,
    },
}

#[derive(Debug, Clone, PartialEq)]
enum Path {
    /// Translation [m] and rotation vector [rad] from the anchor, in the base frame.
    Cartesian {
        anchor: Pose,
        spline: Spline<6>,
    },
    Joint {
        spline: Spline<JOINTS>,
    },
}

/// A chunk as a path in time.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    path: Path,
    gripper: Vec<f64>,
    period: f64,
    /// Time of the anchor.
    pub observed: Time,
    /// Who made the chunk.
    pub source: String,
    /// Counts up per source.
    pub plan_id: u64,
    /// Waypoints that were moved inside the workspace.
    pub moved: usize,
}

/// What a plan must stay inside of.
#[derive(Debug, Clone, Copy)]
pub struct Bounds<'a> {
    /// Box and table.
    pub workspace: &'a Workspace,
    /// Tool on the flange.
    pub tool: &'a Tool,
}

impl Plan {
    /// Anchors, composes and smooths a chunk.
    ///
    /// Steps compose as [`Offset::then`] says, and those already past take part like all others. Waypoints a little outside the workspace are moved inside; the ones after them
    /// compose from where they were asked to be.
    ///
    /// # Errors
    /// When a waypoint lies further outside the workspace than its tolerance.
    pub fn new(chunk: &ActionChunk, anchor: &Anchor, bounds: Bounds<'_>) -> Result<Self, PlanError> {
        let (path, moved) = match chunk.actions.space() {
            ActionSpace::Ee7 => cartesian(chunk, anchor, bounds)?,
            ActionSpace::Joint8 => (joint(chunk, anchor), 0),
        };
        Ok(Self {
            path,
            gripper: chunk.actions.steps().filter_map(|step| step.last().copied()).collect(),
            period: chunk.step_period,
            observed: chunk.observed,
            source: chunk.source.clone(),
            plan_id: chunk.plan_id,
            moved,
        })
    }

    /// Time of the last waypoint.
    pub fn end(&self) -> Time {
        self.observed.offset_secs(self.horizon() as f64 * self.period)
    }

    /// Steps, K.
    pub fn horizon(&self) -> usize {
        self.gripper.len()
    }

    /// What the plan asks for at `time`.
    pub fn at(&self, time: Time) -> Target {
        self.after(time.seconds_since(self.observed))
    }

    fn after(&self, elapsed: f64) -> Target {
        match &self.path {
            Path::Cartesian { anchor, spline } => Target::Pose(offset(anchor, &spline.at(elapsed).value)),
            Path::Joint { spline } => Target::Joints(spline.at(elapsed).value),
        }
    }

    /// Gripper opening at `time`: the value of the step under way, held from its start to its end.
    pub fn gripper_at(&self, time: Time) -> Option<f64> {
        let step = self.steps_done(time).min(self.horizon().saturating_sub(1));
        self.gripper.get(step).copied()
    }

    /// Gripper opening of every step.
    pub fn gripper(&self) -> &[f64] {
        &self.gripper
    }

    /// Steps whose waypoint lies in the past.
    pub fn steps_done(&self, time: Time) -> usize {
        let steps = time.seconds_since(self.observed) / self.period;
        // A nanosecond of rounding must not hold a step back.
        ((steps + 1e-6).max(0.0) as usize).min(self.horizon())
    }

    /// What the plan asks for at the end of every step.
    pub fn waypoints(&self) -> impl ExactSizeIterator<Item = Target> + '_ {
        (0..self.horizon()).map(|k| self.after((k + 1) as f64 * self.period))
    }
}

/// The anchor moved by a translation [m] and a rotation vector [rad] in the base frame.
fn offset(anchor: &Pose, offset: &Vector6<f64>) -> Pose {
    let (translation, rotation) = split(offset);
    Isometry3::from_parts(
        Translation3::from(anchor.translation.vector + translation),
        UnitQuaternion::from_scaled_axis(rotation) * anchor.rotation,
    )
}

fn split(values: &Vector6<f64>) -> (Vector3<f64>, Vector3<f64>) {
    (
        values.fixed_rows::<3>(0).into_owned(),
        values.fixed_rows::<3>(3).into_owned(),
    )
}

fn cartesian(chunk: &ActionChunk, anchor: &Anchor, bounds: Bounds<'_>) -> Result<(Path, usize), PlanError> {
    let mut knots = vec![Vector6::zeros()];
    let mut offset = Offset::none();
    let mut unwrapped = Vector3::zeros();
    let mut moved = 0;
    for (step, values) in chunk.actions.steps().enumerate() {
        offset = offset.then(values, chunk.composition);
        let Offset { translation, rotation } = offset;
        unwrapped = nearest_turn(rotation.scaled_axis(), &unwrapped);
        let pose = Isometry3::from_parts(
            Translation3::from(anchor.pose.translation.vector + translation),
            rotation * anchor.pose.rotation,
        );
        let correction = correction(&pose, bounds);
        let distance = correction.norm();
        if distance > bounds.workspace.tolerance_m {
            let tolerance = bounds.workspace.tolerance_m;
            return Err(PlanError::OutOfWorkspace {
                step,
                tool: pose.translation.vector.into(),
                distance,
                tolerance,
            });
        }
        moved += usize::from(distance > 0.0);
        let inside = translation + correction;
        knots.push(Vector6::new(
            inside.x,
            inside.y,
            inside.z,
            unwrapped.x,
            unwrapped.y,
            unwrapped.z,
        ));
    }
    let spline = Spline::through(knots, chunk.step_period, anchor.twist);
    Ok((
        Path::Cartesian {
            anchor: anchor.pose,
            spline,
        },
        moved,
    ))
}

fn correction(base_from_tool: &Pose, bounds: Bounds<'_>) -> Vector3<f64> {
    let tool = Point3::from(base_from_tool.translation.vector);
    let offset = bounds.tool.offset();
    let lowest = bounds.tool.points_m.iter().fold(tool.z, |low, point| {
        low.min((base_from_tool * Point3::from(Vector3::from(*point) - offset)).z)
    });
    bounds.workspace.correction(&tool, lowest)
}

fn joint(chunk: &ActionChunk, anchor: &Anchor) -> Path {
    let mut knots = vec![anchor.joints];
    let mut last = anchor.joints;
    for values in chunk.actions.steps() {
        let delta: Joints = SVector::from_iterator(values.iter().copied().chain(std::iter::repeat(0.0)).take(JOINTS));
        last = delta
            + match chunk.composition {
                Composition::Sequential => last,
                Composition::FromAnchor => anchor.joints,
            };
        knots.push(last);
    }
    Path::Joint {
        spline: Spline::through(knots, chunk.step_period, anchor.joint_velocity),
    }
}

/// The rotation vector that means the same rotation as `rotation` and lies nearest to `near` [rad].
fn nearest_turn(rotation: Vector3<f64>, near: &Vector3<f64>) -> Vector3<f64> {
    let angle = rotation.norm();
    // Without an axis of its own a full turn continues about the axis it came with.
    let (axis, angle) = if angle > 1e-9 {
        (rotation / angle, angle)
    } else if near.norm() > 1e-9 {
        (near.normalize(), 0.0)
    } else {
        return rotation;
    };
    let turns = ((near.dot(&axis) - angle) / std::f64::consts::TAU).round();
    axis * (angle + turns * std::f64::consts::TAU)
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
