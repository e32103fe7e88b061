//! Conversion between poses and pose messages.

use nalgebra::{Quaternion, Translation3, UnitQuaternion};
use ros_env::geometry_msgs::msg::{Point, Pose as PoseMessage, Quaternion as QuaternionMessage};

use crate::types::Pose;

/// Error in a pose message.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PoseError {
    /// A value is NaN or infinite.
    #[error("expected finite position and orientation, found {0:?}; the pose is ignored")]
    NonFinite([f64; 7]),
    /// The quaternion's length is not 1.
    #[error("expected a quaternion of length 1, found length {0}; the pose is ignored")]
    Quaternion(f64),
}

/// Largest difference of a quaternion's length from 1; drivers round.
const LENGTH_TOLERANCE: f64 = 1e-2;

/// Converts a message to a pose and normalises its quaternion.
///
/// # Errors
/// When a value is not finite, or the quaternion's length is not 1 within a hundredth.
pub fn pose_from_message(message: &PoseMessage) -> Result<Pose, PoseError> {
    let (p, q) = (&message.position, &message.orientation);
    let values = [p.x, p.y, p.z, q.x, q.y, q.z, q.w];
    if !values.iter().all(|v| v.is_finite()) {
        return Err(PoseError::NonFinite(values));
    }
    let quaternion = Quaternion::new(q.w, q.x, q.y, q.z);
    let length = quaternion.norm();
    if (length - 1.0).abs() > LENGTH_TOLERANCE {
        return Err(PoseError::Quaternion(length));
    }
    Ok(Pose::from_parts(
        Translation3::new(p.x, p.y, p.z),
        UnitQuaternion::from_quaternion(quaternion),
    ))
}

/// Converts a pose to a message.
pub fn pose_to_message(pose: &Pose) -> PoseMessage {
    let (p, q) = (&pose.translation, &pose.rotation);
    PoseMessage {
        position: Point { x: p.x, y: p.y, z: p.z },
        orientation: QuaternionMessage {
            x: q.i,
            y: q.j,
            z: q.k,
            w: q.w,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some_pose() -> Pose {
        Pose::new(
            nalgebra::Vector3::new(0.3, -0.1, 0.5),
            nalgebra::Vector3::new(0.4, 1.2, -2.0),
        )
    }

    #[test]
    fn a_pose_survives_a_round_trip() {
        let back = pose_from_message(&pose_to_message(&some_pose())).unwrap();
        assert!((back.translation.vector - some_pose().translation.vector).norm() < 1e-15);
        assert!(back.rotation.angle_to(&some_pose().rotation) < 1e-7);
    }

    #[test]
    fn a_zero_quaternion_is_refused() {
        let mut message = pose_to_message(&some_pose());
        message.orientation = QuaternionMessage {
            x: 0.0,
            y: 0.0,
            z: 0.0,
            w: 0.0,
        };
        assert_eq!(pose_from_message(&message), Err(PoseError::Quaternion(0.0)));
    }

    #[test]
    fn a_nan_is_refused() {
        let mut message = pose_to_message(&some_pose());
        message.position.y = f64::NAN;
        assert!(matches!(pose_from_message(&message), Err(PoseError::NonFinite(_))));
    }
}
