//! Circle of solutions: the parts of a pose's solution that do not depend on the swivel, and one solution at a swivel.
//!
//! The swivel is the angle of the axis of joint 4 about the line from shoulder to wrist, counted from the horizontal
//! direction `z x line`. At swivel 0 the elbow lies in the vertical plane through shoulder and wrist, on the upper side
//! when joint 4 is positive. The axis of joint 4 is used rather than the elbow so that a straight arm has a swivel too.
//!
//! Every direction needed has the form `cos(swivel) A + sin(swivel) B + C`, so the swivels at which a joint has a given
//! angle are the solutions of one linear trigonometric equation.

use std::f64::consts::PI;

use nalgebra::{Matrix3, Vector3};

use super::branch::{Branch, Sign};
use super::forward::Axes;
use super::swivel_functions::{SwivelFrame, Turning, solve_trigonometric};
use super::{InverseError, Rm75};
use crate::types::{Joints, Pose};

/// Sine of joint 2 or 6 below which its neighbouring joints turn about the same line and only their sum is determined.
const ALIGNED: f64 = 1e-7;

/// Distance beyond a stretched or folded arm up to which a pose counts as on the boundary (m).
const REACH_TOLERANCE: f64 = 1e-9;

/// Pose with joint 4 solved: directions as functions of the swivel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Circle {
    pub frame: SwivelFrame,
    pub joint4: f64,
    /// Axis of joint 4, the y axis of both upper arm and forearm.
    pub elbow_axis: Turning,
    /// Direction of the upper arm from the shoulder, then the direction perpendicular to it and to the elbow axis.
    pub upper_arm: Turning,
    pub upper_arm_x: Turning,
    /// Direction of the forearm from the elbow, then the direction perpendicular to it and to the elbow axis.
    pub forearm: Turning,
    pub forearm_x: Turning,
    /// Axes of the flange, which do not depend on the swivel.
    pub flange: Axes,
}

/// Triangle of shoulder, elbow and wrist.
struct ArmTriangle {
    /// Joint 4 (rad): the outer angle at the elbow.
    joint4: f64,
    /// Angle at the shoulder, with the sign of joint 4 (rad).
    at_shoulder: f64,
}

impl Rm75 {
    /// Solves joint 4 with the sign `elbow` and computes the circle that the elbow moves on.
    pub(super) fn circle(&self, base_from_flange: &Pose, elbow: Sign) -> Result<Circle, InverseError> {
        let position = base_from_flange.translation.vector;
        let rotation: Matrix3<f64> = base_from_flange.rotation.to_rotation_matrix().into_inner();
        if !position.iter().chain(rotation.iter()).all(|v| v.is_finite()) {
            return Err(InverseError::NonFinitePose);
        }
        let flange = Axes {
            x: rotation.column(0).into(),
            y: rotation.column(1).into(),
            z: rotation.column(2).into(),
        };
        let lengths = &self.geometry;
        let reach = position - flange.z * lengths.wrist_to_flange - Vector3::z() * lengths.shoulder_height;
        let distance = reach.norm();
        let ArmTriangle { joint4, at_shoulder } = self.triangle(distance, elbow)?;
        let (sin_s, cos_s) = at_shoulder.sin_cos();
        let (sin_w, cos_w) = (joint4 - at_shoulder).sin_cos();
        let frame = SwivelFrame::new(reach / distance);
        let SwivelFrame {
            line, zero, quarter, ..
        } = frame;
        let turning = |cos, sin, still| Turning { cos, sin, still };
        Ok(Circle {
            frame,
            joint4,
            elbow_axis: turning(zero, quarter, Vector3::zeros()),
            upper_arm: turning(quarter * sin_s, -zero * sin_s, line * cos_s),
            upper_arm_x: turning(-quarter * cos_s, zero * cos_s, line * sin_s),
            forearm: turning(-quarter * sin_w, zero * sin_w, line * cos_w),
            forearm_x: turning(-quarter * cos_w, zero * cos_w, -line * sin_w),
            flange,
        })
    }

    /// Solves the triangle whose wrist is `distance` (m) from the shoulder, with the sign `elbow` of joint 4.
    fn triangle(&self, distance: f64, elbow: Sign) -> Result<ArmTriangle, InverseError> {
        let (upper, fore) = (self.geometry.upper_arm, self.geometry.forearm);
        let [[_, _, _, lower4, ..], [_, _, _, upper4, ..]]: [[f64; 7]; 2] =
            [self.limits.lower.into(), self.limits.upper.into()];
        let bend = match elbow {
            Sign::Positive => upper4,
            Sign::Negative => -lower4,
        };
        let nearest = (upper * upper + fore * fore + 2.0 * upper * fore * bend.clamp(0.0, PI).cos()).sqrt();
        let farthest = upper + fore;
        if !(nearest - REACH_TOLERANCE..=farthest + REACH_TOLERANCE).contains(&distance) {
            return Err(InverseError::OutOfReach {
                distance,
                nearest,
                farthest,
            });
        }
        // The half angle is precise where the arm is nearly straight.
        let squared = distance * distance;
        let stretch = (farthest * farthest - squared).max(0.0);
        let fold = (squared - (upper - fore) * (upper - fore)).max(0.0);
        let joint4 = elbow.factor() * (2.0 * stretch.sqrt().atan2(fold.sqrt())).min(bend);
        let (sin4, cos4) = joint4.sin_cos();
        Ok(ArmTriangle {
            joint4,
            at_shoulder: (fore * sin4).atan2(upper + fore * cos4),
        })
    }
}

/// Angles of a rotation `Rz Ry Rz`.
struct Zyz {
    first: f64,
    middle: f64,
    last: f64,
}

impl Zyz {
    /// Computes the angles of the rotation with the given columns, the middle angle with sign `sign`; `near` is the first angle
    /// to use where first and last turn about the same line.
    fn new(columns: &Axes, sign: Sign, near: f64) -> Self {
        let Axes { x, y, z } = columns;
        let first = if z.x.hypot(z.y) < ALIGNED {
            near
        } else {
            (sign.factor() * z.y).atan2(sign.factor() * z.x)
        };
        let (sin, cos) = first.sin_cos();
        Self {
            first,
            middle: (cos * z.x + sin * z.y).atan2(z.z),
            last: (cos * x.y - sin * x.x).atan2(cos * y.y - sin * y.x),
        }
    }
}

impl Circle {
    /// Computes joint positions (rad) at `swivel` with the signs of joints 2 and 6 of `branch`; joints 1, 3, 5 and 7 lie within
    /// -pi .. pi, except where the first of two aligned joints is taken from `near`.
    pub fn joints_at(&self, swivel: f64, branch: Branch, near: &Joints) -> Joints {
        let [near1, _, _, _, near5, ..]: [f64; 7] = (*near).into();
        let (sin, cos) = swivel.sin_cos();
        let y = self.elbow_axis.at(cos, sin);
        let upper_arm = Axes {
            x: self.upper_arm_x.at(cos, sin),
            y,
            z: self.upper_arm.at(cos, sin),
        };
        let shoulder = Zyz::new(&upper_arm, branch.shoulder, near1);
        let (fx, fz) = (self.forearm_x.at(cos, sin), self.forearm.at(cos, sin));
        let in_forearm = |v: &Vector3<f64>| Vector3::new(fx.dot(v), y.dot(v), fz.dot(v));
        let hand = Axes {
            x: in_forearm(&self.flange.x),
            y: in_forearm(&self.flange.y),
            z: in_forearm(&self.flange.z),
        };
        let wrist = Zyz::new(&hand, branch.wrist, near5);
        Joints::from([
            shoulder.first,
            shoulder.middle,
            shoulder.last,
            self.joint4,
            wrist.first,
            wrist.middle,
            wrist.last,
        ])
    }

    /// Normal of the plane that the upper arm lies in when joint 1 is `angle` (rad).
    pub fn normal_of_joint1(&self, angle: f64) -> Vector3<f64> {
        let (sin, cos) = angle.sin_cos();
        Vector3::new(-sin, cos, 0.0)
    }

    /// Normal of the plane that the forearm lies in when joint 7 is `angle` (rad): the axis of joint 6, which is the flange's
    /// y axis rotated back by joint 7.
    pub fn normal_of_joint7(&self, angle: f64) -> Vector3<f64> {
        let (sin, cos) = angle.sin_cos();
        self.flange.x * sin + self.flange.y * cos
    }

    /// Swivels at which joint 1 is `angle` or half a turn from it (rad).
    pub fn swivels_of_joint1(&self, angle: f64) -> [f64; 2] {
        self.upper_arm.swivels(&self.normal_of_joint1(angle), 0.0)
    }

    /// Swivels at which joint 2 is `angle` or its negative (rad).
    pub fn swivels_of_joint2(&self, angle: f64) -> [f64; 2] {
        self.upper_arm.swivels(&Vector3::z(), angle.cos())
    }

    /// Swivels at which joint 3 is `angle` or half a turn from it (rad).
    pub fn swivels_of_joint3(&self, angle: f64) -> [f64; 2] {
        // The base's z axis in the upper arm's frame is (-sin2 cos3, sin2 sin3, cos2).
        let (sin, cos) = angle.sin_cos();
        let (x, y) = (&self.upper_arm_x, &self.elbow_axis);
        solve_trigonometric(
            sin * x.cos.z + cos * y.cos.z,
            sin * x.sin.z + cos * y.sin.z,
            -(sin * x.still.z + cos * y.still.z),
        )
    }

    /// Swivels at which joint 5 is `angle` or half a turn from it (rad).
    pub fn swivels_of_joint5(&self, angle: f64) -> [f64; 2] {
        // The flange's z axis in the forearm's frame is (sin6 cos5, sin6 sin5, cos6).
        let (sin, cos) = angle.sin_cos();
        let (x, y, z) = (&self.forearm_x, &self.elbow_axis, &self.flange.z);
        solve_trigonometric(
            cos * y.cos.dot(z) - sin * x.cos.dot(z),
            cos * y.sin.dot(z) - sin * x.sin.dot(z),
            sin * x.still.dot(z) - cos * y.still.dot(z),
        )
    }

    /// Swivels at which joint 6 is `angle` or its negative (rad).
    pub fn swivels_of_joint6(&self, angle: f64) -> [f64; 2] {
        self.forearm.swivels(&self.flange.z, angle.cos())
    }

    /// Swivels at which joint 7 is `angle` or half a turn from it (rad).
    pub fn swivels_of_joint7(&self, angle: f64) -> [f64; 2] {
        self.forearm.swivels(&self.normal_of_joint7(angle), 0.0)
    }
}
