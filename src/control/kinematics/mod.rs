//! Kinematics of the arms: forward and inverse kinematics, Jacobian and distance from singularities.
//!
//! The control loop knows an arm as [`Kinematics`], chosen by the [`ArmModel`] of its parameters; another arm is another
//! implementation and another model.
//!
//! The Realman [`Rm75`] is a spherical shoulder, an elbow and a spherical wrist, so a pose fixes everything but the roll
//! of the elbow about the line from shoulder to wrist: the *swivel*. [`Rm75::inverse`] solves the rest in closed form and
//! chooses the swivel so that a stream of poses becomes a stream of joints without flips.
//!
//! ```text
//! arm_model   what every arm computes, the models      rm75       lengths, joint limits
//! forward     frames, poses, points along the arm      jacobian   velocities and conditioning
//! branch      the signs that tell solutions apart      turning    directions by the swivel
//! swivel      one solution at a swivel and branch      feasible   swivels inside joint limits
//! redundancy  the swivel that continues given joints   inverse    public functions and errors
//! ```
//!
//! No computation allocates memory.

mod arm_model;
mod branch;
mod feasible;
mod forward;
mod inverse;
mod jacobian;
mod redundancy;
mod rm75;
mod swivel;
mod swivel_functions;

pub use arm_model::{ArmModel, JointLimits, Kinematics, LinkPlacement};
pub use branch::{Branch, Sign};
pub use forward::ArmPoints;
pub use inverse::{BranchSolution, InverseError, MAX_SWIVEL_JUMP};
pub use jacobian::{Conditioning, Jacobian};
pub use redundancy::{MAX_SWIVEL_DRIFT, SWIVEL_COMFORT};
pub use rm75::{DhOffsets, LinkVariant, Rm75};
