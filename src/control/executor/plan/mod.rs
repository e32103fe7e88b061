//! Plan: a chunk as a path in time, anchored, composed and smoothed.

mod bounds;
mod error;

use std::f64::consts::TAU;

use nalgebra::{Isometry3, SVector, Translation3, UnitQuaternion, Vector3, Vector6};

pub use bounds::PlanBounds;
pub use error::PlanError;

use super::spline::Spline;
use crate::contract::{ActionSpace, Composition};
use crate::control::chunk::ActionChunk;
use crate::control::composition::Offset;
use crate::control::kinematics::InverseError;
use crate::types::time::Time;
use crate::types::{JOINTS, Joints, Pose};

/// Rotation by which a plan may go beyond the last reachable pose (rad); the plan is then followed up to that pose.
const TURN_TOLERANCE_RAD: f64 = 0.2;

/// Start of a plan: the arm at the time of the observation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Anchor {
    /// Joint positions (rad).
    pub joints: Joints,
    /// Joint velocities (rad/s).
    pub joint_velocity: Joints,
    /// Pose of the tool centre point, `base_from_tool` (m).
    pub pose: Pose,
    /// Linear (m/s) and angular (rad/s) velocity of the tool in the base frame.
    pub twist: Vector6<f64>,
}

/// Target of a plan at one time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PlanTarget {
    /// Tool pose `base_from_tool` (m).
    Pose(Pose),
    /// Joint positions (rad).
    Joints(Joints),
}

#[derive(Debug, Clone, PartialEq)]
enum Path {
    /// Translation (m) and rotation vector (rad) from the anchor, in the base frame.
    Cartesian {
        anchor: Pose,
        spline: Spline<6>,
    },
    Joint {
        spline: Spline<JOINTS>,
    },
}

/// Chunk as a path in time.
#[derive(Debug, Clone, PartialEq)]
pub struct ChunkPlan {
    path: Path,
    gripper: Vec<f64>,
    period: f64,
    /// Time of the observation, at which the plan is anchored.
    pub observed: Time,
    /// Name of the chunk's source.
    pub source: String,
    /// Number of the chunk; increases with every chunk under a lease.
    pub plan_id: u64,
    /// Number of waypoints that were moved inside the workspace or the joint limits.
    pub moved: usize,
}

impl ChunkPlan {
    /// Anchors, composes and smooths a chunk.
    ///
    /// Steps compose as in [`Offset::then`], including those whose time has passed. Poses slightly outside the workspace and
    /// joint targets slightly outside the joint limits are moved inside; later waypoints compose from the unmoved ones.
    ///
    /// # Errors
    /// When a waypoint lies outside the workspace or the joint limits by more than the tolerance, or is further from the
    /// previous one than the speed limits permit in a step.
    pub fn new(chunk: &ActionChunk, anchor: &Anchor, bounds: PlanBounds<'_>) -> Result<Self, PlanError> {
        let (path, moved) = match chunk.actions.space() {
            ActionSpace::Ee7 => cartesian(chunk, anchor, bounds)?,
            ActionSpace::Joint8 => joint(chunk, anchor, bounds)?,
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

    /// Number of steps, K.
    pub fn horizon(&self) -> usize {
        self.gripper.len()
    }

    /// Target at `time`.
    pub fn at(&self, time: Time) -> PlanTarget {
        self.after(time.seconds_since(self.observed))
    }

    /// Accepts a plan whose target at `time` has no joint solution (`error`) if all waypoints from there on lie near `reached`,
    /// the last `base_from_tool` with a solution: within `tolerance` (m) and 0.2 rad.
    ///
    /// # Errors
    /// When a waypoint lies further away.
    pub fn check_overshoot(
        &self,
        time: Time,
        reached: &Pose,
        tolerance: f64,
        error: InverseError,
    ) -> Result<(), PlanError> {
        let step = self.steps_done(time).min(self.horizon().saturating_sub(1));
        let beyond = self.waypoints().skip(step).any(|target| match target {
            PlanTarget::Pose(pose) => {
                (pose.translation.vector - reached.translation.vector).norm() > tolerance
                    || pose.rotation.angle_to(&reached.rotation) > TURN_TOLERANCE_RAD
            }
            PlanTarget::Joints(_) => false,
        });
        if beyond {
            return Err(PlanError::OutOfReach { step, error });
        }
        Ok(())
    }

    fn after(&self, elapsed: f64) -> PlanTarget {
        match &self.path {
            Path::Cartesian { anchor, spline } => PlanTarget::Pose(offset(anchor, &spline.at(elapsed).value)),
            Path::Joint { spline } => PlanTarget::Joints(spline.at(elapsed).value),
        }
    }

    /// Gripper opening at `time`: the value of the step in progress, constant over the step.
    pub fn gripper_at(&self, time: Time) -> Option<f64> {
        let step = self.steps_done(time).min(self.horizon().saturating_sub(1));
        self.gripper.get(step).copied()
    }

    /// Gripper opening of every step.
    pub fn gripper(&self) -> &[f64] {
        &self.gripper
    }

    /// Number of steps whose waypoint lies in the past at `time`.
    pub fn steps_done(&self, time: Time) -> usize {
        let steps = time.seconds_since(self.observed) / self.period;
        // Times are rounded to nanoseconds, which must not delay a step.
        ((steps + 1e-6).max(0.0) as usize).min(self.horizon())
    }

    /// Target at the end of every step.
    pub fn waypoints(&self) -> impl ExactSizeIterator<Item = PlanTarget> + '_ {
        (0..self.horizon()).map(|k| self.after((k + 1) as f64 * self.period))
    }
}

/// Moves the anchor by a translation (m) and a rotation vector (rad) in the base frame.
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

fn cartesian(chunk: &ActionChunk, anchor: &Anchor, bounds: PlanBounds<'_>) -> Result<(Path, usize), PlanError> {
    let mut knots = vec![Vector6::zeros()];
    let mut offset = Offset::none();
    let mut unwrapped = Vector3::zeros();
    let mut longest = 0.0;
    let mut moved = 0;
    for (step, values) in chunk.actions.steps().enumerate() {
        let before = offset;
        offset = offset.then(values, chunk.composition);
        let Offset { translation, rotation } = offset;
        let vector = values.iter().skip(3).take(3).map(|v| v * v).sum::<f64>().sqrt();
        let turn = match chunk.composition {
            Composition::Sequential => vector,
            // A rotation alone loses whole turns; the length of the rotation vector keeps them.
            Composition::FromAnchor => before.rotation.angle_to(&rotation).max(vector - longest),
        };
        bounds.check_turn(step, turn, chunk.step_period)?;
        longest = vector;
        unwrapped = nearest_turn(rotation.scaled_axis(), &unwrapped);
        let pose = Isometry3::from_parts(
            Translation3::from(anchor.pose.translation.vector + translation),
            rotation * anchor.pose.rotation,
        );
        let correction = bounds.correction(step, &pose)?;
        moved += usize::from(correction.norm() > 0.0);
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

fn joint(chunk: &ActionChunk, anchor: &Anchor, bounds: PlanBounds<'_>) -> Result<(Path, usize), PlanError> {
    let mut knots = vec![anchor.joints];
    let mut last = anchor.joints;
    let mut moved = 0;
    let flange_from_tool = Translation3::from(bounds.tool.offset());
    for (step, values) in chunk.actions.steps().enumerate() {
        let delta: Joints = SVector::from_iterator(values.iter().copied().chain(std::iter::repeat(0.0)).take(JOINTS));
        let asked = delta
            + match chunk.composition {
                Composition::Sequential => last,
                Composition::FromAnchor => anchor.joints,
            };
        let inside = bounds.joints_inside(step, &asked, &(asked - last), chunk.step_period)?;
        bounds.correction(step, &(bounds.kinematics.forward(&inside) * flange_from_tool))?;
        moved += usize::from(inside != asked);
        last = asked;
        knots.push(inside);
    }
    let spline = Spline::through(knots, chunk.step_period, anchor.joint_velocity);
    Ok((Path::Joint { spline }, moved))
}

/// Returns the rotation vector of the same rotation as `rotation` that lies nearest to `near` (rad).
fn nearest_turn(rotation: Vector3<f64>, near: &Vector3<f64>) -> Vector3<f64> {
    let angle = rotation.norm();
    // A zero rotation has no axis: a full turn continues about the previous axis.
    let (axis, angle) = if angle > 1e-9 {
        (rotation / angle, angle)
    } else if near.norm() > 1e-9 {
        (near.normalize(), 0.0)
    } else {
        return rotation;
    };
    let turns = ((near.dot(&axis) - angle) / TAU).round();
    axis * (angle + turns * TAU)
}

#[cfg(test)]
mod tests;
