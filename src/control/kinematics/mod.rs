//! Kinematics of the Realman RM75: forward and inverse kinematics, Jacobian and distance from singularities.
//!
//! The arm is a spherical shoulder, an elbow and a spherical wrist, so a pose fixes everything but the roll of the
//! elbow about the line from shoulder to wrist: the *swivel*. [`Rm75::inverse`] solves the rest in closed form and
//! chooses the swivel so that a stream of poses becomes a stream of joints without flips.
//!
//! ```text
//! dh        lengths, joint limits          forward    frames, poses, points along the arm
//! jacobian  velocities and conditioning    branch     the signs that tell solutions apart
//! turning   directions by the swivel       swivel     one solution at a given swivel and branch
//! feasible  swivels inside joint limits    hold       the swivel and signs that continue given joints
//! inverse   public functions and errors
//! ```
//!
//! No function allocates memory.

mod branch;
mod dh;
mod feasible;
mod forward;
mod inverse;
mod jacobian;
mod redundancy;
mod swivel;
mod turning;

pub use branch::{Branch, Sign};
pub use dh::{DhOffsets, JointLimits, LinkVariant, Rm75};
pub use forward::ArmPoints;
pub use inverse::{BranchSolution, InverseError, MAX_SWIVEL_JUMP};
pub use jacobian::{Conditioning, Jacobian};
pub use redundancy::{MAX_SWIVEL_DRIFT, SWIVEL_COMFORT};
