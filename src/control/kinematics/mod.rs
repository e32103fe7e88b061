//! Kinematics of the Realman RM75: pose from joints, joints from pose, and how far from singular the arm stands.
//!
//! The arm is a spherical shoulder, an elbow and a spherical wrist, so a pose fixes everything but the roll of the
//! elbow about the line from shoulder to wrist: the *swivel*. [`Rm75::inverse`] solves the rest in closed form and
//! chooses the swivel so that a stream of poses becomes a stream of joints without flips.
//!
//! ```text
//! dh        lengths, joint limits          forward    frames, poses, points along the arm
//! jacobian  velocities and conditioning    branch     the signs that tell solutions apart
//! turning   directions as the swivel goes  swivel     one solution at a given swivel and branch
//! feasible  swivels inside joint limits    hold       the swivel and signs that continue some joints
//! inverse   the calls and their errors
//! ```
//!
//! Nothing here allocates.

mod branch;
mod dh;
mod feasible;
mod forward;
mod hold;
mod inverse;
mod jacobian;
mod swivel;
mod turning;

pub use branch::{Branch, Sign};
pub use dh::{Geometry, JointLimits, Rm75, Variant};
pub use forward::ArmPoints;
pub use hold::{MAX_SWIVEL_DRIFT, SWIVEL_COMFORT};
pub use inverse::{BranchSolution, InverseError, MAX_SWIVEL_JUMP};
pub use jacobian::{Conditioning, Jacobian};
