//! Kinematics of the Realman RM75: pose from joints, joints from pose, and how far from singular the arm stands.
//!
//! The arm is a spherical shoulder, an elbow and a spherical wrist, so a pose fixes everything but the roll of the
//! elbow about the line from shoulder to wrist: the *swivel*. [`Rm75::inverse`] solves the rest in closed form and
//! chooses the swivel so that a stream of poses becomes a stream of joints without flips.
//!
//! ```text
//! dh        lengths, joint limits          forward    frames, poses, points along the arm
//! jacobian  velocities and conditioning    swivel     one solution at a given swivel and branch
//! feasible  swivels inside joint limits    inverse    the choice of swivel and branch, the errors
//! ```
//!
//! Nothing here allocates.

mod dh;
mod feasible;
mod forward;
mod inverse;
mod jacobian;
mod swivel;

pub use dh::{Geometry, JointLimits, Rm75, Variant};
pub use forward::ArmPoints;
pub use inverse::{BranchSolution, InverseError, MAX_SWIVEL_DRIFT, MAX_SWIVEL_JUMP, SWIVEL_COMFORT};
pub use jacobian::{Conditioning, Jacobian};
pub use swivel::{Branch, Sign};
